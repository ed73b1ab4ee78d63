"""Where an input's value comes from."""

from __future__ import annotations

from typing import Any

import msgspec


class Literal(msgspec.Struct, frozen=True, tag="value", gc=False):
    """A plain value."""

    value: Any


class OutRef(msgspec.Struct, frozen=True, tag="out", omit_defaults=True, gc=False):
    """An output of an instance: whole, or one ``element`` of a mapped one (by identity).

    ``steps`` are members of a record or positions of a list inside the value.
    """

    path: str
    port: str
    element: str | None = None
    steps: tuple[str | int, ...] = ()


class InRef(msgspec.Struct, frozen=True, tag="in", omit_defaults=True, gc=False):
    """An input of the workflow element (``path``, ``eid``) inside which the instance lies."""

    path: str
    port: str
    eid: str = ""
    steps: tuple[str | int, ...] = ()


Single = Literal | OutRef | InRef


class Item(msgspec.Struct, frozen=True, gc=False):
    """One element of a list, with the identity that it keeps."""

    eid: str
    source: Single


class Collect(msgspec.Struct, frozen=True, tag="collect", omit_defaults=True):
    """A list made of items: set by hand, or collected by a workflow.

    With ``at_least`` the list is decided once, when that many items are current (SEMANTICS 5.1);
    ``decision`` is the position under which it is recorded with the evaluation ``owner``.
    With ``tolerate`` it is decided when every item is current or has failed for good, and no more
    than so many have failed. ``late`` stands for the items that the decision has left out and
    that are there by now: a list that only grows, for takers of the ``Latest``.
    """

    items: tuple[Item, ...]
    at_least: int | None = None
    decision: str | None = None
    owner: tuple[str, str] | None = None
    tolerate: int | None = None
    late: bool = False

    @property
    def decided(self) -> bool:
        """Whether which items it holds is decided once."""
        return self.decision is not None


Source = Literal | OutRef | InRef | Collect


class Owner(msgspec.Struct, frozen=True):
    """Which evaluation declares an instance, and where in it: the last declarer owns a key."""

    path: str
    eid: str
    branch: str
    segment: int
