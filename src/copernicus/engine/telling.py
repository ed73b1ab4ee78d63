"""Who has to look again when something about an element has changed, and at which of its own."""

from __future__ import annotations

from copernicus.engine.indexes import references
from copernicus.engine.instances import Instance
from copernicus.engine.resolve import taken_by
from copernicus.engine.state import ProjectState
from copernicus.engine.tallies import concerns, note_changed
from copernicus.model.network import Collect, OutRef, Source


def notify(state: ProjectState, instance: Instance, changed: list[str], whole: bool) -> None:
    """Mark all who take something of these elements; ``whole``: also those of all of them."""
    path = instance.path
    note_changed(state, path)
    for dependent in state.dependents.get(path, ()):
        _mark_dependent(state, dependent, instance, changed, whole)
    for child in state.border.get(path, ()):
        state.mark(child)
    for follower, eid in state.followers.get(path, ()):
        state.mark(follower, eid)
        state.evaluations.setdefault((follower, eid), set())
        _pass_on(state, follower)
    for key in state.watchers.get(path, ()):
        state.evaluations.setdefault(key, set()).add(path)
    for eid in changed:
        if instance.elements[eid].evaluation is not None:
            state.evaluations.setdefault((path, eid), set())


def _pass_on(state: ProjectState, follower: str) -> None:
    """Tell those who look at stale values: a workflow that is not current may have newer outputs.

    They are the takers of the ``Latest``, and the mapped, whose elements come from a list. The
    others forget what they took: its origins may be others now.
    """
    for path in state.dependents.get(follower, ()):
        dependent = state.instances.get(path)
        if dependent is None:
            continue
        dependent.taken.clear()
        if dependent.mapped or any(p.latest or p.streaming for p in state.spec(dependent).inputs):
            state.mark(path)
    for outer, _ in state.followers.get(follower, ()):
        _pass_on(state, outer)


def touch(state: ProjectState, path: str) -> None:
    """Make every element of an instance, and of those inside it, a candidate to fire."""
    pending = [path]
    while pending:
        at = pending.pop()
        pending.extend(state.children.get(at, ()))
        elements = state.instances[at].elements
        state.consider(at, elements)
        for eid, element in elements.items():
            if element.evaluation is not None:
                state.evaluations.setdefault((at, eid), set())


def _mark_dependent(
    state: ProjectState, path: str, upstream: Instance, changed: list[str], whole: bool
) -> None:
    dependent = state.instances.get(path)
    if dependent is None:
        return
    if _indifferent(state, dependent, upstream.path):
        return
    if upstream.mapped and dependent.mapped and _takes_elements(dependent, upstream):
        zipped = len(dependent.mapped) > 1
        look = _touched_pairs if zipped else _touched
        touched = look(dependent, upstream, changed)
        if touched is None:
            state.mark(path)
        for eid in touched or ():
            state.mark(path, eid)
    elif not upstream.mapped or whole or _picks(state, dependent, upstream):
        state.mark(path)


def _indifferent(state: ProjectState, dependent: Instance, path: str) -> bool:
    """Whether what it takes of ``path`` are only lists that were decided without it."""
    inputs = dependent.inputs
    without = [port for port, source in inputs.items() if not concerns(state, source, path)]
    spec = state.spec(dependent)
    if not without or any(taken_by(spec.input(port)) != "current" for port in without):
        return False
    others = (source for port, source in inputs.items() if port not in without)
    return not any(path in state.upstream(source) for source in others)


def added(before: tuple[str, ...] | None, after: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """What a list has at its end that it had not before; ``None`` if it differs otherwise."""
    if before is None or after is None or after[: len(before)] != before:
        return None
    return after[len(before) :]


def _touched(dependent: Instance, upstream: Instance, changed: list[str]) -> list[str] | None:
    """The elements to look at, those that are new among them; ``None``: all, the list differs."""
    before, after = dependent.eids, upstream.eids
    if before is after or before == after:
        known = all(eid in dependent.elements for eid in changed)
        return changed if known else None
    new = added(before, after)
    if new is None or any(eid in dependent.elements for eid in new):
        return None
    return [*(eid for eid in changed if eid in dependent.elements), *new]


def _touched_pairs(dependent: Instance, upstream: Instance, changed: list[str]) -> list[str] | None:
    """The pairs to look at, by the places of what changed; ``None``: all, the list differs."""
    eids = dependent.eids
    for port in dependent.mapped:
        if getattr(dependent.inputs.get(port), "path", None) != upstream.path:
            continue
        if eids is None or dependent.parts.get(port) is not upstream.eids:
            return None
    places = [upstream.place(eid) for eid in changed]
    return [eids[place] for place in places if place is not None] if eids else None


def _takes_elements(dependent: Instance, upstream: Instance) -> bool:
    """Whether each element of ``dependent`` needs only its own element of ``upstream``."""
    direct = False
    for port, source in dependent.inputs.items():
        if isinstance(source, Collect) and any(r.path == upstream.path for r in references(source)):
            return False
        if getattr(source, "path", None) == upstream.path:
            if port not in dependent.mapped or not _is_whole(source):
                return False
            direct = True
    return direct


def _is_whole(source: Source) -> bool:
    return isinstance(source, OutRef) and source.element is None and not source.steps


def _picks(state: ProjectState, dependent: Instance, upstream: Instance) -> bool:
    """Whether ``dependent`` looks at single elements of it, or takes what is there."""
    spec = state.spec(dependent)
    for port in spec.inputs:
        source = dependent.inputs.get(port.name)
        if source is None or upstream.path not in state.upstream(source):
            continue
        if port.latest or port.streaming or getattr(source, "element", None) is not None:
            return True
        if hasattr(source, "items") or port.name in dependent.mapped:
            return True
    return False
