"""Provisional versions: what running jobs have so far, and what is made of it (SEMANTICS 2.2).

They go to ``streaming`` ports only. An activation with a provisional input gives provisional
outputs, which are withdrawn with it and answer no plain await.
"""

from __future__ import annotations

from collections.abc import Iterator

from copernicus.engine.digests import value_digest
from copernicus.engine.indexes import references
from copernicus.engine.instances import Activation, Element, Instance
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import Step
from copernicus.errors import CopernicusError
from copernicus.model import events as ev
from copernicus.model.effects import StreamJob
from copernicus.model.network import OutRef, Source
from copernicus.model.reports import PartialGiven, PartialWithdrawn
from copernicus.model.types import check


def given(step: Step, report: PartialGiven) -> None:
    """Take what a running job has so far, if anybody wants it and it is news."""
    made = step.state.activations.get(report.activation)
    if made is None or made.outcome or not made.works:
        return
    if (report.attempt, report.sequence) <= (made.partial_attempt, made.partial_sequence):
        return
    wanted = streamed_ports(step.state, step.state.instances[made.path])
    outputs = {}
    for port in step.state.spec_of(made).outputs:
        if port.name in wanted and report.outputs.get(port.name) is not None:
            try:
                outputs[port.name] = check(port.type, report.outputs[port.name], port.name)
            except CopernicusError:
                continue
    if outputs and {n: value_digest(v) for n, v in outputs.items()} != made.partial_digests:
        step.emit(ev.PartialMade(made.id, report.attempt, report.sequence, outputs))


def withdrawn(step: Step, report: PartialWithdrawn) -> None:
    """The attempt is no more, and neither is what it had given."""
    made = step.state.activations.get(report.activation)
    if made is not None and made.partial is not None and made.partial_attempt == report.attempt:
        step.emit(ev.PartialEnded(made.id))


def end_outdated(step: Step, element: Element) -> None:
    """End what was made of provisional inputs when these are there no more, or are final."""
    if element.provisional and element.ready:
        return
    if element.partial is not None:
        step.emit(ev.PartialEnded(element.partial))
    if element.open is not None and step.state.activations[element.open].provisional:
        step.emit(ev.ActivationEnded(element.open, "stopped"))


def streamed_ports(state: ProjectState, instance: Instance) -> tuple[str, ...]:
    """The outputs of an instance that somebody takes while its jobs run."""
    path = instance.path
    if not (path in state.dependents or path in state.watchers or path in state.followers):
        return ()
    return tuple(sorted(set(_takers(state, path))))


def _takers(state: ProjectState, path: str) -> Iterator[str]:
    for taker in state.dependents.get(path, ()):
        at = state.instances.get(taker)
        for port in state.spec(at).inputs if at is not None else ():
            if at is not None and port.streaming:
                yield from _ports_of(at.inputs.get(port.name), path)
    for key in state.watchers.get(path, ()):
        yield from _peeked(state, key, path)
    for workflow, eid in state.followers.get(path, ()):
        owner = state.instances.get(workflow)
        element = owner.elements.get(eid) if owner else None
        if owner is None or element is None or element.evaluation is None:
            continue
        wanted = set(_takers(state, workflow))
        for name, binding in element.evaluation.outputs.items():
            if name in wanted:
                yield from _ports_of(binding.declared or binding.effective, path)


def _peeked(state: ProjectState, key: tuple[str, str], path: str) -> Iterator[str]:
    owner = state.instances.get(key[0])
    element = owner.elements.get(key[1]) if owner else None
    evaluation = element.evaluation if element else None
    for branch in evaluation.branches.values() if evaluation and evaluation.live else ():
        if branch.waits is not None and branch.waits.kind == "peek":
            for source in branch.waits.sources:
                yield from _ports_of(source, path)


def _ports_of(source: Source | None, path: str) -> Iterator[str]:
    for reference in references(source):
        if isinstance(reference, OutRef) and reference.path == path:
            yield reference.port


def streams(state: ProjectState, made: Activation) -> Iterator[StreamJob]:
    """What is wanted of a job while it runs, if anything."""
    ports = streamed_ports(state, state.instances[made.path])
    if made.job is not None and not made.outcome and ports:
        yield StreamJob(made.id, state.position, ports)


def streams_to(state: ProjectState, sources: tuple[Source | None, ...]) -> Iterator[StreamJob]:
    """What is wanted of the jobs that run behind sources that have just found a taker."""
    found = {(r.path, r.port) for s in sources for r in references(s) if isinstance(r, OutRef)}
    for path, port in sorted(found):
        upstream = state.instances.get(path)
        for element in upstream.elements.values() if upstream else ():
            if element.open is not None:
                yield from streams(state, state.activations[element.open])
            binding = element.evaluation.outputs.get(port) if element.evaluation else None
            if binding is not None:
                yield from streams_to(state, (binding.declared or binding.effective,))


def takes_streams(state: ProjectState, path: str, port: str) -> bool:
    """Whether an input takes what running jobs have so far."""
    found = state.instances.get(path)
    ports = state.spec(found).inputs if found is not None else ()
    return any(p.name == port and p.streaming for p in ports)
