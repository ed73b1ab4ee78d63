"""``cpc demo``: small projects that run here, with a server and a worker of their own.

A demo is ``DEMOS[name].run(folder, minutes)``: it keeps its results in the folder (default: a new
one in the present folder), stops all that it started, and returns an exit code.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol


class Run(Protocol):
    """Runs a demo; returns an exit code."""

    def __call__(self, folder: Path | None = None, minutes: float | None = None) -> int:
        """Run it, with results in ``folder``, in about so many minutes."""


class Demo(NamedTuple):
    """What it shows, in one sentence, and how it is run."""

    description: str
    run: Run


def _alanine(folder: Path | None = None, minutes: float | None = None) -> int:
    from copernicus.demo.alanine import run

    return run(folder, minutes)


def _pi(folder: Path | None = None, minutes: float | None = None) -> int:
    from copernicus.demo.pi import run

    return run(folder, minutes)


DEMOS: Mapping[str, Demo] = {
    "alanine": Demo(
        "Adaptive sampling of alanine dipeptide: generations of molecular dynamics (OpenMM), "
        "steered by what they find; about 4 minutes",
        _alanine,
    ),
    "pi": Demo(
        "Pi by throwing darts until the error is small enough: any program, described in a few "
        "lines, and a list that grows while it runs; about 20 seconds",
        _pi,
    ),
}
