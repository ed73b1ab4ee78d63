"""The attempts that a worker holds: started as they are granted, delivered as they end."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from copernicus.calling.link import Link
from copernicus.model.resources import Offer
from copernicus.protocol import Assignment, ResultRequest
from copernicus.worker.attempt import Attempt, Run
from copernicus.worker.backlog import Backlog
from copernicus.worker.bench import Bench, Tools
from copernicus.worker.console import Console, counted_cores
from copernicus.worker.delivery import Delivery
from copernicus.worker.gpus import told_to_programs
from copernicus.worker.hosts import Hosts
from copernicus.worker.outcome import Outcome, failed
from copernicus.worker.owner import Leaving
from copernicus.worker.probe import Machine, Share, Taken, free_mb
from copernicus.worker.program_run import ProgramRun
from copernicus.worker.settings import WorkerSettings
from copernicus.worker.spool import Finished, Spool, file_name
from copernicus.worker.task_run import TaskRun

_STUCK_S = 2.0


class Crew:
    """Runs attempts on the worker's share of the machine; ``on_room`` hears of freed cores."""

    def __init__(
        self,
        settings: WorkerSettings,
        machine: Machine,
        worker_id: str,
        link: Link,
        tools: Tools,
        delivery: Delivery,
        console: Console,
    ) -> None:
        self._settings = settings
        self._worker_id = worker_id
        self._link = link
        self._tools = tools
        self._delivery = delivery
        self._console = console
        self._share = Share(machine)
        self._kind = machine.kind
        self.paused = False
        # One that waits elsewhere would hold a slot of Parsl that a job could have.
        spare = machine.cores if machine.pins else 0
        self._hosts = Hosts(tools.executor, settings.work_dir / "hosts", spare)
        self._offers = tools.programs.offers
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stuck: asyncio.TimerHandle | None = None
        self.backlog = Backlog(machine.cores)
        delivery.outbox.is_busy = lambda: bool(self.backlog)
        self._stopping = False
        self._disk_full = False
        self.attempts: dict[str, Attempt] = {}
        self._running = 0
        self.on_room: Callable[[], None] = lambda: None
        self.on_start: Callable[[Attempt], None] = lambda _attempt: None
        self.ends_at: float | None = None
        if settings.walltime_s:
            self.ends_at = time.monotonic() + settings.walltime_s - settings.grace_s
        # What a host is given must be what a task of one core will ask for.
        if spare:
            self._hosts.warm({"OMP_NUM_THREADS": "1", **told_to_programs(machine.gpus, ())})

    def free_now(self) -> Offer:
        """What could be given to further jobs."""
        share, settings = self._share, self._settings
        return Offer(
            programs=self._offers,
            cores=share.cores,
            memory_mb=share.memory_mb,
            gpus=share.gpus,
            disk_mb=max(0, free_mb(settings.work_dir) - self._disk_promised()),
            walltime_s=None if self.ends_at is None else self.ends_at - time.monotonic(),
            labels=settings.labels,
            projects=settings.projects,
            job_cores=settings.job_cores,
            max_jobs=settings.max_jobs and settings.max_jobs - self._running,
            devices=share.devices,
            kind=self._kind,
        )

    def offer(self) -> Offer | None:
        """What to ask for work with; None while there is no room for any.

        On a disk that is almost full it offers nothing, and says why.
        """
        if self.paused or (not self._share.cores and not self.backlog.is_low):
            return None
        offer = self.free_now()
        if self._settings.max_jobs and not offer.max_jobs:
            return None
        full = offer.disk_mb < self._settings.min_free_mb
        notice = f"{self._settings.work_dir} has {offer.disk_mb} MiB left" if full else ""
        if full and not self._disk_full:
            self._console.say("disk_full", f"no work is asked for: {notice}")
        elif self._disk_full and not full:
            self._console.say("disk_free", "there is room on the disk again: work is asked for")
        self._disk_full = full
        return msgspec.structs.replace(offer, cores=0, notice=notice) if full else offer

    def take(self, assignment: Assignment) -> None:
        """Start an attempt, or let it wait for those before it if it was granted ahead."""
        if assignment.attempt in self.attempts or assignment.attempt in self.backlog:
            return
        self.backlog.add(assignment)
        if self._stopping or self.paused:
            self._hand_back()
        else:
            self._start_waiting()

    def _start_waiting(self) -> None:
        """Start what there is room for; hand back what waits for something that is not short."""
        while (head := self.backlog.head) is not None and self._has_room(head):
            self._begin(self.backlog.pop())
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        if self.backlog:
            loop = asyncio.get_running_loop()
            self._stuck = loop.call_later(_STUCK_S, self._hand_back)

    def _has_room(self, assignment: Assignment) -> bool:
        running, most = self._running, self._settings.max_jobs
        if not running:
            return True
        wanted, share = assignment.spec.resources, self._share
        return (
            assignment.cores <= share.cores
            and wanted.memory_mb <= share.memory_mb
            and share.has_gpus(wanted.gpu_need)
            and (not most or running < most)
        )

    def _hand_back(self) -> None:
        """Give what waits back to the server: another worker may be free."""
        for assignment in self.backlog.take_all():
            self.give_back(assignment)

    def give_back(self, assignment: Assignment) -> None:
        """Let the server have back what was granted, unbegun."""
        result = ResultRequest(assignment.attempt, 1, "stopped")
        self._start(self._delivery.deliver(Finished(result), spool_first=self._stopping))

    def _begin(self, assignment: Assignment) -> None:
        wanted = assignment.spec.resources
        taken = self._share.take(assignment.cores, wanted.gpu_need, wanted.memory_mb)
        home = self._settings.work_dir / "attempts" / file_name(assignment.attempt)
        bench = Bench(assignment, taken, self._tools, home)
        attempt = Attempt(bench, self._run_of(bench), self._link, self._worker_id)
        self.attempts[attempt.id] = attempt
        self._running += 1
        self.on_start(attempt)
        self._console.say(
            "job_started",
            f"started {bench.name} ({attempt.id}) on {counted_cores(len(taken.cores))}",
            attempt=attempt.id,
            name=bench.name,
        )
        self._start(self._live(attempt, taken))
        if self._stopping:
            attempt.stop()

    def recover(self, spool: Spool) -> None:
        """Deliver what an earlier worker of this folder left; remove the rest of it."""
        home = self._settings.work_dir / "attempts"
        home.mkdir(mode=0o700, exist_ok=True)
        wanted = set()
        for finished in list(spool.found()):
            wanted.add(finished.folder)
            name = finished.result.attempt
            self._console.say(
                "recovered", f"delivering the result of {name} from before", attempt=name
            )
            self._start(self._delivery.deliver(finished, spool_first=True))
        for folder in home.iterdir():
            if str(folder) not in wanted:
                shutil.rmtree(folder, ignore_errors=True)

    def stop(self) -> None:
        """Stop everything that runs, each with a last checkpoint."""
        self._stopping = True
        self._hand_back()
        for attempt in self.attempts.values():
            attempt.stop()

    def pause(self, leaving: Leaving) -> None:
        """Take nothing more for now; what runs finishes, is suspended, or is handed back."""
        self.paused = True
        self._hand_back()
        for attempt in self.attempts.values():
            if leaving == "suspend":
                attempt.suspend()
            elif leaving == "hand-back":
                attempt.stop()

    def go_on(self) -> None:
        """The end of a pause."""
        self.paused = False
        for attempt in self.attempts.values():
            attempt.go_on()

    def abandon(self) -> None:
        """Kill everything that runs: nobody wants it any more."""
        self.backlog.take_all()
        for attempt in self.attempts.values():
            attempt.discard()

    async def all_worked(self) -> None:
        """Return when nothing runs any more (results may still be on their way)."""
        while self._running or self.backlog:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED, timeout=1.0)

    async def all_delivered(self, seconds: float) -> None:
        """Return when every result was taken, or after this time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)

    async def close(self) -> None:
        """Break off what is left; results that are not delivered stay in the spool."""
        if self._stuck is not None:
            self._stuck.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._hosts.close()

    def _disk_promised(self) -> int:
        """What running jobs have asked for and not written yet, in MiB."""
        return sum(
            max(0, asked - int(one.bench.meter.disk_mb))
            for one in self.attempts.values()
            if (asked := one.bench.assignment.spec.resources.disk_mb)
        )

    def _start(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _run_of(self, bench: Bench) -> Run:
        spec = bench.assignment.spec
        program = self._tools.programs.find(spec.program, spec.resources.platform)
        if spec.task is not None:
            return TaskRun(bench, spec.task, self._hosts)
        if spec.command is None or program is None:
            return _NoRun(
                f"this worker does not offer {spec.program.name} {spec.program.versions}".strip()
            )
        return ProgramRun(bench, spec.command, program)

    async def _live(self, attempt: Attempt, taken: Taken) -> None:
        def release() -> None:
            attempt.worked = True
            self._running -= 1
            self._share.give_back(taken)
            seconds = time.monotonic() - attempt.bench.started
            function = attempt.bench.assignment.spec.function
            self.backlog.note(function, seconds * max(1, len(taken.cores)))
            self._start_waiting()
            if self._share.cores or self.backlog.is_low:
                self.on_room()

        try:
            finished = await attempt.work(release)
            if attempt.discarded:
                self._say_end(attempt, "given up")
                await asyncio.to_thread(attempt.clean)
            else:
                self._say_end(attempt, _shown(finished))
                careful = not attempt.quick or self._stopping
                await self._delivery.deliver(finished, spool_first=careful)
        finally:
            self.attempts.pop(attempt.id, None)

    def _say_end(self, attempt: Attempt, how: str) -> None:
        seconds = time.monotonic() - attempt.bench.started
        self._console.say(
            "job_finished",
            f"finished {attempt.bench.name} ({attempt.id}) after {seconds:.1f} s: {how}",
            attempt=attempt.id,
            name=attempt.bench.name,
            seconds=round(seconds, 3),
            outcome=how,
        )


def _shown(finished: Finished) -> str:
    failure = finished.result.failure
    return finished.result.outcome + (f": {failure.reason}" if failure else "")


class _NoRun:
    """Stands for a job that this worker should not have been given."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def run(self) -> Outcome:
        raise failed(self._reason, "infrastructure")

    def stop(self) -> None:
        """There is nothing to stop."""

    kill = suspend = go_on = stop
