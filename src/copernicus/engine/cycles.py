"""No instance may hang on itself: connections, pins and workflows' borders are looked through.

What a workflow instance *takes* and what it *gives* are two places: what is inside it hangs on
what it takes, and what it gives hangs on what is inside it.
"""

from __future__ import annotations

from collections.abc import Iterator

from copernicus.engine.draft import Draft
from copernicus.engine.indexes import references
from copernicus.errors import Conflict
from copernicus.model import events as ev
from copernicus.model.network import Literal, OutRef

_TAKES = " takes"


def check_cycles(draft: Draft) -> None:
    """Look above everything that a transaction has changed.

    Raises:
        Conflict: There is a cycle; the message shows it.
    """
    touched = {getattr(event, "path", "") for event in draft.events if _may_connect(event)}
    # Only a pin can lead from outside into a workflow past what that takes.
    pinned = [path for path, instance in draft.state.instances.items() if instance.pinned]
    sound: set[str] = set()
    for start in sorted(touched & set(draft.state.instances)):
        way = _cycle_above(draft, start, sound, pinned)
        if way:
            raise Conflict(f"this makes a cycle: {' -> '.join(_readable(way))}")


def _may_connect(event: ev.Event) -> bool:
    """Plain values make no cycle: the long list that they go to is not looked through."""
    match event:
        case ev.ItemAppended(item=item):
            return not isinstance(item.source, Literal)
        case ev.ItemReplaced(source=source):
            return not isinstance(source, Literal)
        case ev.ItemRemoved():
            return False
    return True


def _readable(way: list[str]) -> list[str]:
    ends = (0, len(way) - 1)
    shown = [place for i, place in enumerate(way) if i in ends or not place.endswith(_TAKES)]
    return [place.removesuffix(_TAKES) for place in shown]


def _cycle_above(draft: Draft, start: str, sound: set[str], pinned: list[str]) -> list[str] | None:
    """A cycle that ``start`` hangs on; what has none above it joins ``sound``."""
    way: dict[str, Iterator[str]] = {}
    at: str | None = None if start in sound else start
    while at is not None:
        above = way.setdefault(at, iter(list(_upstreams(draft, at, pinned))))
        onward = next((place for place in above if place not in sound), None)
        if onward is None:
            sound.add(at)
            del way[at]
            at = next(reversed(way), None)
        elif onward in way:
            names = list(way)
            return [onward, *reversed(names[names.index(onward) :])]
        else:
            at = onward
    return None


def _upstreams(draft: Draft, place: str, pinned: list[str]) -> Iterator[str]:
    path = place.removesuffix(_TAKES)
    instance = draft.state.instances.get(path)
    if instance is None:
        return
    if place == path:
        yield path + _TAKES
        yield from (at for at in pinned if at.startswith((f"{path}/", f"{path}@")))
        return
    if instance.owner is not None:
        yield instance.owner.path + _TAKES
    for source in instance.inputs.values():
        for reference in references(source):
            if isinstance(reference, OutRef):
                yield reference.path
