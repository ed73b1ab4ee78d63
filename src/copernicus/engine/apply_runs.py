"""Recording of events about activations: what fired, how it ended, what a user asked of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from copernicus.engine import earlier
from copernicus.engine.digests import value_digest
from copernicus.engine.instances import Activation, Instance
from copernicus.engine.record import record
from copernicus.engine.sharing import alike
from copernicus.engine.state import ProjectState
from copernicus.model import events as ev
from copernicus.model.empty import NOTHING
from copernicus.model.jobs import AttemptRecord
from copernicus.model.values import files_in


@record.register
def _(event: ev.ActivationOpened, state: ProjectState) -> None:
    number = state.next_activation
    state.next_activation += 1
    instance = state.instances[event.path]
    element = instance.element(event.eid)
    version, digest = event.version, event.digest
    activation = Activation(
        works=state.spec(instance).kind != "workflow",
        id=event.id,
        number=number,
        path=instance.path,
        incarnation=event.incarnation,
        eid=element.eid,
        version=instance.version if version == instance.version else version,
        inputs=event.inputs,
        digest=digest,
        base_digest=digest if event.base_digest == digest else event.base_digest,
        lineage=event.id if event.lineage == event.id else event.lineage,
        strict_digest=digest if event.strict_digest == digest else event.strict_digest,
        origins=event.origins,
        left_out=event.left_out,
        parent=event.parent,
        provisional=event.provisional,
    )
    state.activations[event.id] = activation
    element.open, element.retry, element.replay = event.id, False, False
    state.jobs_open += activation.works
    state.mark_opened(instance, element)


@record.register
def _(event: ev.JobMade, state: ProjectState) -> None:
    made, spec = state.activations[event.activation], event.spec
    like = state.jobs_like.get(spec.function)
    made.job = state.jobs_like[spec.function] = alike(spec, like, made.inputs, made.digest)


@record.register
def _(event: ev.ReplacementWanted, state: ProjectState) -> None:
    state.activations[event.activation].replace = True


@record.register
def _(event: ev.ActivationEnded, state: ProjectState) -> None:
    activation = state.activations[event.id]
    if not activation.outcome:
        state.jobs_open -= activation.works
    activation.outcome, activation.failure = event.outcome, event.failure
    _account(state, event.attempts, {} if event.reused else event.outputs)
    activation.attempts, activation.checkpoint = event.attempts, event.checkpoint
    activation.superseded_by, activation.reused = event.by, event.reused
    if event.outcome in ("stopped", "superseded", "cancelled") and activation.job:
        state.cancelling[event.id] = 2
        if event.discard:
            state.discarding.add(event.id)
    instance = state.instances.get(activation.path)
    if instance is None or instance.incarnation != activation.incarnation:
        return
    element = instance.element(activation.eid)
    if element.open == event.id:
        element.open = None
        earlier.keep_lineage(element, activation)
    activation.partial, activation.partial_digests = None, NOTHING
    if event.outcome == "succeeded" and activation.provisional:
        element.partial, element.ended = event.id, event.id
        _give_partial(activation, event.outputs)
    elif event.outcome == "succeeded":
        _succeed(activation, element_outputs=event.outputs)
        earlier.succeed(state, element, activation)
        element.ended = event.id
        _note_reusable(state, instance, activation)
    elif event.outcome in ("failed", "cancelled"):
        element.ended = event.id
    state.mark(activation.path, activation.eid)


def _note_reusable(state: ProjectState, instance: Instance, made: Activation) -> None:
    """Remember a result for equal calls, if it is known which version of the program made it."""
    spec = state.functions[instance.function][made.version]
    known = any(a.outcome == "completed" and a.program_version for a in made.attempts)
    if spec.cache and known:
        state.reusable.setdefault((instance.function, made.version, made.digest), made.id)


def _account(
    state: ProjectState, attempts: Sequence[AttemptRecord], outputs: Mapping[str, object]
) -> None:
    state.core_seconds += sum(a.cores * max(0.0, a.ended - a.started) for a in attempts)
    state.bytes_made += sum(file.size for file in files_in(outputs))


def _succeed(activation: Activation, element_outputs: dict[str, object]) -> None:
    activation.outputs = element_outputs
    activation.output_digests = {p: value_digest(v) for p, v in element_outputs.items()}


@record.register
def _(event: ev.ResultKept, state: ProjectState) -> None:
    activation = state.activations[event.id]
    _succeed(activation, event.outputs)
    _account(state, event.attempts, event.outputs)
    activation.attempts, activation.checkpoint = event.attempts, event.checkpoint
    instance = state.keeper(activation)
    if instance is None:
        return
    element = instance.element(activation.eid)
    newest = state.activations[element.success].number if element.success else 0
    if activation.number > newest:
        earlier.succeed(state, element, activation)
    else:
        earlier.keep_success(element, activation)
    state.mark(activation.path, activation.eid)


@record.register
def _(event: ev.ActivationReused, state: ProjectState) -> None:
    element = state.instances[event.path].element(event.eid)
    earlier.succeed(state, element, state.activations[event.id])
    element.ended = event.id
    state.mark(event.path, event.eid)


def _give_partial(activation: Activation, outputs: dict[str, object]) -> None:
    activation.partial = outputs
    activation.partial_digests = {p: value_digest(v) for p, v in outputs.items()}


@record.register
def _(event: ev.PartialMade, state: ProjectState) -> None:
    activation = state.activations[event.id]
    _give_partial(activation, event.outputs)
    activation.partial_attempt, activation.partial_sequence = event.attempt, event.sequence
    state.mark(activation.path, activation.eid)


@record.register
def _(event: ev.PartialEnded, state: ProjectState) -> None:
    activation = state.activations[event.id]
    activation.partial, activation.partial_digests = None, NOTHING
    instance = state.instances.get(activation.path)
    if instance is not None and instance.incarnation == activation.incarnation:
        element = instance.element(activation.eid)
        if element.partial == event.id:
            element.partial = None
        state.mark(activation.path, activation.eid)


@record.register
def _(event: ev.RetryAsked, state: ProjectState) -> None:
    element = state.instances[event.path].element(event.eid)
    element.retry, element.asks = True, {**element.asks, **event.resources}
    state.mark(event.path, event.eid)


@record.register
def _(event: ev.ElementSkipped, state: ProjectState) -> None:
    element = state.instances[event.path].element(event.eid)
    element.skip, element.skipped_by = event.digest, event.by
    state.mark(event.path, event.eid)


@record.register
def _(event: ev.SkipEnded, state: ProjectState) -> None:
    element = state.instances[event.path].element(event.eid)
    element.skip, element.skipped_by = None, ""
    state.mark(event.path, event.eid)


@record.register
def _(event: ev.FilesDropped, state: ProjectState) -> None:
    for name in event.activations:
        made = state.activations[name]
        made.dropped = event.at
        instance = state.keeper(made)
        if instance is None:
            continue
        # A result without its files is none: an element that has to have it again runs again.
        element = instance.element(made.eid)
        earlier.forget_success(element, name)
        element.ended = None if element.ended == name else element.ended
        element.partial = None if element.partial == name else element.partial
        reusable = (instance.function, made.version, made.digest)
        if state.reusable.get(reusable) == name:
            del state.reusable[reusable]
        if instance is state.instances.get(made.path):
            state.mark(made.path, made.eid)


@record.register
def _(event: ev.EffectClosed, state: ProjectState) -> None:
    if state.cancelling.get(event.object, 0) <= event.version:
        state.cancelling.pop(event.object, None)
        state.discarding.discard(event.object)
