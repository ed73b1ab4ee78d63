"""A worker: it joins, asks for work, runs it, and tells how it ended. It only ever dials out."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import shutil
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from copernicus.blobs import BlobStore
from copernicus.errors import BadSettings, CopernicusError, NotAllowed, NotAuthenticated
from copernicus.executors.local import LocalExecutor
from copernicus.model.resources import Offer
from copernicus.protocol import Assignment
from copernicus.security.files import make_private_folder
from copernicus.worker.attempt import Attempt, Run
from copernicus.worker.bench import Bench, Tools
from copernicus.worker.console import Console
from copernicus.worker.delivery import Delivery
from copernicus.worker.heartbeats import Heartbeats
from copernicus.worker.hosts import Hosts
from copernicus.worker.identity import Identity, diagnose, obtain_identity, renew
from copernicus.worker.leasing import Leasing
from copernicus.worker.link import Link
from copernicus.worker.outcome import AttemptFailed, Outcome, failed
from copernicus.worker.probe import Machine, Share, Taken, free_mb, probe_machine
from copernicus.worker.program_run import ProgramRun
from copernicus.worker.programs import Program, find_programs
from copernicus.worker.settings import WorkerSettings
from copernicus.worker.spool import Finished, Spool, file_name
from copernicus.worker.task_run import TaskRun
from copernicus.worker.transfer import Transfer

INTERRUPTED = 130
_RENEW_AGAIN_S = 60.0


def run_worker(settings: WorkerSettings) -> int:
    """Be a worker until told to end, idle for too long, or drained; returns the exit code.

    Raises:
        BadSettings: The settings, the bundle, the programs file or the work folder are wrong.
        NotAuthenticated: The server does not take this worker; the message says why.
        ServerUnreachable: The server cannot be reached to join it.
    """
    with _locked(settings.work_dir), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(settings))


@contextlib.contextmanager
def _locked(work_dir: Path) -> Iterator[None]:
    make_private_folder(work_dir)
    with (work_dir / "worker.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadSettings(
                f"another worker is using {work_dir}: give this one a work folder of its own"
            ) from None
        yield


async def _run(settings: WorkerSettings) -> int:
    console = Console(json_lines=settings.json_lines)
    machine = probe_machine(settings)
    file = settings.programs or _own_programs(settings.work_dir)
    programs = await asyncio.to_thread(find_programs, file)
    identity = await obtain_identity(settings.bundle, settings.work_dir, machine)
    _introduce(console, identity, machine, programs, settings.work_dir)
    agent = Agent(settings, machine, programs, identity, console)
    return await agent.run()


def _own_programs(work_dir: Path) -> Path | None:
    file = work_dir / "programs.toml"
    return file if file.exists() else None


def _introduce(
    console: Console,
    identity: Identity,
    machine: Machine,
    programs: dict[str, Program],
    work_dir: Path,
) -> None:
    shown = ", ".join(f"{p.name} {p.version}".strip() for p in programs.values())
    gpus = f", {len(machine.gpus)} GPUs" if machine.gpus else ""
    console.say(
        "started",
        f"worker {identity.worker_id} of server {identity.bundle.server_id}",
        worker=identity.worker_id,
        server=identity.bundle.server_id,
        urls=identity.bundle.urls,
        pool=identity.bundle.pool,
        cores=machine.cores,
        memory_mb=machine.memory_mb,
        gpus=len(machine.gpus),
        programs={p.name: p.version for p in programs.values()},
        work_dir=str(work_dir),
    )
    console.say("machine", f"{machine.cores} cores, {machine.memory_mb} MiB{gpus} in {work_dir}")
    console.say("programs", f"programs: {shown}")


class Agent:
    """Ties the parts of a running worker together."""

    def __init__(
        self,
        settings: WorkerSettings,
        machine: Machine,
        programs: dict[str, Program],
        identity: Identity,
        console: Console,
    ) -> None:
        self._settings = settings
        self._machine = machine
        self._programs = programs
        self._identity = identity
        self._console = console
        self._share = Share(machine)
        self._attempts: dict[str, Attempt] = {}
        self._delivering: set[asyncio.Task[Any]] = set()
        self._ending = asyncio.Event()
        self._give_up = asyncio.Event()
        self._away = False
        self._exit_code = 0
        self._walltime_end = time.monotonic() + settings.walltime_s if settings.walltime_s else None
        self._offers = tuple(program.offer for program in programs.values())
        bundle = identity.bundle
        self._link = Link(bundle.urls, bundle.server_id, identity.context())
        self._link.on_answer = self._server_answers
        self._executor = LocalExecutor()
        self._cache = BlobStore.in_folder(settings.work_dir / "cache", durable=False)
        transfer = Transfer(self._link, self._cache, self._trouble)
        self._tools = Tools(
            self._executor, transfer, programs, bool(machine.gpus), settings.grace_s
        )
        self._spool = Spool(settings.work_dir / "spool")
        self._delivery = Delivery(self._link, transfer, self._spool, console, self._give_up)
        self._hosts = Hosts(self._executor, settings.work_dir / "hosts", machine.cores)
        self._leasing = Leasing(self._link, self._offer, self._take, self._trouble, self._ending)
        self._heartbeats = Heartbeats(
            self._link, self._attempts, self._free_now, lambda: self.end("the server drains it")
        )

    async def run(self) -> int:
        """Until the end; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        self._recover()
        keepers = [
            asyncio.create_task(self._heartbeats.run()),
            asyncio.create_task(self._renew_forever()),
            asyncio.create_task(self._watch_walltime()),
        ]
        try:
            await self._work(keepers)
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            await self._close()
        return self._exit_code

    async def _work(self, keepers: list[asyncio.Task[None]]) -> None:
        self._hosts.warm({"OMP_NUM_THREADS": "1", **self._no_gpus()})
        leasing = asyncio.create_task(
            self._leasing.run(lambda: not self._attempts, self._settings.idle_exit_s)
        )
        try:
            await asyncio.wait({leasing, *keepers}, return_when=asyncio.FIRST_COMPLETED)
            for task in (leasing, *keepers):
                if task.done():
                    task.result()
        except (NotAuthenticated, NotAllowed) as error:
            self._abandon()
            raise NotAuthenticated(await diagnose(self._identity, error)) from error
        finally:
            leasing.cancel()
            await asyncio.gather(leasing, return_exceptions=True)
        await self._wind_up()

    def _no_gpus(self) -> dict[str, str]:
        return {"CUDA_VISIBLE_DEVICES": ""} if self._machine.gpus else {}

    async def _wind_up(self) -> None:
        """Let what runs come to its end and its results to the server, within bounds."""
        while any(attempt.id in self._running for attempt in self._attempts.values()):
            await asyncio.wait(self._delivering, return_when=asyncio.FIRST_COMPLETED)
        if self._delivering:
            await asyncio.wait(self._delivering, timeout=self._settings.deliver_s)
        self._give_up.set()
        if self._delivering:
            await asyncio.wait(self._delivering, timeout=self._settings.deliver_s)
        self._console.say("ended", "worker ends")

    @property
    def _running(self) -> set[str]:
        return {attempt.id for attempt in self._attempts.values() if not attempt.worked}

    def _abandon(self) -> None:
        """Nobody wants what runs here any more."""
        for attempt in self._attempts.values():
            attempt.discard()

    async def _close(self) -> None:
        for task in self._delivering:
            task.cancel()
        await asyncio.gather(*self._delivering, return_exceptions=True)
        self._hosts.close()
        self._executor.close()
        await self._link.close()
        self._console.flush()

    def end(self, why: str) -> None:
        """Take no more work; stop what runs with a last checkpoint and hand it back."""
        if not self._ending.is_set():
            self._console.say("ending", f"worker is ending: {why}", running=len(self._attempts))
        self._ending.set()
        self._leasing.room()
        for attempt in self._attempts.values():
            attempt.stop()

    def _on_signal(self, number: signal.Signals) -> None:
        if self._ending.is_set() and number == signal.SIGINT:
            self._console.say("ended", "worker ends at once")
            self._exit_code = INTERRUPTED
            self._give_up.set()
            self._abandon()
            return
        self.end(f"signal {signal.Signals(number).name}")

    def _recover(self) -> None:
        """Deliver what an earlier worker of this folder left; remove the rest of it."""
        home = self._settings.work_dir / "attempts"
        home.mkdir(mode=0o700, exist_ok=True)
        wanted = set()
        for finished in list(self._spool.found()):
            wanted.add(finished.folder)
            self._console.say(
                "recovered",
                f"delivering the result of {finished.result.attempt} from an earlier run",
                attempt=finished.result.attempt,
            )
            self._start(self._delivery.deliver(finished, spool_first=True))
        for folder in home.iterdir():
            if str(folder) not in wanted:
                shutil.rmtree(folder, ignore_errors=True)

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._delivering.add(task)
        task.add_done_callback(self._delivering.discard)

    def _free_now(self) -> Offer:
        share, settings = self._share, self._settings
        left = None
        if self._walltime_end is not None:
            left = max(0.0, self._walltime_end - time.monotonic() - settings.grace_s)
        return Offer(
            programs=self._offers,
            cores=share.cores,
            memory_mb=share.memory_mb,
            gpus=share.gpus,
            disk_mb=free_mb(settings.work_dir),
            walltime_s=left,
            labels=settings.labels,
            projects=settings.projects,
            job_cores=settings.job_cores,
            max_jobs=settings.max_jobs and settings.max_jobs - len(self._running),
        )

    def _offer(self) -> Offer | None:
        offer = self._free_now()
        full = self._settings.max_jobs is not None and not offer.max_jobs
        if offer.cores < 1 or full:
            return None
        if offer.disk_mb < self._settings.min_free_mb:
            self._console.say(
                "disk_full",
                f"no work is asked for: {self._settings.work_dir} has {offer.disk_mb} MiB left",
            )
            return None
        return offer

    def _take(self, assignment: Assignment) -> None:
        if assignment.attempt in self._attempts:
            return
        wanted = assignment.spec.resources
        taken = self._share.take(assignment.cores, wanted.gpus, wanted.memory_mb)
        home = self._settings.work_dir / "attempts" / file_name(assignment.attempt)
        bench = Bench(assignment, taken, self._tools, home)
        attempt = Attempt(bench, self._run_of(bench), self._link, self._identity.worker_id)
        self._attempts[attempt.id] = attempt
        self._heartbeats.wanted.set()
        self._console.say(
            "job_started",
            f"started {bench.name} ({assignment.attempt}) on {assignment.cores} cores",
            attempt=assignment.attempt,
            name=bench.name,
        )
        self._start(self._live(attempt, taken))
        if self._ending.is_set():
            attempt.stop()

    def _run_of(self, bench: Bench) -> Run:
        spec = bench.assignment.spec
        program = self._programs.get(spec.program.name)
        if spec.task is not None:
            return TaskRun(bench, spec.task, self._hosts)
        if spec.command is None or program is None:
            return _NoRun(f"this worker has no program {spec.program.name!r}")
        return ProgramRun(bench, spec.command, program)

    async def _live(self, attempt: Attempt, taken: Taken) -> None:
        def release() -> None:
            attempt.worked = True
            self._share.give_back(taken)
            self._leasing.room()

        try:
            finished = await attempt.work(release)
            if attempt.discarded:
                self._say_end(attempt, "was given up")
                attempt.clean()
            else:
                self._tell_end(attempt, finished)
                await self._delivery.deliver(finished, spool_first=not attempt.quick)
        finally:
            self._attempts.pop(attempt.id, None)

    def _tell_end(self, attempt: Attempt, finished: Finished) -> None:
        result = finished.result
        why = f": {result.failure.reason}" if result.failure else ""
        self._say_end(attempt, result.outcome + why)

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

    def _trouble(self, error: CopernicusError, delay: float) -> None:
        """Say it once, not at every try."""
        if not self._away:
            self._console.say(
                "server_away", f"{error.message}; trying again (first in {delay:.1f} s)"
            )
        self._away = True

    def _server_answers(self) -> None:
        if self._away:
            self._away = False
            self._console.say("server_back", "the server answers again")

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._identity.seconds_to_renewal(datetime.now(UTC)))
            try:
                await renew(self._identity, self._link)
                self._console.say("renewed", "the worker's certificate was renewed")
            except (NotAuthenticated, NotAllowed):
                raise
            except CopernicusError as error:
                self._trouble(error, _RENEW_AGAIN_S)
                await asyncio.sleep(_RENEW_AGAIN_S)

    async def _watch_walltime(self) -> None:
        if self._walltime_end is None:
            await asyncio.Event().wait()
        assert self._walltime_end is not None
        left = self._walltime_end - time.monotonic() - self._settings.grace_s
        await asyncio.sleep(max(0.0, left))
        self.end("its wall time is nearly over")
        await asyncio.Event().wait()


class _NoRun:
    """Stands for a job that this worker should not have been given."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def run(self) -> Outcome:
        raise self._failure()

    def _failure(self) -> AttemptFailed:
        return failed(self._reason, "infrastructure")

    def stop(self) -> None:
        pass

    kill = stop
