"""Keeps count of lists that are complete with a part of their items, as these end.

To look at every item at each end would cost the square of their number: only what has changed is
looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from copernicus.engine.absence import failed_activation
from copernicus.engine.instances import Activation, Decision
from copernicus.engine.lists import Tally
from copernicus.engine.resolve import decision_of, resolve
from copernicus.engine.state import ProjectState
from copernicus.model.network import Collect, InRef, Literal, OutRef, Source

KEPT: Final = 256
UNDECIDED: Final = "undecided"


def tally_of(state: ProjectState, source: Collect) -> Tally:
    """The tally of a list, with all that has changed since it was last asked for."""
    tally = state.tallies.get(id(source.items))
    if tally is not None and tally.failures != (source.tolerate is not None):
        _forget(state, id(source.items))
        tally = None
    if tally is None or tally.items is not source.items:
        tally = _begin(state, source)
    changed = [place for path in tally.changed for place in tally.places[path]]
    tally.changed.clear()
    _look(state, tally, (*changed, *tally.unsteady))
    return tally


def _begin(state: ProjectState, source: Collect) -> Tally:
    if len(state.tallies) >= KEPT:
        _forget(state, next(iter(state.tallies)))
    places: dict[str, list[int]] = {}
    unsteady: list[int] = []
    for place, item in enumerate(source.items):
        if isinstance(item.source, OutRef):
            places.setdefault(item.source.path, []).append(place)
        elif isinstance(item.source, InRef):
            unsteady.append(place)
    size, failures = len(source.items), source.tolerate is not None
    tally = Tally(source.items, places, unsteady, [""] * size, {"": size}, failures)
    state.tallies[id(source.items)] = tally
    for path in places:
        state.tallied.setdefault(path, set()).add(id(source.items))
    _look(state, tally, range(size))
    return tally


def _forget(state: ProjectState, key: int) -> None:
    for path in state.tallies.pop(key).places:
        state.tallied[path].discard(key)


def _look(state: ProjectState, tally: Tally, places: Iterable[int]) -> None:
    for place in places:
        tally.counts[tally.standings[place]] -= 1
        now = standing(state, tally, place)
        tally.standings[place] = now
        tally.counts[now] = tally.counts.get(now, 0) + 1


def standing(state: ProjectState, tally: Tally, place: int) -> str:
    """How an item stands now: ``current``, ``hole``, ``failed`` (if that counts) or undecided.

    That of a task's output without a value is known without looking for one.
    """
    source, failures = tally.items[place].source, tally.failures
    if isinstance(source, Literal):
        return "current"
    if isinstance(source, OutRef):
        upstream = state.instances.get(source.path)
        single = upstream is not None and (source.element is not None or not upstream.mapped)
        element = upstream.elements.get(source.element or "") if upstream and single else None
        bare = element is not None and not (element.success or element.hole or element.evaluation)
        if bare and not failures:
            return UNDECIDED
    status = resolve(state, source).status
    if status == "current":
        return status
    if failures and final_failure(state, source) is not None:
        return "failed"
    return status if status == "hole" else UNDECIDED


def final_failure(state: ProjectState, source: Source) -> Activation | None:
    """The failure that a source's value comes to, when nothing will be tried by itself.

    While the inputs are being computed again nothing is final: they may come back equal.
    """
    if not isinstance(source, OutRef):
        return None
    upstream = state.instances.get(source.path)
    element = upstream.elements.get(source.element or "") if upstream else None
    return failed_activation(state, element) if element is not None and element.ready else None


def inputs_of_source(state: ProjectState, source: Source) -> str:
    """The digest of the inputs of what a source refers to; empty while they are not current."""
    upstream = state.instances.get(getattr(source, "path", ""))
    if upstream is None:
        return ""
    element = upstream.elements.get(getattr(source, "element", None) or "")
    return element.digest if element is not None and element.ready else ""


def lapsed(state: ProjectState, source: Collect, decision: Decision) -> str:
    """Why the decision about a list holds no more (5.2, 5.3); empty if it does."""
    tally = tally_of(state, source)
    if tally.decision is decision:
        places = [place for path in tally.unchecked for place in tally.places[path]]
        places += tally.unsteady
    else:
        places = list(range(len(tally.items)))
        tally.decision, tally.kept = None, {*decision.chosen, *(decision.outcome or {})}
        gone = _gone(tally, decision)
        if gone:
            return gone
    reasons = (_reason(state, tally, place, decision) for place in sorted(places))
    reason = next(filter(None, reasons), "")
    if not reason:
        tally.decision = decision
        tally.unchecked.clear()
    return reason


def _gone(tally: Tally, decision: Decision) -> str:
    known = {item.eid for item in tally.items}
    gone = next((eid for eid in decision.chosen if eid not in known), "")
    return f"{gone} is no candidate any more" if gone else ""


def _reason(state: ProjectState, tally: Tally, place: int, decision: Decision) -> str:
    item = tally.items[place]
    told = (decision.outcome or {}).get(item.eid)
    if told is not None:
        now = inputs_of_source(state, item.source)
        if now and now != told["digest"]:
            return f"{item.eid} failed, and has other inputs now"
    elif item.eid in tally.kept:
        failed = final_failure(state, item.source)
        return f"{failed.path} failed after its inputs had changed" if failed is not None else ""
    return ""


def note_changed(state: ProjectState, path: str) -> None:
    """An instance has changed: what counts it must look at it again."""
    for key in state.tallied.get(path, ()):
        tally = state.tallies[key]
        tally.changed.add(path)
        tally.unchecked.add(path)


def concerns(state: ProjectState, source: Source | None, path: str) -> bool:
    """Whether a change of the instance at ``path`` can matter to who takes ``source``.

    It does not to a list that has been decided, and goes on without it.
    """
    if not isinstance(source, Collect) or source.decision is None or source.late:
        return True
    decision = decision_of(state, source)
    tally = state.tallies.get(id(source.items))
    if decision is None:
        return True
    if tally is None or tally.decision is not decision or tally.items is not source.items:
        if lapsed(state, source, decision):
            return True
        tally = state.tallies[id(source.items)]
    if path not in tally.places:
        return True
    return any(tally.items[place].eid in tally.kept for place in tally.places[path])
