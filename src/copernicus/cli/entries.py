"""What the table of commands is made of."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple, cast

BUILD, LOOK, STEER, PROJECTS, MACHINES, ACCOUNT = TITLES = (
    "Build a project",
    "See what happens",
    "Steer",
    "Projects and functions",
    "Servers and workers",
    "Logins and this program",
)


class Entry(NamedTuple):
    """A command: where its code is, what it does in a line, and examples (at least one)."""

    name: str
    target: str
    summary: str
    examples: tuple[str, ...]
    group: str = ""

    def load(self) -> Callable[..., Any]:
        """The function itself; imports its module."""
        module, _, name = self.target.partition(":")
        return cast("Callable[..., Any]", getattr(import_module(module), name))
