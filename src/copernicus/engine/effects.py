"""What events want done outside, and what a whole state wants done (SEMANTICS 8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from copernicus.engine.instances import Activation, Element, Instance
from copernicus.engine.provisional import streamed_ports, streams, streams_to, takes_streams
from copernicus.engine.state import ProjectState
from copernicus.model import events as ev
from copernicus.model.effects import (
    CancelJob,
    DescribeJob,
    Effect,
    EndEvaluation,
    Evaluate,
    HoldQueue,
    QueueJob,
    RetryBy,
    SendAnswer,
)
from copernicus.model.evaluation import Answer, Start

QUEUED, CANCELLED = 1, 2


def effects_of(state: ProjectState, events: Sequence[ev.Event]) -> list[Effect]:
    """What these just-recorded events newly want."""
    answered = {
        (event.path, event.eid, event.branch, event.index)
        for event in events
        if isinstance(event, ev.AwaitAnswered)
    }
    found = [effect for event in events for effect in _effects(state, event)]
    return [_before(effect, answered) if answered else effect for effect in found]


def _before(effect: Effect, answered: set[tuple[str, str, str, int]]) -> Effect:
    """An evaluation is begun with the answers that it had: those of now are sent after it."""
    if not isinstance(effect, Evaluate):
        return effect
    start = effect.start
    kept = tuple(
        one
        for one in start.answers
        if (start.path, start.eid, one.branch, one.index) not in answered
    )
    return Evaluate(msgspec.structs.replace(start, answers=kept))


def _effects(state: ProjectState, event: ev.Event) -> Iterator[Effect]:
    match event:
        case ev.ActivationOpened(id=activation):
            made = state.activations[activation]
            # A job that is known by now was made by an event after this one.
            if not made.outcome and made.job is None:
                yield from _wanted_job(state, made)
        case ev.JobMade(activation=activation):
            made = state.activations[activation]
            if not made.outcome:
                yield from _wanted_job(state, made)
        case ev.ReplacementWanted(activation=activation):
            yield CancelJob(activation, CANCELLED, only_idle=True)
        case ev.ActivationEnded(id=activation) if activation in state.cancelling:
            yield _cancel(state, activation, CANCELLED)
        case ev.PausedSet(paused=paused):
            yield HoldQueue(paused)
        case ev.RetriesSet(retries=retries):
            yield RetryBy(retries)
        case _:
            yield from _evaluation_effects(state, event)
            yield from _stream_effects(state, event)


def _evaluation_effects(state: ProjectState, event: ev.Event) -> Iterator[Effect]:
    match event:
        case ev.EvaluationStarted(path=path, eid=eid):
            yield from _wanted_evaluation(state, path, eid)
        case ev.AwaitAnswered():
            answer = Answer(event.branch, event.index, event.value)
            yield SendAnswer(event.path, event.eid, event.number, answer)
        case ev.EvaluationEnded(path=path, eid=eid, number=number):
            yield EndEvaluation(path, eid, number)
        case ev.CodeChanged(path=path, eid=eid, number=number) if event.departure:
            yield EndEvaluation(path, eid, number)
        case ev.InstanceRetired(path=path):
            for instance, element in _evaluations_below(state, path):
                assert element.evaluation is not None
                yield EndEvaluation(instance.path, element.eid, element.evaluation.number)
        case ev.InstanceDeclared(path=path):
            for instance, element in _evaluations_below(state, path):
                yield from _wanted_evaluation(state, instance.path, element.eid)


def _cancel(state: ProjectState, activation: str, version: int) -> CancelJob:
    return CancelJob(activation, version, checkpoint=activation not in state.discarding)


def _stream_effects(state: ProjectState, event: ev.Event) -> Iterator[Effect]:
    """What is wanted of jobs that run already, since somebody now takes what they have so far."""
    match event:
        case (
            ev.InputSet(path=path, port=port, source=source)
            | ev.PinSet(path=path, port=port, source=source)
        ) if takes_streams(state, path, port):
            yield from streams_to(state, (source,))
        case ev.ItemAppended(path=path, port=port, item=item) if takes_streams(state, path, port):
            yield from streams_to(state, (item.source,))
        case ev.ItemReplaced(path=path, port=port, source=source) if takes_streams(
            state, path, port
        ):
            yield from streams_to(state, (source,))
        case ev.OutputBound(path=path, port=port, source=source) if port in streamed_ports(
            state, state.instances[path]
        ):
            yield from streams_to(state, (source,))
        case ev.SegmentCommitted(waits=waits) if waits is not None and waits.kind == "peek":
            yield from streams_to(state, waits.sources)


def _wanted_job(state: ProjectState, made: Activation) -> Iterator[Effect]:
    if made.job is not None:
        yield QueueJob(made.id, QUEUED, made.job, made.parent, on_hold=state.paused)
        yield from streams(state, made)
        return
    spec = state.spec_of(made)
    if spec.kind == "program" and spec.entry:
        yield DescribeJob(made.id, spec.entry, made.inputs)


def _evaluations_below(state: ProjectState, path: str) -> Iterator[tuple[Instance, Element]]:
    pending = [path]
    while pending:
        at = pending.pop()
        pending.extend(state.children.get(at, ()))
        instance = state.instances.get(at)
        for element in instance.elements.values() if instance else ():
            if instance is not None and element.evaluation is not None:
                yield instance, element


def _wanted_evaluation(state: ProjectState, path: str, eid: str) -> Iterator[Effect]:
    instance = state.instances.get(path)
    element = instance.elements.get(eid) if instance else None
    if instance is None or element is None or element.evaluation is None:
        return
    evaluation = element.evaluation
    if not evaluation.live or _retired(state, instance):
        return
    made = state.activations[evaluation.activation]
    spec = state.spec_of(made)
    answers = tuple(
        Answer(branch.key, index, answered.value)
        for branch in evaluation.branches.values()
        for index, answered in sorted(branch.answers.items())
    )
    yield Evaluate(
        Start(
            path=path,
            eid=eid,
            number=evaluation.number,
            entry=spec.entry,
            version=evaluation.version,
            inputs=made.inputs,
            seed=state.seed,
            outputs=tuple(port.name for port in spec.outputs),
            answers=answers,
        )
    )


def wanted_start(state: ProjectState, path: str, eid: str) -> Start | None:
    """How to begin an evaluation, with its recorded answers; ``None`` if it is not wanted."""
    wanted = next(_wanted_evaluation(state, path, eid), None)
    return wanted.start if isinstance(wanted, Evaluate) else None


def _retired(state: ProjectState, instance: Instance) -> bool:
    """Whether it, or one around it, is retired: its evaluations are ended until it comes back.

    Those of skipped elements, and of elements out of their list, only get no answers.
    """
    at = instance
    while at.owner is not None and not at.retired:
        at = state.instances[at.owner.path]
    return at.retired


def open_effects(state: ProjectState) -> Iterator[Effect]:
    """Everything that the state wants done, to be carried out after a restart.

    They may be a million: each is made when it is asked for, of a state that stays as it is.
    """
    for made in state.activations.values():
        if not made.outcome:
            yield from _wanted_job(state, made)
            if made.replace:
                yield CancelJob(made.id, CANCELLED, only_idle=True)
    for activation, version in state.cancelling.items():
        yield _cancel(state, activation, version)
    for path, instance in state.instances.items():
        for eid, element in instance.elements.items():
            if element.evaluation is not None:
                yield from _wanted_evaluation(state, path, eid)
    yield HoldQueue(state.paused)
    yield RetryBy(state.retries)
