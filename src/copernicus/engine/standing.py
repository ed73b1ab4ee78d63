"""How the elements of an instance stand, kept as they change: nobody counts a long list anew.

Of what is done only the number is kept; of everything else the identities, too, so that the one
that failed is found among a hundred thousand without a search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

from copernicus.engine.absence import failed_activation
from copernicus.engine.instances import Element, Instance
from copernicus.engine.state import ProjectState

DONE: Final = "done"
SETTLED: Final = frozenset({DONE, "skipped"})


def standing_of(state: ProjectState, element: Element) -> str:
    """How an element stands by itself; empty if it is not in its list.

    ``departed``: an upgrade waits for a word; ``open``: it is at work; ``behind``: it has a
    result, of other inputs; ``new``: it has none.
    """
    if not element.wanted:
        return ""
    if element.hole:
        return "skipped"
    if element.evaluation is not None and element.evaluation.departure is not None:
        return "departed"
    if element.open is not None:
        return "open"
    if failed_activation(state, element) is not None:
        return "failed"
    if element.current:
        return DONE
    return "behind" if element.success is not None else "new"


def word_for(instance: Instance, kind: str, stands: str) -> str:
    """The word that people are shown for a standing, for an instance of a function of ``kind``."""
    match stands:
        case "departed":
            return "waiting"
        case "open":
            return "running" if kind == "workflow" else "queued"
        case "behind":
            return "held" if instance.held else "stale"
        case "new":
            return "held" if instance.held else "waiting"
    return stands


def note(state: ProjectState, instance: Instance, element: Element) -> None:
    """Keep how an element stands now."""
    now = standing_of(state, element)
    if now == element.standing:
        return
    _forget(instance, element)
    element.standing = now
    _enter(instance, element)


def drop(instance: Instance, element: Element) -> None:
    """The element is not in the list any more."""
    _forget(instance, element)
    element.standing = ""


def recount(instance: Instance) -> None:
    """Group the elements anew by what is noted in each: after a snapshot was read."""
    instance.standing, instance.done = {}, 0
    for element in instance.elements.values():
        _enter(instance, element)


def _forget(instance: Instance, element: Element) -> None:
    if element.standing == DONE:
        instance.done -= 1
    elif element.standing:
        group = instance.standing[element.standing]
        del group[element.eid]
        if not group:
            # An empty dict is as large as it was when it was full.
            del instance.standing[element.standing]


def _enter(instance: Instance, element: Element) -> None:
    if element.standing == DONE:
        instance.done += 1
    elif element.standing:
        instance.standing.setdefault(element.standing, {})[element.eid] = None


def counts(instance: Instance) -> dict[str, int]:
    """How many elements stand how, with those that have any."""
    found = {one: len(eids) for one, eids in instance.standing.items()}
    return {**found, DONE: instance.done} if instance.done else found


def first(instance: Instance, standings: tuple[str, ...], number: int) -> list[Element]:
    """A few of those that stand so, in the order of the list (of many: some)."""
    eids = [eid for one in standings for eid in islice(instance.standing.get(one, ()), number)]
    eids.sort(key=lambda eid: instance.place(eid) or 0)
    return [instance.elements[eid] for eid in eids[:number]]


def standing(instance: Instance, standings: Iterable[str]) -> Iterator[Element]:
    """All that stand so, one standing after another."""
    for one in standings:
        for eid in instance.standing.get(one, ()):
            yield instance.elements[eid]
