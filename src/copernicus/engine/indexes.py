"""Who depends on whom: indexes over the network, and the marks of what must be looked at."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from copernicus.engine.instances import Evaluation, Instance
from copernicus.engine.state import ProjectState, replace
from copernicus.model.network import Collect, InRef, OutRef, Source


def references(source: Source | None) -> Iterator[OutRef | InRef]:
    """Every reference inside a source."""
    if isinstance(source, OutRef | InRef):
        yield source
    elif isinstance(source, Collect):
        for item in source.items:
            if isinstance(item.source, OutRef | InRef):
                yield item.source


def index_source(state: ProjectState, path: str, source: Source | None) -> None:
    """Note that the instance at ``path`` depends on what ``source`` refers to."""
    if isinstance(source, Collect) and source.owner and source.decision:
        state.deciding.setdefault((*source.owner, source.decision), set()).add(path)
    for reference in references(source):
        index = state.border if isinstance(reference, InRef) else state.dependents
        index.setdefault(reference.path, set()).add(path)


def below(state: ProjectState, path: str) -> list[str]:
    """The path itself and the paths of all instances inside it."""
    inner = tuple(f"{path}{mark}" for mark in "/@")
    return [p for p in state.instances if p == path or p.startswith(inner)]


def renamed(source: Source, moved: dict[str, str]) -> Source:
    """``source`` with the paths of renamed instances."""
    if isinstance(source, OutRef | InRef) and source.path in moved:
        return msgspec.structs.replace(source, path=moved[source.path])
    if isinstance(source, Collect):
        items = tuple(
            msgspec.structs.replace(item, source=renamed(item.source, moved))
            for item in source.items
        )
        return replace(source, items=items)
    return source


def reindex(state: ProjectState) -> None:
    """Build every index anew, and mark everything."""
    for index in (state.dependents, state.border, state.followers, state.watchers, state.children):
        index.clear()
    state.deciding.clear()
    state.opened.clear()
    state.tallies.clear()
    state.tallied.clear()
    someone_waits = bool(state.backlog or state.postponed)
    state.backlog.clear()
    state.postponed.clear()
    for instance in state.instances.values():
        index_instance(state, instance)
        if someone_waits:
            forget_turns(instance)


def forget_turns(instance: Instance) -> None:
    """No element has a place in the backlog any more; each gets one when it is looked at."""
    for element in instance.elements.values():
        element.backlogged = False


def index_instance(state: ProjectState, instance: Instance) -> None:
    """Note all that an instance depends on, and mark it."""
    path = instance.path
    for source in instance.inputs.values():
        index_source(state, path, source)
    if instance.owner:
        state.children.setdefault(instance.owner.path, set()).add(path)
    for element in instance.elements.values():
        if element.evaluation:
            _index_evaluation(state, path, element.eid, element.evaluation)
    state.mark(path)


def move(instance: Instance, moved: dict[str, str]) -> None:
    """Give an instance, and what it refers to, the new paths."""
    instance.path = moved.get(instance.path, instance.path)
    if instance.owner and instance.owner.path in moved:
        instance.owner = msgspec.structs.replace(instance.owner, path=moved[instance.owner.path])
    instance.inputs = {port: renamed(s, moved) for port, s in instance.inputs.items()}
    instance.pinned = {port: s and renamed(s, moved) for port, s in instance.pinned.items()}


def _index_evaluation(state: ProjectState, path: str, eid: str, evaluation: Evaluation) -> None:
    for binding in evaluation.outputs.values():
        follow(state, path, eid, binding.effective)
        follow(state, path, eid, binding.declared)
    evaluation.watched.clear()
    for branch in evaluation.branches.values():
        for index, answered in branch.answers.items():
            watch(state, path, eid, evaluation, answered.waits.sources, (branch.key, index))
        if branch.waits:
            watch(state, path, eid, evaluation, branch.waits.sources, None)
    wake(state, path, eid)


def follow(state: ProjectState, path: str, eid: str, source: Source | None) -> None:
    """Note that an output of the workflow element follows ``source``."""
    for reference in references(source):
        state.followers.setdefault(reference.path, set()).add((path, eid))


def watch(
    state: ProjectState,
    path: str,
    eid: str,
    evaluation: Evaluation,
    sources: tuple[Source, ...],
    position: tuple[str, int] | None,
) -> None:
    """Note that an evaluation waits for, or has looked at, ``sources``."""
    for source in sources:
        for reference in references(source):
            state.watchers.setdefault(reference.path, set()).add((path, eid))
            if position:
                evaluation.watched.setdefault(reference.path, set()).add(position)


def look(state: ProjectState, path: str, eid: str) -> None:
    """Note that an evaluation must be looked at: it may go on."""
    state.evaluations.setdefault((path, eid), set())


def wake(state: ProjectState, path: str, eid: str) -> None:
    """Note that an evaluation must be looked at, with all that it has looked at."""
    evaluation = state.instances[path].elements[eid].evaluation
    if evaluation is not None:
        state.evaluations.setdefault((path, eid), set()).update(evaluation.watched)


def mark_below(state: ProjectState, path: str) -> None:
    """Note that everything inside an instance, and itself, must be looked at."""
    pending = [path]
    while pending:
        at = pending.pop()
        state.mark(at)
        pending.extend(state.children.get(at, ()))
        for element in state.instances[at].elements.values():
            if element.evaluation is not None:
                wake(state, at, element.eid)


def mark_deciding(state: ProjectState, path: str, eid: str, position: str) -> None:
    """Note that what takes the list with ``at_least`` of this position must be looked at."""
    for taker in state.deciding.get((path, eid, position), ()):
        state.mark(taker)


def evaluation_of(state: ProjectState, path: str, eid: str) -> Evaluation:
    """The evaluation of a workflow element that has been started."""
    evaluation = state.instances[path].elements[eid].evaluation
    assert evaluation is not None
    return evaluation
