"""Recording of events about the project, its functions and its network."""

from __future__ import annotations

import msgspec

from copernicus.engine.indexes import (
    below,
    evaluation_of,
    index_source,
    mark_below,
    move,
    reindex,
)
from copernicus.engine.instances import Instance
from copernicus.engine.record import record
from copernicus.engine.removed import bring_back, take_out
from copernicus.engine.state import ProjectState, collected, replace
from copernicus.model import events as ev
from copernicus.model.network import Collect, Source


@record.register
def _(event: ev.ProjectCreated, state: ProjectState) -> None:
    state.project, state.name = event.project, event.name
    state.owner, state.seed = event.owner, event.seed


@record.register
def _(event: ev.ProjectLoaded, state: ProjectState) -> None:
    state.came_from = (*state.came_from, f"{event.name} at {event.server}")


@record.register
def _(event: ev.RevisionMade, state: ProjectState) -> None:
    state.revision, state.author = event.number, event.author
    state.reusing = event.reuse


@record.register
def _(event: ev.FunctionDefined, state: ProjectState) -> None:
    spec = event.spec
    state.functions.setdefault(spec.name, {})[spec.version] = spec
    if not spec.module:
        state.defined[spec.name] = spec.version


@record.register
def _(event: ev.InstanceAdded, state: ProjectState) -> None:
    state.next_incarnation = max(state.next_incarnation, event.incarnation + 1)
    if not bring_back(state, event):
        _add(state, event)
    for dependent in state.dependents.get(event.path, ()):
        state.mark(dependent)


def _add(state: ProjectState, event: ev.InstanceAdded) -> None:
    instance = Instance(
        path=event.path,
        incarnation=event.incarnation,
        function=event.function,
        version=event.version,
        order=event.incarnation,
        mapped=event.mapped,
        held=event.held,
        resources=event.resources,
        owner=event.owner,
    )
    if event.owner:
        evaluation = state.instances[event.owner.path].element(event.owner.eid).evaluation
        instance.declared_in = evaluation.number if evaluation else 0
        state.children.setdefault(event.owner.path, set()).add(event.path)
    state.instances[event.path] = instance
    state.mark(event.path)


@record.register
def _(event: ev.InstanceDeclared, state: ProjectState) -> None:
    instance = state.instances[event.path]
    instance.owner, instance.declared_in = event.owner, event.number
    evaluation = evaluation_of(state, event.owner.path, event.owner.eid)
    evaluation.undeclared.discard(event.path)
    instance.retired, instance.mapped = False, event.mapped
    instance.resources = event.resources
    instance.version = event.version or instance.version
    # It may be wanted again, and what is inside it was blocked since the replay began.
    mark_below(state, event.path)


@record.register
def _(event: ev.InstanceRemoved, state: ProjectState) -> None:
    take_out(state, event.path)


@record.register
def _(event: ev.InstanceRenamed, state: ProjectState) -> None:
    old, new = event.path, event.new_path
    moved = {p: new + p[len(old) :] for p in below(state, old)}
    incarnations = {p: state.instances[p].incarnation for p in moved}
    for instance in state.instances.values():
        move(instance, moved)
    state.instances = {instance.path: instance for instance in state.instances.values()}
    for name, made in state.activations.items():
        # What was there before under the same path stays where it was.
        if incarnations.get(made.path) == made.incarnation:
            state.activations[name] = msgspec.structs.replace(made, path=moved[made.path])
    reindex(state)


@record.register
def _(event: ev.InstanceUpgraded, state: ProjectState) -> None:
    instance = state.instances[event.path]
    instance.version = event.version
    for element in instance.elements.values():
        element.replay = element.evaluation is not None
    state.mark(event.path)


@record.register
def _(event: ev.InstanceRetired, state: ProjectState) -> None:
    state.instances[event.path].retired = True
    mark_below(state, event.path)


@record.register
def _(event: ev.HeldSet, state: ProjectState) -> None:
    state.instances[event.path].held = event.held
    mark_below(state, event.path)


@record.register
def _(event: ev.PausedSet, state: ProjectState) -> None:
    state.paused, state.paused_for = event.paused, event.reason
    if not event.paused:
        for path, instance in state.instances.items():
            if instance.owner is None:
                mark_below(state, path)


@record.register
def _(event: ev.BudgetSet, state: ProjectState) -> None:
    state.budget = event.budget


@record.register
def _(event: ev.RetriesSet, state: ProjectState) -> None:
    state.retries = event.retries


@record.register
def _(event: ev.InputSet, state: ProjectState) -> None:
    instance = state.instances[event.path]
    if event.port in instance.pinned:
        instance.pinned[event.port] = event.source
    else:
        _put(state, instance, event.port, event.source)


def _put(state: ProjectState, instance: Instance, port: str, source: Source | None) -> None:
    if source is None:
        instance.inputs.pop(port, None)
    else:
        instance.inputs[port] = source
        index_source(state, instance.path, source)
        _note_items(state, source)
    state.mark(instance.path)


@record.register
def _(event: ev.PinSet, state: ProjectState) -> None:
    instance = state.instances[event.path]
    instance.pinned.setdefault(event.port, instance.inputs.get(event.port))
    _put(state, instance, event.port, event.source)


@record.register
def _(event: ev.PinRemoved, state: ProjectState) -> None:
    instance = state.instances.get(event.path)
    if instance is None or event.port not in instance.pinned:
        del state.dangling[event.path, event.port]
    else:
        _put(state, instance, event.port, instance.pinned.pop(event.port))


def _note_items(state: ProjectState, source: Source) -> None:
    if isinstance(source, Collect):
        _note_eids(state, [item.eid for item in source.items])


def _note_eids(state: ProjectState, eids: list[str]) -> None:
    numbers = [int(eid[1:]) for eid in eids if eid[:1] == "e" and eid[1:].isdigit()]
    state.next_element = max(state.next_element, max(numbers, default=0) + 1)


@record.register
def _(event: ev.ItemAppended, state: ProjectState) -> None:
    instance = state.instances[event.path]
    source = collected(instance.inputs.get(event.port)) or Collect(())
    instance.inputs[event.port] = state.appended(source, event.item)
    _note_eids(state, [event.item.eid])
    index_source(state, event.path, event.item.source)
    # A list that only grows leaves the elements that are there as they are.
    state.mark(event.path, event.item.eid if instance.mapped == (event.port,) else None)


@record.register
def _(event: ev.ItemReplaced, state: ProjectState) -> None:
    instance = state.instances[event.path]
    source = instance.inputs[event.port]
    assert isinstance(source, Collect)
    items = tuple(
        msgspec.structs.replace(item, source=event.source) if item.eid == event.eid else item
        for item in source.items
    )
    instance.inputs[event.port] = replace(source, items=items)
    index_source(state, event.path, event.source)
    state.mark(event.path)


@record.register
def _(event: ev.ItemRemoved, state: ProjectState) -> None:
    instance = state.instances[event.path]
    source = instance.inputs[event.port]
    assert isinstance(source, Collect)
    items = tuple(item for item in source.items if item.eid != event.eid)
    instance.inputs[event.port] = replace(source, items=items)
    state.mark(event.path)
