"""The processes that run module code: describing jobs, evaluating workflow functions.

Nothing that they say is believed beyond its evaluation's number, and nothing is lost with them:
an evaluation that rested in a process that died, or that was evicted, is begun again with its
recorded answers when the next answer comes. One that breaks its process too often is given up.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from copernicus.errors import BadSettings, ServerBusy
from copernicus.evaluator.frames import (
    Begin,
    Catalog,
    Continue,
    Describe,
    Description,
    End,
    Gone,
    Refused,
    Reply,
    Request,
)
from copernicus.evaluator.frames import Rested as RestedFrame
from copernicus.model.effects import DescribeJob, Effect, EndEvaluation, Evaluate, SendAnswer
from copernicus.model.evaluation import Start
from copernicus.model.jobs import Failure
from copernicus.model.reports import Described, EvaluationBroke, Report, Rested
from copernicus.server.evaluator_process import EvaluatorDied, EvaluatorProcess
from copernicus.settings import ServerSettings
from copernicus.telemetry import get_logger

_LOG = get_logger("evaluators")
_ALL_NUMBERS: Final = 2**53
_RESTART_S: Final = 1.0

ReportTo = Callable[[str, Report], None]
FindStart = Callable[[str, str, str, int], Awaitable[Start | None]]


@dataclass(frozen=True, slots=True)
class _Key:
    """An element of a workflow instance. Processes know it without its project."""

    project: str
    path: str
    eid: str


@dataclass(slots=True)
class _Task:
    """Something to be asked of a process, and what it is about."""

    project: str
    effect: DescribeJob | Evaluate | SendAnswer | EndEvaluation
    tries: int = 0


@dataclass(slots=True)
class _Lane:
    """One process, what waits for it, and what rests in it (the longest at rest first)."""

    tasks: asyncio.Queue[_Task] = field(default_factory=asyncio.Queue)
    resting: OrderedDict[_Key, int] = field(default_factory=OrderedDict)
    process: EvaluatorProcess | None = None
    busy: bool = False

    @property
    def load(self) -> int:
        return self.tasks.qsize() + self.busy


class Evaluators:
    """The pool. ``carry_out`` takes effects; what comes of them goes to ``report``."""

    def __init__(
        self,
        settings: ServerSettings,
        report: ReportTo,
        find_start: FindStart,
        new_catalog: Callable[[Catalog], None],
        start_process: Callable[[], Awaitable[EvaluatorProcess]] = EvaluatorProcess.start,
    ) -> None:
        self._settings = settings
        self._start_process = start_process
        self._report = report
        self._find_start = find_start
        self._new_catalog = new_catalog
        self._lanes = [_Lane() for _ in range(settings.evaluators)]
        self._home: dict[_Key, _Lane] = {}
        self._describing: set[tuple[str, str]] = set()
        self._breaks: dict[tuple[_Key, int], int] = {}
        self._running: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start the processes.

        Raises:
            BadSettings: they do not start; the message holds what they printed.
        """
        try:
            processes = await asyncio.gather(*(self._start_process() for _ in self._lanes))
        except EvaluatorDied as error:
            raise BadSettings(
                "The process that runs module code (python -m copernicus.evaluator) does not "
                f"start: {error}"
            ) from error
        for lane, process in zip(self._lanes, processes, strict=True):
            lane.process = process
        self._new_catalog(processes[0].catalog)
        self._running = [asyncio.create_task(self._run(lane)) for lane in self._lanes]

    async def stop(self) -> None:
        """End the processes. What they were at is begun again after the next start."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.gather(*(lane.process.stop() for lane in self._lanes if lane.process))

    def carry_out(self, project: str, effect: Effect) -> None:
        """Have an effect carried out; one that is under way already is not repeated."""
        match effect:
            case DescribeJob(activation=activation):
                if (project, activation) not in self._describing:
                    self._describing.add((project, activation))
                    min(self._lanes, key=lambda lane: lane.load).tasks.put_nowait(
                        _Task(project, effect)
                    )
            case Evaluate(start=start):
                self._send(_Key(project, start.path, start.eid), _Task(project, effect))
            case SendAnswer() | EndEvaluation():
                self._send(_Key(project, effect.path, effect.eid), _Task(project, effect))
            case _:
                raise AssertionError(effect)

    def _send(self, key: _Key, task: _Task) -> None:
        """To the process where the evaluation is, so that nothing overtakes."""
        lane = self._home.get(key)
        if lane is None:
            lane = min(self._lanes, key=lambda one: (one.load, len(one.resting)))
            self._home[key] = lane
        lane.tasks.put_nowait(task)

    async def _run(self, lane: _Lane) -> None:
        while True:
            task = await lane.tasks.get()
            lane.busy = True
            try:
                await self._do(lane, task)
            except EvaluatorDied as death:
                await self._bury(lane)
                self._after_death(lane, task, str(death))
            except Exception as error:  # noqa: BLE001  # a bug must not silence a whole lane
                _LOG.exception("the evaluator pool has a bug", project=task.project)
                await self._bury(lane)
                self._after_death(lane, task, f"{type(error).__name__}: {error}")
            finally:
                lane.busy = False

    async def _do(self, lane: _Lane, task: _Task) -> None:
        match task.effect:
            case DescribeJob() as effect:
                await self._describe(lane, task.project, effect)
            case Evaluate(start=start):
                await self._begin(lane, task.project, start)
            case SendAnswer() as effect:
                await self._continue(lane, task.project, effect)
            case EndEvaluation() as effect:
                await self._end(lane, task.project, effect)

    async def _ask(self, lane: _Lane, request: Request, timeout_s: float) -> Reply:
        if lane.process is None:
            await self._revive(lane)
        assert lane.process is not None
        return await lane.process.ask(request, timeout_s)

    async def _revive(self, lane: _Lane) -> None:
        while lane.process is None:
            try:
                lane.process = await self._start_process()
            except EvaluatorDied as death:
                _LOG.error("an evaluator does not start; trying again", reason=str(death))
                await asyncio.sleep(_RESTART_S)
            else:
                self._new_catalog(lane.process.catalog)

    async def _describe(self, lane: _Lane, project: str, effect: DescribeJob) -> None:
        request = Describe(effect.activation, effect.entry, effect.inputs)
        reply = await self._ask(lane, request, self._settings.describe_timeout_s)
        if isinstance(reply, Description):
            self._described(project, Described(reply.id, reply.command, reply.failure))
        else:
            self._described(project, Described(effect.activation, failure=_nonsense(reply)))

    def _described(self, project: str, report: Described) -> None:
        self._describing.discard((project, report.activation))
        self._report(project, report)

    async def _begin(self, lane: _Lane, project: str, start: Start) -> None:
        key = _Key(project, start.path, start.eid)
        if lane.resting.get(key, start.number) > start.number:
            await self._evict(lane, key)
        reply = await self._ask(lane, Begin(start, project), self._settings.evaluate_timeout_s)
        await self._rested(lane, key, start.number, reply)

    async def _continue(self, lane: _Lane, project: str, effect: SendAnswer) -> None:
        key = _Key(project, effect.path, effect.eid)
        if lane.resting.get(key) != effect.number:
            await self._begin_again(lane, key, effect.number)
            return
        request = Continue(effect.path, effect.eid, effect.number, effect.answer, project)
        reply = await self._ask(lane, request, self._settings.evaluate_timeout_s)
        if isinstance(reply, Gone):
            lane.resting.pop(key, None)
            await self._begin_again(lane, key, effect.number)
        else:
            await self._rested(lane, key, effect.number, reply)

    async def _begin_again(self, lane: _Lane, key: _Key, number: int) -> None:
        start = await self._start_of(key, number)
        if start is None:
            self._forget(lane, key)
        else:
            await self._begin(lane, key.project, start)

    async def _start_of(self, key: _Key, number: int) -> Start | None:
        """How it begins now; a full disk, for which the server refuses all, is no fault of it."""
        while True:
            try:
                return await self._find_start(key.project, key.path, key.eid, number)
            except ServerBusy:
                await asyncio.sleep(_RESTART_S)

    async def _end(self, lane: _Lane, project: str, effect: EndEvaluation) -> None:
        key = _Key(project, effect.path, effect.eid)
        if lane.resting.get(key, _ALL_NUMBERS) <= effect.number:
            request = End(effect.path, effect.eid, effect.number, project)
            await self._ask(lane, request, self._settings.evaluate_timeout_s)
            self._forget(lane, key)

    async def _rested(self, lane: _Lane, key: _Key, number: int, reply: Reply) -> None:
        match reply:
            case RestedFrame(rest=rest, ended=ended):
                if ended:
                    self._forget(lane, key)
                else:
                    lane.resting[key] = number
                    lane.resting.move_to_end(key)
                    self._home[key] = lane
                self._breaks.pop((key, number), None)
                self._report(key.project, Rested(rest))
            case _:
                self._forget(lane, key)
                self._give_up(key, number, _nonsense(reply))
        while len(lane.resting) > self._settings.max_resting:
            await self._evict(lane, next(iter(lane.resting)))

    async def _evict(self, lane: _Lane, key: _Key) -> None:
        request = End(key.path, key.eid, _ALL_NUMBERS, key.project)
        await self._ask(lane, request, self._settings.evaluate_timeout_s)
        self._forget(lane, key)

    def _forget(self, lane: _Lane, key: _Key) -> None:
        # Its home stays while anything waits for it there, or two processes might have it.
        lane.resting.pop(key, None)
        if lane.tasks.empty():
            self._home.pop(key, None)

    async def _bury(self, lane: _Lane) -> None:
        process, lane.process = lane.process, None
        lane.resting.clear()
        if process is not None:
            await process.kill()

    def _after_death(self, lane: _Lane, task: _Task, reason: str) -> None:
        """Try again what the process died of, as often as is set; the others know nothing of it."""
        task.tries += 1
        _LOG.warning("an evaluator died", project=task.project, tries=task.tries, reason=reason)
        match task.effect:
            case DescribeJob(activation=activation):
                if task.tries <= self._settings.evaluator_restarts:
                    lane.tasks.put_nowait(task)
                    return
                failure = self._failure("describing the job", reason)
                self._described(task.project, Described(activation, failure=failure))
            case Evaluate(start=Start(path=path, eid=eid, number=number)):
                self._evaluation_died(lane, task, _Key(task.project, path, eid), number, reason)
            case SendAnswer(path=path, eid=eid, number=number):
                self._evaluation_died(lane, task, _Key(task.project, path, eid), number, reason)
            case EndEvaluation():
                pass

    def _evaluation_died(
        self, lane: _Lane, task: _Task, key: _Key, number: int, reason: str
    ) -> None:
        breaks = self._breaks[key, number] = self._breaks.get((key, number), 0) + 1
        if breaks <= self._settings.evaluator_restarts:
            lane.tasks.put_nowait(task)
            return
        del self._breaks[key, number]
        self._forget(lane, key)
        self._give_up(key, number, self._failure("evaluating it", reason))

    def _give_up(self, key: _Key, number: int, failure: Failure) -> None:
        self._report(key.project, EvaluationBroke(key.path, key.eid, number, failure))

    def _failure(self, doing: str, reason: str) -> Failure:
        times = self._settings.evaluator_restarts + 1
        first, _, rest = reason.partition("\n")
        return Failure(
            f"the process {doing} broke {times} times: {first.rstrip(':')}",
            "infrastructure",
            log=rest,
            remedy="mend the function or its inputs, then retry",
        )


def _nonsense(reply: Reply) -> Failure:
    said = reply.message if isinstance(reply, Refused) else type(reply).__name__
    return Failure(f"the evaluator refused: {said}", "infrastructure", remedy="retry")
