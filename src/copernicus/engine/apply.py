"""``apply`` records one event. It decides nothing: what happens next is decided elsewhere.

Besides the facts it keeps the indexes (who depends on whom) and marks what must be looked at.
"""

from __future__ import annotations

import functools

import msgspec

from copernicus.engine.digests import value_digest
from copernicus.engine.indexes import (
    below,
    evaluation_of,
    follow,
    index_source,
    look,
    mark_below,
    mark_deciding,
    reindex,
    renamed,
    wake,
    watch,
)
from copernicus.engine.state import (
    Activation,
    Answered,
    Binding,
    Branch,
    Decision,
    Evaluation,
    Instance,
    ProjectState,
    collected,
    new_branches,
    replace,
)
from copernicus.model import events as ev
from copernicus.model.network import Collect, Source


def apply(state: ProjectState, event: ev.Event) -> None:
    """Record ``event`` in ``state``."""
    state.position += 1
    _apply(event, state)


@functools.singledispatch
def _apply(event: ev.Event, state: ProjectState) -> None:
    raise TypeError(f"no rule to record {event!r}")


@_apply.register
def _(event: ev.ProjectCreated, state: ProjectState) -> None:
    state.project, state.name = event.project, event.name
    state.owner, state.seed = event.owner, event.seed


@_apply.register
def _(event: ev.RevisionMade, state: ProjectState) -> None:
    state.revision = event.number


@_apply.register
def _(event: ev.FunctionDefined, state: ProjectState) -> None:
    spec = event.spec
    state.functions.setdefault(spec.name, {})[spec.version] = spec
    if not spec.module:
        state.defined[spec.name] = spec.version


@_apply.register
def _(event: ev.InstanceAdded, state: ProjectState) -> None:
    state.next_incarnation = max(state.next_incarnation, event.incarnation + 1)
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
    for dependent in state.dependents.get(event.path, ()):
        state.mark(dependent)


@_apply.register
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


@_apply.register
def _(event: ev.InstanceRemoved, state: ProjectState) -> None:
    for path in below(state, event.path):
        instance = state.instances.pop(path)
        state.dirty.pop(path, None)
        if instance.owner:
            state.children.get(instance.owner.path, set()).discard(path)


@_apply.register
def _(event: ev.InstanceRenamed, state: ProjectState) -> None:
    old, new = event.path, event.new_path
    moved = {p: new + p[len(old) :] for p in below(state, old)}
    instances = {}
    for path, instance in state.instances.items():
        instance.path = moved.get(path, path)
        if instance.owner and instance.owner.path in moved:
            instance.owner = msgspec.structs.replace(
                instance.owner, path=moved[instance.owner.path]
            )
        instance.inputs = {p: renamed(s, moved) for p, s in instance.inputs.items()}
        instances[instance.path] = instance
    state.instances = instances
    for activation in state.activations.values():
        activation.path = moved.get(activation.path, activation.path)
    reindex(state)


@_apply.register
def _(event: ev.InstanceRetired, state: ProjectState) -> None:
    state.instances[event.path].retired = True
    mark_below(state, event.path)


@_apply.register
def _(event: ev.HeldSet, state: ProjectState) -> None:
    state.instances[event.path].held = event.held
    mark_below(state, event.path)


@_apply.register
def _(event: ev.PausedSet, state: ProjectState) -> None:
    state.paused = event.paused
    if not event.paused:
        for path, instance in state.instances.items():
            if instance.owner is None:
                mark_below(state, path)


@_apply.register
def _(event: ev.InputSet, state: ProjectState) -> None:
    instance = state.instances[event.path]
    if event.source is None:
        instance.inputs.pop(event.port, None)
    else:
        instance.inputs[event.port] = event.source
        index_source(state, event.path, event.source)
        _note_items(state, event.source)
    state.mark(event.path)


def _note_items(state: ProjectState, source: Source) -> None:
    for item in source.items if isinstance(source, Collect) else ():
        _note_eid(state, item.eid)


def _note_eid(state: ProjectState, eid: str) -> None:
    if eid[:1] == "e" and eid[1:].isdigit():
        state.next_element = max(state.next_element, int(eid[1:]) + 1)


@_apply.register
def _(event: ev.ItemAppended, state: ProjectState) -> None:
    instance = state.instances[event.path]
    source = collected(instance.inputs.get(event.port)) or Collect(())
    instance.inputs[event.port] = replace(source, items=(*source.items, event.item))
    _note_eid(state, event.item.eid)
    index_source(state, event.path, event.item.source)
    # A list that only grows leaves the elements that are there as they are.
    state.mark(event.path, event.item.eid if instance.mapped == (event.port,) else None)


@_apply.register
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


@_apply.register
def _(event: ev.ItemRemoved, state: ProjectState) -> None:
    instance = state.instances[event.path]
    source = instance.inputs[event.port]
    assert isinstance(source, Collect)
    items = tuple(item for item in source.items if item.eid != event.eid)
    instance.inputs[event.port] = replace(source, items=items)
    state.mark(event.path)


@_apply.register
def _(event: ev.ActivationOpened, state: ProjectState) -> None:
    number = state.next_activation
    state.next_activation += 1
    activation = Activation(
        id=event.id,
        number=number,
        path=event.path,
        incarnation=event.incarnation,
        eid=event.eid,
        version=event.version,
        inputs=event.inputs,
        digest=event.digest,
        base_digest=event.base_digest,
        lineage=event.lineage,
        strict_digest=event.strict_digest,
        origins=event.origins,
        left_out=event.left_out,
        parent=event.parent,
    )
    state.activations[event.id] = activation
    element = state.instances[event.path].element(event.eid)
    element.open, element.retry = event.id, False
    element.lineages[event.base_digest] = event.lineage
    state.mark(event.path, event.eid)


@_apply.register
def _(event: ev.JobMade, state: ProjectState) -> None:
    state.activations[event.activation].job = event.spec


@_apply.register
def _(event: ev.ReplacementWanted, state: ProjectState) -> None:
    state.activations[event.activation].replace = True


@_apply.register
def _(event: ev.ActivationEnded, state: ProjectState) -> None:
    activation = state.activations[event.id]
    activation.outcome, activation.failure = event.outcome, event.failure
    activation.attempts, activation.checkpoint = event.attempts, event.checkpoint
    activation.superseded_by = event.by
    if event.outcome in ("stopped", "superseded", "cancelled") and activation.job:
        state.cancelling[event.id] = 2
    instance = state.instances.get(activation.path)
    if instance is None or instance.incarnation != activation.incarnation:
        return
    element = instance.element(activation.eid)
    if element.open == event.id:
        element.open = None
    if event.outcome == "succeeded":
        _succeed(activation, element_outputs=event.outputs)
        element.success = element.ended = event.id
        element.successes[activation.digest] = event.id
    elif event.outcome in ("failed", "cancelled"):
        element.ended = event.id
    state.mark(activation.path, activation.eid)


def _succeed(activation: Activation, element_outputs: dict[str, object]) -> None:
    activation.outputs = element_outputs
    activation.output_digests = {p: value_digest(v) for p, v in element_outputs.items()}


@_apply.register
def _(event: ev.ResultKept, state: ProjectState) -> None:
    activation = state.activations[event.id]
    _succeed(activation, event.outputs)
    activation.attempts, activation.checkpoint = event.attempts, event.checkpoint
    instance = state.instances.get(activation.path)
    if instance is None or instance.incarnation != activation.incarnation:
        return
    element = instance.element(activation.eid)
    element.successes[activation.digest] = event.id
    newest = state.activations[element.success].number if element.success else 0
    if activation.number > newest:
        element.success = event.id
    state.mark(activation.path, activation.eid)


@_apply.register
def _(event: ev.ActivationReused, state: ProjectState) -> None:
    element = state.instances[event.path].element(event.eid)
    element.success = element.ended = event.id
    state.mark(event.path, event.eid)


@_apply.register
def _(event: ev.RetryAsked, state: ProjectState) -> None:
    state.instances[event.path].element(event.eid).retry = True
    state.mark(event.path, event.eid)


@_apply.register
def _(event: ev.ElementSkipped, state: ProjectState) -> None:
    element = state.instances[event.path].element(event.eid)
    element.skip, element.skipped_by = event.digest, event.by
    state.mark(event.path, event.eid)


@_apply.register
def _(event: ev.SkipEnded, state: ProjectState) -> None:
    element = state.instances[event.path].element(event.eid)
    element.skip, element.skipped_by = None, ""
    state.mark(event.path, event.eid)


@_apply.register
def _(event: ev.EvaluationStarted, state: ProjectState) -> None:
    element = state.instances[event.path].element(event.eid)
    evaluation = element.evaluation or Evaluation()
    element.evaluation = evaluation
    evaluation.number, evaluation.activation = event.number, event.activation
    evaluation.ended, evaluation.failure = False, None
    evaluation.branches = new_branches()
    for binding in evaluation.outputs.values():
        binding.declared = None
    evaluation.stale.clear()
    evaluation.moved.clear()
    evaluation.watched.clear()
    evaluation.undeclared = {
        child
        for child in state.children.get(event.path, ())
        if (owner := state.instances[child].owner) and owner.eid == event.eid
    }
    state.mark(event.path, event.eid)


@_apply.register
def _(event: ev.SegmentCommitted, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    branch = evaluation.branches[event.branch]
    branch.segments.append(event.digest)
    branch.waits, branch.ended, branch.running = event.waits, event.ended, False
    for key in event.spawned:
        evaluation.branches[key] = Branch(key, event.branch, event.index)
        evaluation.spawn_points[key] = (event.branch, event.index)
    if event.waits:
        watch(state, event.path, event.eid, evaluation, event.waits.sources, None)
        if event.waits.branch is not None:
            branch.joins[event.index] = event.waits.branch
    look(state, event.path, event.eid)


@_apply.register
def _(event: ev.AwaitAnswered, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    branch = evaluation.branches[event.branch]
    assert branch.waits is not None
    branch.answers[event.index] = Answered(event.value, event.digests, branch.waits)
    position = (event.branch, event.index)
    watch(state, event.path, event.eid, evaluation, branch.waits.sources, position)
    branch.waits, branch.running = None, True


@_apply.register
def _(event: ev.Decided, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    evaluation.decisions[event.position] = Decision(
        event.kind, event.candidates, event.chosen, event.outcome
    )
    if event.kind == "at_least":
        mark_deciding(state, event.path, event.eid, event.position)
        state.mark(event.path, event.eid)


@_apply.register
def _(event: ev.DecisionLapsed, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    evaluation.decisions.pop(event.position, None)
    mark_deciding(state, event.path, event.eid, event.position)
    state.mark(event.path, event.eid)
    wake(state, event.path, event.eid)


@_apply.register
def _(event: ev.OutputBound, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    binding = evaluation.outputs.setdefault(event.port, Binding())
    binding.declared = event.source
    if event.effective:
        binding.effective = event.source
    follow(state, event.path, event.eid, event.source)
    state.mark(event.path, event.eid)
    look(state, event.path, event.eid)


@_apply.register
def _(event: ev.EvaluationEnded, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    evaluation.ended, evaluation.failure = event.failure is None, event.failure
    state.mark(event.path, event.eid)
    look(state, event.path, event.eid)


@_apply.register
def _(event: ev.EffectClosed, state: ProjectState) -> None:
    if state.cancelling.get(event.object, 0) <= event.version:
        state.cancelling.pop(event.object, None)
