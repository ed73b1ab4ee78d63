"""One life of a server: the real core on the simulated disk, from its start to its crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from hashlib import sha256
from random import Random
from typing import Any

from msgspec import convert

from copernicus.engine.core import open_effects
from copernicus.errors import BadValue, CopernicusError, ServerBusy
from copernicus.evaluator.frames import Catalog, Reply, Request
from copernicus.evaluator.service import Service, catalog_of
from copernicus.model.edits import Edit
from copernicus.model.jobs import StoredFile
from copernicus.model.values import files_in
from copernicus.protocol import (
    Assignment,
    CheckpointRequest,
    Directive,
    EditReply,
    ErrorBody,
    HeartbeatRequest,
    LeaseRequest,
    PartialRequest,
    ResultOutcome,
    ResultRequest,
)
from copernicus.scheduling import SchedulerSettings
from copernicus.scheduling.workers import WorkerInfo
from copernicus.server import attempts
from copernicus.server.app import _Wiring
from copernicus.server.batch import Batch
from copernicus.server.evaluator_process import EvaluatorDied
from copernicus.server.evaluators import Evaluators
from copernicus.server.feed import Feed
from copernicus.server.files import FileRights
from copernicus.server.holdings import Holdings
from copernicus.server.http.borrowing import count_for_peer, for_peer, peer_asks
from copernicus.server.runtime import Runtime
from copernicus.server.waiting import Waiting
from copernicus.settings import ServerSettings
from copernicus.store.records import UserRecord
from support.simulation.disk import Disk, SimStore
from support.simulation.functions import DISCOVERY
from support.simulation.site import site_of


class SimProcess:
    """The process that runs module code, as ``EvaluatorProcess``; it may die of any request."""

    def __init__(self, chance: Random, death_rate: Callable[[], float]) -> None:
        self._chance, self._death_rate = chance, death_rate
        # What takes its time is cut off by a crash in the middle, also before it has begun.
        self._pace = chance.choice([5.0, 1 / 60])
        self._service = Service(DISCOVERY)
        self.catalog: Catalog = catalog_of(DISCOVERY)

    async def ask(self, request: Request, _timeout_s: float) -> Reply:
        await asyncio.sleep(self._chance.expovariate(self._pace))
        if self._chance.random() < self._death_rate():
            raise EvaluatorDied("killed")
        reply = self._service.reply(request)
        await asyncio.sleep(self._chance.expovariate(self._pace))
        if self._chance.random() < self._death_rate():
            raise EvaluatorDied("killed before it had told")
        return reply

    async def stop(self) -> None:
        """Nothing is left of it."""

    async def kill(self) -> None:
        """Nothing is left of it."""


class SimClock:
    """The server's clock; what the wall clock said at its start is anybody's guess."""

    def __init__(self, offset: float) -> None:
        self._offset = offset
        self._loop = asyncio.get_running_loop()

    def now(self) -> float:
        return self._offset + self._loop.time()


class SimServer:
    """A server that is up. ``call`` is what the network brings; ``crash`` ends it at once."""

    def __init__(
        self,
        disk: Disk,
        settings: SchedulerSettings,
        chance: Random,
        death_rate: Callable[[], float],
        end: Callable[[], None],
        name: str = "home",
        clock_is_right: bool = False,
    ) -> None:
        self._disk = disk
        self.store = SimStore(disk)
        self._files = FileRights(self.store)  # type: ignore[arg-type]
        self.holdings = Holdings(settings)
        self._clock = SimClock(1e9 + (0.0 if clock_is_right else chance.uniform(-3600, 3600)))
        self.feed = Feed(self.store, keep_alive_s=3600.0)  # type: ignore[arg-type]
        wiring = _Wiring(self.holdings)
        wiring.runtime = self.runtime = Runtime(
            self.holdings,
            self.store,  # type: ignore[arg-type]
            self.feed,
            self._clock,  # type: ignore[arg-type]
            wiring.carry_out,
            end,
        )

        async def start_process() -> SimProcess:
            await asyncio.sleep(1.0)
            return SimProcess(chance, death_rate)

        wiring.evaluators = self._evaluators = Evaluators(
            ServerSettings(max_resting=2, evaluator_restarts=30),
            wiring.report,
            wiring.find_start,
            wiring.new_catalog,
            start_process,  # type: ignore[arg-type]
        )
        self.site = site_of(name, self.runtime, self._clock, disk)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self, projects: list[str], seed: int) -> None:
        """Load, and take up what is open."""
        self.holdings.load(self.store, self._clock.now())  # type: ignore[arg-type]
        self.spawn(self.runtime.run())
        await self._evaluators.start()
        await self.runtime.do(Batch.open_work)
        for name in projects:
            if self.holdings.projects.find(name) is None:
                await self.runtime.do(lambda batch, name=name: _make(batch, name, seed))

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Something that dies with the server."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    def crash(self) -> None:
        """Everything in memory is gone; whoever waits for an answer gets none."""
        self.store.dead = True
        self.feed.close()
        for task in (*self._tasks, *self._evaluators._running):
            task.cancel()

    def sweep(self, older_than: float) -> None:
        """Remove files that nothing names any more, as the server does now and then."""
        named = self._files.all_referred()
        old = self._disk.now() - older_than
        for name in [n for n, (at, _) in self._disk.blobs.items() if at < old and n not in named]:
            del self._disk.blobs[name]

    # --- requests: what ``server.http.work`` does, less HTTP

    async def lease(
        self, worker: WorkerInfo, request: LeaseRequest, wait_s: float
    ) -> list[Assignment]:
        peer = self.holdings.peers.records.get(worker.id)
        if peer is None:
            return await self.runtime.lease(Waiting(worker, request, wait_s))
        asked, request = peer_asks(self.site, peer, worker, request)
        return for_peer(self.site, await self.runtime.lease(Waiting(asked, request, wait_s)))

    async def heartbeat(self, worker: WorkerInfo, request: HeartbeatRequest) -> list[Directive]:
        return await self.runtime.do(lambda batch: attempts.heartbeat(batch, worker.id, request))

    async def checkpoint(self, worker: WorkerInfo, request: CheckpointRequest) -> None:
        self._check_stored(request.files)
        await self.runtime.do(lambda batch: attempts.checkpoint(batch, worker.id, request))

    async def partial(self, worker: WorkerInfo, request: PartialRequest) -> None:
        await self.runtime.do(lambda batch: attempts.partial(batch, worker.id, request))

    async def result(self, worker: WorkerInfo, request: ResultRequest) -> str:
        for data in request.inline.values():
            self.site.blobs.put_bytes(data)
        files = [StoredFile(f.name, f.sha256, f.size) for f in files_in(request.outputs)]
        last = request.checkpoint.files if request.checkpoint else ()
        self._check_stored((*files, *last))
        return await self.runtime.do(lambda batch: count_for_peer(batch, worker.id, request))

    async def results(
        self, worker: WorkerInfo, several: Sequence[ResultRequest]
    ) -> list[ResultOutcome]:
        async def outcome(one: ResultRequest) -> ResultOutcome:
            try:
                return convert({"verdict": await self.result(worker, one)}, ResultOutcome)
            except ServerBusy:
                raise
            except CopernicusError as refused:
                return ResultOutcome(error=ErrorBody(refused.code, refused.message))

        return await asyncio.gather(*map(outcome, several))

    async def upload(self, text: str) -> None:
        self._disk.put_blob(sha_of(text), text)

    async def download(self, sha256: str) -> bytes:
        return b"".join(self.site.blobs.read(sha256))

    async def edit(self, project: str, edits: list[Edit]) -> EditReply:
        return await self.runtime.do(
            lambda batch: batch.edit(batch.holdings.projects.get(project), edits, "ann")
        )

    def _check_stored(self, files: tuple[StoredFile, ...]) -> None:
        for file in files:
            if file.sha256 not in self._disk.blobs:
                raise BadValue(f"{file.path} is not on this server")

    # --- looking

    def check(self) -> None:
        """What must hold between any two batches."""
        scheduler, peers = self.holdings.scheduler, self.holdings.peers
        scheduler.check()
        rows = [(one, scheduler.job_row(one.job)) for one in peers.lent.values() if not one.ahead]
        waiting = [one.cores for one, row in rows if row is not None and row.state == "queued"]
        assert peers.cores_unbegun() == sum(waiting)

    def is_at_rest(self) -> bool:
        """Whether nothing that anybody wants is left to do."""
        return all(
            not [one for one in open_effects(p.state) if type(one).__name__ in _WORK]
            for p in self.holdings.projects
        )


_WORK = ("QueueJob", "DescribeJob")


def _make(batch: Batch, name: str, seed: int) -> None:
    if batch.holdings.accounts.users.get("ann") is None:
        ann = UserRecord("ann", "", admin=False, created=batch.now)
        batch.holdings.accounts.add(ann)
        batch.write(lambda tx: tx.add_user(ann))
    batch.create_project(name, name, "ann", seed)


def sha_of(text: str) -> str:
    return sha256(text.encode()).hexdigest()
