"""A worker: it joins, asks for work, runs it, and tells how it ended. It only ever dials out."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import fcntl
import gc
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from copernicus.blobs import BlobStore
from copernicus.calling.clocks import ClockIsOff, ask_for_clock
from copernicus.calling.link import Link
from copernicus.calling.waiting import within
from copernicus.errors import (
    BadSettings,
    CopernicusError,
    NotAllowed,
    NotAuthenticated,
    ServerBusy,
    ServerUnreachable,
    UpgradeNeeded,
)
from copernicus.executors.local import LocalExecutor
from copernicus.security.files import make_private_folder
from copernicus.worker.allocation import seconds_left
from copernicus.worker.bench import Tools
from copernicus.worker.console import Console, counted_cores
from copernicus.worker.crew import Crew
from copernicus.worker.delivery import Delivery
from copernicus.worker.grounds import Grounds
from copernicus.worker.heartbeats import Heartbeats
from copernicus.worker.identity import Identity, diagnose, obtain_identity, renew
from copernicus.worker.leasing import Leasing
from copernicus.worker.limits import Limits
from copernicus.worker.places import place_of_work
from copernicus.worker.presence import Presence
from copernicus.worker.probe import Machine
from copernicus.worker.programs import Programs, find_programs
from copernicus.worker.settings import WorkerSettings
from copernicus.worker.spool import Spool
from copernicus.worker.transfer import Transfer

INTERRUPTED = 130
LEAVE_S = 5.0
_RENEW_AGAIN_S = 10.0
_LOOK_AT_CLOCK_S = 60.0
_SPARE = 64
_COLLECT_AFTER = 20_000


def run_worker(settings: WorkerSettings) -> int:
    """Be a worker until told to end, idle for too long, or drained; returns the exit code.

    Raises:
        BadSettings: The settings, the bundle, the programs file or the work folder are wrong.
        NotAuthenticated: The server does not take this worker; the message says why.
        ServerUnreachable: The server cannot be reached to join it.
    """
    # What is here now stays, and what a job leaves in circles can wait for that of others.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
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
    with contextlib.ExitStack() as stack:
        executor, settings, machine = await asyncio.to_thread(place_of_work, settings)
        stack.callback(executor.close)
        return await _be(settings, machine, executor, console)


async def _be(
    settings: WorkerSettings, machine: Machine, executor: LocalExecutor, console: Console
) -> int:
    file = settings.programs or _own_programs(settings.work_dir)
    programs = await asyncio.to_thread(find_programs, file, allow_scripts=settings.allow_scripts)
    programs.check(prefixes=executor.prefixes)
    identity = await obtain_identity(settings.bundle, settings.work_dir, machine)
    _introduce(console, identity, machine, programs, settings.work_dir)
    settings = await _within_allocation(settings, console)
    agent = Agent(settings, machine, programs, identity, console, executor)
    return await agent.run()


async def _within_allocation(settings: WorkerSettings, console: Console) -> WorkerSettings:
    left = await seconds_left(os.environ, time.time())
    if left is None or (settings.walltime_s is not None and settings.walltime_s <= left):
        return settings
    console.say("allocation", f"its batch job ends in {left:.0f} s", seconds=round(left))
    return dataclasses.replace(settings, walltime_s=max(left, 1.0))


def _own_programs(work_dir: Path) -> Path | None:
    file = work_dir / "programs.toml"
    return file if file.exists() else None


def _introduce(
    console: Console,
    identity: Identity,
    machine: Machine,
    programs: Programs,
    work_dir: Path,
) -> None:
    shown = ", ".join(f"{p.name} {p.version}".strip() for p in programs.offered)
    gpus = f", {len(machine.gpus)} GPUs" if machine.gpus else ""
    threads = f" (and {machine.second_threads} second hyper-threads)"
    threads = threads if machine.second_threads else ""
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
        programs={p.name: p.version for p in reversed(programs.offered)},
        work_dir=str(work_dir),
    )
    console.say(
        "machine",
        f"{counted_cores(machine.cores)}{threads}, {machine.memory_mb} MiB{gpus} in {work_dir}",
    )
    console.say("programs", f"programs: {shown}")
    for refusal in programs.refused:
        if refusal.wanted:
            console.say("refused", f"{refusal.name} is not offered: {refusal.reason}")


class Agent:
    """The life of a running worker: it keeps asking, beating and renewing until its end."""

    def __init__(
        self,
        settings: WorkerSettings,
        machine: Machine,
        programs: Programs,
        identity: Identity,
        console: Console,
        executor: LocalExecutor,
    ) -> None:
        self._settings = settings
        self._identity = identity
        self._console = console
        self._ending = asyncio.Event()
        self._taken_back = asyncio.Event()
        self._give_up = asyncio.Event()
        self._certificate_doubted = asyncio.Event()
        self._away = False
        self._clock_asked: asyncio.Task[None] | None = None
        self._clock_told = ""
        self._stopping = False
        self._drained = False
        self._exit_code = 0
        bundle = identity.bundle
        self._link = Link(bundle.urls, bundle.server_id, identity.context(), settings.retry_s)
        self._link.on_answer = self._server_answers
        self._executor = executor
        self._cache = BlobStore.in_folder(settings.work_dir / "cache", durable=False)
        transfer = Transfer(self._link, self._cache, self._trouble)
        # What is left of a program elsewhere is not known here.
        grounds = Grounds(settings.work_dir / "spare", _SPARE if machine.pins else 0)
        tools = Tools(
            self._executor,
            transfer,
            programs,
            machine.gpus,
            settings.grace_s,
            grounds,
            settings.job_disk_mb,
            machine.pins,
        )
        self._spool = Spool(settings.work_dir / "spool")
        delivery = Delivery(self._link, transfer, grounds, self._spool, console, self._give_up)
        self._crew = Crew(
            settings, machine, identity.worker_id, self._link, tools, delivery, console
        )
        self._leasing = Leasing(
            self._link,
            self._crew.offer,
            self._crew.take,
            self._crew.backlog,
            self._trouble,
            self._ending,
        )
        self._heartbeats = Heartbeats(
            self._link, self._crew.attempts, self._crew.free_now, self._drain, self._trouble
        )
        self._connect(delivery)

    def _connect(self, delivery: Delivery) -> None:
        delivery.outbox.asking = self._leasing
        self._leasing.on_drain = lambda: self._drain(True)
        self._leasing.give_back = self._crew.give_back
        self._crew.on_room = self._leasing.room
        self._crew.on_start = self._heartbeats.joined

    async def run(self) -> int:
        """Until the end; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)
        self._crew.recover(self._spool)
        keepers = [
            asyncio.create_task(work)
            for work in (
                self._heartbeats.run(),
                self._renew_forever(),
                self._watch_walltime(),
                self._sweep_cache(),
                Presence(self._settings.owner, self._crew, self._console, self._leasing.room).run(),
                Limits(self._executor).run(lambda: dict(self._crew.attempts)),
            )
        ]
        try:
            await self._work(keepers)
        finally:
            await _cancel([*keepers, *filter(None, [self._clock_asked])])
            await self._crew.close()
            await self._link.close()
            self._console.flush()
        return self._exit_code

    async def _work(self, keepers: list[asyncio.Task[None]]) -> None:
        crew, settings = self._crew, self._settings
        while not await self._lease_and_work(keepers):
            pass
        await crew.all_delivered(settings.deliver_s)
        self._give_up.set()
        await crew.all_delivered(settings.deliver_s)
        with contextlib.suppress(CopernicusError):
            await self._link.send("POST", "/v1/work/leave", timeout_s=LEAVE_S)
        self._console.say("ended", "worker ends")

    async def _lease_and_work(self, keepers: list[asyncio.Task[None]]) -> bool:
        """Take work until it is to end; False if that was taken back before all was done."""
        crew = self._crew
        self._taken_back.clear()
        leasing = asyncio.create_task(
            self._leasing.run(lambda: not crew.attempts, self._settings.idle_exit_s)
        )
        try:
            await _first_end(leasing, keepers)
            await _first_end(asyncio.create_task(self._worked_or_taken_back()), keepers)
        except UpgradeNeeded as error:
            # What runs is finished and delivered: results are understood for longer.
            self._console.say("upgrade", f"no more work is given: {error.message}")
            self._ending.set()
            self._exit_code = error.exit_code
            await _first_end(asyncio.create_task(crew.all_worked()), keepers)
            return True
        except (NotAuthenticated, NotAllowed) as error:
            crew.abandon()
            raise NotAuthenticated(await diagnose(self._identity, error)) from error
        finally:
            await _cancel([leasing])
        return not self._taken_back.is_set()

    async def _worked_or_taken_back(self) -> None:
        worked = asyncio.create_task(self._crew.all_worked())
        back = asyncio.create_task(self._taken_back.wait())
        await asyncio.wait({worked, back}, return_when=asyncio.FIRST_COMPLETED)
        for task in (worked, back):
            task.cancel()
        await asyncio.gather(worked, back, return_exceptions=True)

    def _drain(self, wanted: bool) -> None:
        """Whether the server wants it to take no more work; what runs is finished."""
        if wanted and not self._ending.is_set():
            self._console.say("draining", "the server drains this worker: it ends when it is done")
            self._drained = True
            self._ending.set()
            self._leasing.room()
        elif not wanted and self._drained and not self._stopping:
            self._console.say("resumed", "the server takes the draining back: it goes on")
            self._drained = False
            self._ending.clear()
            self._taken_back.set()

    def end(self, why: str) -> None:
        """Take no more work; stop what runs with a last checkpoint and hand it back."""
        if not self._stopping:
            running = len(self._crew.attempts)
            self._console.say("ending", f"worker is ending: {why}", running=running)
        self._stopping = True
        self._ending.set()
        self._leasing.room()
        self._crew.stop()

    def _on_signal(self, number: signal.Signals) -> None:
        if self._stopping and number == signal.SIGINT:
            self._console.say("ended", "worker ends at once")
            self._exit_code = INTERRUPTED
            self._give_up.set()
            self._crew.abandon()
        else:
            self.end(f"signal {signal.Signals(number).name}")

    def _trouble(self, error: CopernicusError, delay: float) -> None:
        """Say it once, not at every try."""
        if self._identity.out_of_date(datetime.now(UTC)):
            self._certificate_doubted.set()
        if not self._away:
            self._console.say(
                "server_away", f"{error.message}; trying again (first in {delay:.1f} s)"
            )
        self._away = True
        if not self._clock_told and (self._clock_asked is None or self._clock_asked.done()):
            self._clock_asked = asyncio.create_task(self._ask_for_clock())

    async def _ask_for_clock(self) -> None:
        """It may be the clocks that keep worker and server apart."""
        self._tell_clock((await ask_for_clock(self._identity.bundle)).strip())

    def _tell_clock(self, said: str) -> None:
        """Say it once, until the server has been reached or has renewed the certificate."""
        if said and not self._clock_told:
            self._console.say("clock", said)
        self._clock_told = self._clock_told or said

    def _server_answers(self) -> None:
        if self._away:
            self._away = False
            self._clock_told = ""
            self._console.say("server_back", "the server answers again")

    async def _renew_forever(self) -> None:
        """By the wall clock: a laptop that slept wakes up with a certificate that has expired."""
        while True:
            left = self._identity.seconds_to_renewal(datetime.now(UTC))
            if left > 0:
                await within(min(left, _LOOK_AT_CLOCK_S), self._certificate_doubted)
                self._certificate_doubted.clear()
                continue
            try:
                await renew(self._identity, self._link)
                self._console.say("renewed", "the worker's certificate was renewed")
                self._clock_told = ""
            except ClockIsOff as error:
                # What runs goes on: only dates stand in the way, and clocks are set again.
                self._tell_clock(error.message)
                await asyncio.sleep(_RENEW_AGAIN_S)
            except (ServerUnreachable, ServerBusy) as error:
                self._trouble(error, _RENEW_AGAIN_S)
                await asyncio.sleep(_RENEW_AGAIN_S)

    async def _watch_walltime(self) -> None:
        if self._crew.ends_at is not None:
            await asyncio.sleep(max(0.0, self._crew.ends_at - time.monotonic()))
            self.end("its wall time is nearly over")

    async def _sweep_cache(self) -> None:
        """Once a start: a cache holds what was used in the last day, and may lose all of it."""
        with contextlib.suppress(CopernicusError, OSError):
            await asyncio.to_thread(self._cache.sweep, frozenset())


async def _first_end(main: asyncio.Task[None], keepers: list[asyncio.Task[None]]) -> None:
    """Return when ``main`` is done, or raise what a keeper died of before."""
    waiting = {main, *keepers}
    while not main.done():
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    main.result()


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
