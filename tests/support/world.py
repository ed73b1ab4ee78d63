"""A project with a simulated outside: jobs and evaluations are carried out by the test.

Every step is held against the equation of the design: the facts of the state are those that the
journal tells when it is folded from its start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from copernicus.engine import tallies
from copernicus.engine.core import (
    create_project,
    effects_of,
    fold,
    go_on,
    has_more_to_fire,
    open_effects,
    submit_edits,
    submit_report,
)
from copernicus.engine.resolve import resolve
from copernicus.engine.standing import counts, standing_of
from copernicus.engine.state import ProjectState
from copernicus.engine.views import decisions, element_state, value
from copernicus.engine.waiting import waits_for
from copernicus.evaluator.runner import Evaluation
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.effects import (
    CancelJob,
    DescribeJob,
    Effect,
    EndEvaluation,
    Evaluate,
    HoldQueue,
    QueueJob,
    SendAnswer,
    StreamJob,
)
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.jobs import Failure
from copernicus.model.paths import parse
from copernicus.model.reports import (
    JobEnded,
    JobStopped,
    PartialGiven,
    PartialWithdrawn,
    Report,
    Rested,
)
from copernicus.model.types import AnyType, PortType
from copernicus.protocol import DecisionView


def task_spec(
    name: str,
    inputs: str | Sequence[Port] = "x",
    outputs: str = "y",
    port_type: PortType | None = None,
    **fields: Any,
) -> FunctionSpec:
    """A task function with ports of any type."""
    kind = port_type or AnyType()
    ports = (
        tuple(Port(n, kind) for n in inputs.split()) if isinstance(inputs, str) else tuple(inputs)
    )
    return FunctionSpec(
        name=name,
        version="1",
        kind="task",
        inputs=ports,
        outputs=tuple(Port(n, AnyType()) for n in outputs.split()),
        module="test",
        entry=f"test:{name}",
        **fields,
    )


class World:
    """A project, its journal, and an outside that does only what the test says."""

    def __init__(self, *specs: FunctionSpec, workflows: dict[str, Any] | None = None) -> None:
        self.catalog = {spec.name: spec for spec in specs}
        self.workflows = dict(workflows or {})
        for function in self.workflows.values():
            self.catalog[function.spec.name] = function.spec
        self.state, first = create_project("p", "test", "ann", 7)
        self.journal: list[ev.Event] = list(first)
        self.queue: dict[str, QueueJob] = {}
        self.on_hold = False
        self.cancelled: list[str] = []
        # Versions of the effects on jobs: one of a lower version is none any more (8.1).
        self.carried_out: dict[str, int] = {}
        self.idle_cancels: list[str] = []
        self.streams: dict[str, tuple[str, ...]] = {}
        self.checkpointed: dict[str, bool] = {}
        self.evaluations: dict[tuple[str, str], Evaluation] = {}
        self.started: list[str] = []
        self.rests_lost = False
        # How many activations a step may open; the rest follows at once.
        self.limit: int | None = None

    # --- driving ---------------------------------------------------------------------------

    def edit(self, *edits: ed.Edit, author: str = "ann", reuse: bool = False) -> list[ev.Event]:
        made = submit_edits(self.state, edits, author, self.catalog, self.limit, reuse=reuse)
        return self._took(made)

    def report(self, report: Report) -> list[ev.Event]:
        return self._took(submit_report(self.state, report, self.catalog, self.limit))

    def add(self, path: str, function: str, **inputs: Any) -> None:
        mapped = tuple(inputs.pop("mapped", ()))
        self.edit(
            ed.AddInstance(path, function, mapped, held=False),
            *(self._input(path, port, given) for port, given in inputs.items()),
        )

    def _input(self, path: str, port: str, given: Any) -> ed.Edit:
        target = f"{path}.in.{port}"
        if isinstance(given, str) and ".out." in given:
            return ed.Connect(given, target)
        return ed.SetInput(target, given)

    def set(self, target: str, given: Any) -> list[ev.Event]:
        return self.edit(ed.SetInput(target, given))

    def _commit(self, events: list[ev.Event]) -> None:
        self.journal.extend(events)
        self.started.extend(e.path for e in events if isinstance(e, ev.ActivationOpened))

    def _took(self, events: list[ev.Event]) -> list[ev.Event]:
        self._commit(events)
        for effect in effects_of(self.state, events):
            self.carry_out(effect)
        while has_more_to_fire(self.state):
            self._took(go_on(self.state, self.catalog, self.limit))
        return events

    def carry_out(self, effect: Effect) -> None:
        match effect:
            case QueueJob(activation=activation, version=version):
                if self.carried_out.get(activation, 0) <= version:
                    self.queue[activation] = effect
            case CancelJob(activation=activation, only_idle=True):
                self.idle_cancels.append(activation)
            case CancelJob(activation=activation, version=version, checkpoint=checkpoint):
                self.checkpointed[activation] = checkpoint
                self.carried_out[activation] = version
                self.queue.pop(activation, None)
                self.cancelled.append(activation)
                self._stopped(activation, version)
            case StreamJob(activation=activation, ports=ports):
                self.streams[activation] = ports
            case HoldQueue(on_hold=on_hold):
                self.on_hold = on_hold
            case Evaluate(start=start):
                function = next(f for f in self.workflows.values() if f.spec.entry == start.entry)
                known = self.evaluations.get((start.path, start.eid))
                if known is None or known.start.number < start.number:
                    evaluation = Evaluation(start, function)
                    self.evaluations[start.path, start.eid] = evaluation
                    self._rest(evaluation.run())
            case SendAnswer(path=path, eid=eid, number=number, answer=answer):
                known = self.evaluations.get((path, eid))
                if known is not None and known.start.number == number:
                    self._rest(known.answer(answer))
            case EndEvaluation(path=path, eid=eid, number=number):
                known = self.evaluations.get((path, eid))
                if known is not None and known.start.number <= number:
                    del self.evaluations[path, eid]
            case DescribeJob():
                self._describe(effect)

    def _stopped(self, activation: str, version: int) -> None:
        self.report(JobStopped(activation, version))

    def _describe(self, wanted: DescribeJob) -> None:
        raise AssertionError(f"this world has no program functions with code: {wanted.entry}")

    def _rest(self, rest: Any) -> None:
        if not self.rests_lost:
            self.report(Rested(rest))

    def _recall(self) -> ProjectState:
        return fold(self.journal)

    def restart(self) -> None:
        """The server dies and comes back: everything but the journal is gone."""
        self.state = self._recall()
        self.queue.clear()
        self.streams.clear()
        self.evaluations.clear()
        for effect in list(open_effects(self.state)):
            self.carry_out(effect)
        left = go_on(self.state, self.catalog, self.limit)
        assert self.limit is not None or not left, "a restart decides nothing by itself"
        self._took(left)

    def evict(self, path: str, eid: str = "") -> None:
        """The evaluator of one evaluation dies: it is begun again with what is recorded."""
        del self.evaluations[path, eid]
        for effect in list(open_effects(self.state)):
            if isinstance(effect, Evaluate) and (effect.start.path, effect.start.eid) == (
                path,
                eid,
            ):
                self.carry_out(effect)

    # --- the outside -----------------------------------------------------------------------

    def running(self, path: str) -> str:
        """The activation under way at a path (``run[2]``: of that element)."""
        address = parse(path)
        instance = self.state.instance(address.instance)
        eid = "" if address.element is None else (instance.eids or ())[address.element]
        found = instance.elements[eid].open
        assert found is not None, f"nothing runs at {path}"
        return found

    def done(self, path_or_id: str, **outputs: Any) -> list[ev.Event]:
        activation = self._id(path_or_id)
        self.queue.pop(activation, None)
        return self.report(JobEnded(activation, outputs=outputs))

    def fails(self, path_or_id: str, reason: str = "broken") -> list[ev.Event]:
        activation = self._id(path_or_id)
        self.queue.pop(activation, None)
        return self.report(JobEnded(activation, failure=Failure(reason)))

    def so_far(
        self, path: str, attempt: int = 1, sequence: int = 1, **outputs: Any
    ) -> list[ev.Event]:
        return self.report(PartialGiven(self._id(path), attempt, sequence, outputs))

    def lost(self, path: str, attempt: int = 1) -> list[ev.Event]:
        return self.report(PartialWithdrawn(self._id(path), attempt))

    def _id(self, path_or_id: str) -> str:
        if path_or_id in self.state.activations:
            return path_or_id
        return self.running(path_or_id)

    def work(self, compute: Callable[[str, dict[str, Any]], Any], limit: int = 10_000) -> int:
        """Do all queued jobs, in order, until there are none: ``y = compute(function, inputs)``."""
        count = 0
        while self.queue and not self.on_hold and count < limit:
            activation, job = next(iter(self.queue.items()))
            assert job.spec.task is not None
            result = compute(job.spec.function, job.spec.task.inputs)
            outputs = result if isinstance(result, dict) else {"y": result}
            self.done(activation, **outputs)
            count += 1
        return count

    # --- looking ---------------------------------------------------------------------------

    def status(self, path: str) -> str:
        address = parse(path)
        instance = self.state.instance(address.instance)
        eid = "" if address.element is None else (instance.eids or ())[address.element]
        return element_state(self.state, instance, instance.elements[eid])

    def decisions(self, path: str) -> list[DecisionView]:
        return decisions(self.state, path)

    def waits_for(self, path: str) -> str:
        address = parse(path)
        instance = self.state.instance(address.instance)
        eid = "" if address.element is None else (instance.eids or ())[address.element]
        return waits_for(self.state, instance, instance.elements[eid])

    def value(self, path: str) -> Any:
        return value(self.state, parse(path)).value

    def standing(self, path: str) -> str:
        return value(self.state, parse(path)).state

    def starts(self) -> list[str]:
        """Paths that have fired since this was last asked."""
        started, self.started = self.started, []
        return started

    def check(self) -> None:
        """The journal is the truth."""
        check_fold(self.state, self.journal)


def check_kept(state: ProjectState) -> None:
    """What is kept of each instance is what looking at everything anew tells."""
    for path, instance in state.instances.items():
        listed = Counter(standing_of(state, element) for element in instance.listed())
        assert counts(instance) == listed, path
        assert instance.not_current == sum(not (e.current or e.hole) for e in instance.listed())
        for port, (source, found) in instance.taken.items():
            if instance.inputs.get(port) is source:
                assert resolve(state, source) == found, (path, port)

    for key, tally in list(state.tallies.items()):
        looked = [tallies.standing(state, tally, place) for place in range(len(tally.items))]
        stale = {place for path in tally.changed for place in tally.places[path]}
        stale.update(tally.unsteady)
        # A list of a workflow that was removed is counted by nobody until that comes back.
        gone = {path for path in tally.places if path not in state.instances}
        stale.update(place for path in gone for place in tally.places[path])
        for place, (kept, now) in enumerate(zip(tally.standings, looked, strict=True)):
            assert kept == now or place in stale, (key, place)


def check_fold(state: ProjectState, journal: Sequence[ev.Event]) -> None:
    check_same(fold(journal), state)


def check_same(again: ProjectState, state: ProjectState) -> None:
    """Two states of one journal: equal facts, and what follows from them."""
    check_kept(state)
    assert again.facts() == state.facts()
    for path, instance in state.instances.items():
        other = again.instances[path]
        assert other.eids == instance.eids, path
        for eid in instance.eids or ():
            mine, told = instance.elements[eid], other.elements[eid]
            assert (mine.current, mine.hole, mine.ready) == (told.current, told.hole, told.ready), (
                path,
                eid,
            )
            if mine.evaluation is not None and told.evaluation is not None:
                assert mine.evaluation.stale == told.evaluation.stale, (path, eid)
                assert mine.evaluation.moved == told.evaluation.moved, (path, eid)
