"""What is known of long lists without going through them: identities, and how items stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from copernicus.model.network import Item, Single


class Split(NamedTuple):
    """A list that was made as a whole, and the places in it by identity."""

    values: list[Any]
    places: dict[str, int]


@dataclass(slots=True)
class ItemIndex:
    """The elements of a list by identity; ``items`` is the list that it belongs to.

    ``paths``: the instances to which elements refer; none if all were set by hand.
    """

    items: tuple[Item, ...]
    sources: dict[str, Single]
    eids: tuple[str, ...]
    paths: dict[str, None]


@dataclass(slots=True)
class Tally:
    """How the items of a list stand that is decided once; ``items`` is that list.

    With ``failures`` it counts what has failed for good by itself.

    ``changed`` are the instances behind it that have changed since the standings were counted,
    ``unchecked`` those since ``decision``, with its ``kept`` items, was seen to hold.
    """

    items: tuple[Item, ...]
    places: dict[str, list[int]]
    unsteady: list[int]
    standings: list[str]
    counts: dict[str, int]
    failures: bool = False
    changed: set[str] = field(default_factory=set)
    decision: Any = None
    kept: set[str] = field(default_factory=set)
    unchecked: set[str] = field(default_factory=set)
