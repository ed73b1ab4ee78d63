"""One world: a server with its workers and users, and what goes wrong; all of it from a seed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from hashlib import sha256
from random import Random
from typing import Any

import structlog

from copernicus.scheduling import SchedulerSettings
from copernicus.scheduling.rows import ENDED, JobRow, Row
from copernicus.store.records import Entry
from support.simulation.disk import Disk
from support.simulation.loop import VirtualLoop
from support.simulation.network import Network
from support.simulation.server import SimServer
from support.simulation.users import User
from support.simulation.watch import ViolationError, Watch, check_project, never
from support.simulation.workers import Liar, Worker

PROJECTS = ["p0", "p1"]
CALM_FROM = 0.7


class World:
    """``run`` it: every violation of what must hold is raised."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        chance = self.chance = Random(f"{seed}/world")
        self.lease_s, self.hours = chance.choice([(120.0, 6.0), (120.0, 6.0), (600.0, 18.0)])
        self.step_s = self.lease_s / 4
        self.loop = VirtualLoop()
        self.disk = Disk(self.loop.time)
        self.watch = Watch(self.disk)
        self.disk.watcher = self._committed
        self.network = Network(Random(f"{seed}/network"), self._server)
        self.network.latency_s = chance.choice([0.1, 10.0, 1.5 * self.lease_s])
        self.death_rate = chance.choice([0.0, 0.01, 0.1])
        self.settings = SchedulerSettings(
            lease_s=self.lease_s,
            heartbeat_s=self.lease_s / 4,
            avoid_s=2 * self.lease_s,
            worker_recent_s=self.lease_s,
            share_interval_s=self.lease_s,
            keep_ended=chance.choice([3, 1000]),
        )
        self.server: SimServer | None = None
        self.crashes = 0
        self._errors: list[BaseException] = []
        self._failed = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []

    # --- what others ask

    @property
    def end_s(self) -> float:
        return self.hours * 3600.0

    @property
    def is_calm(self) -> bool:
        return self.loop.now >= CALM_FROM * self.end_s

    def fail(self, error: BaseException) -> None:
        """Something was seen that must never be."""
        self._errors.append(error)
        self._failed.set()

    def _committed(self, entries: list[tuple[str, Entry]], rows: list[Row]) -> None:
        """The server would take what is raised here for a broken disk, and start again."""
        try:
            self.watch.committed(entries, rows)
        except AssertionError as error:
            self.fail(error)

    def _server(self, _name: str) -> SimServer | None:
        return self.server

    # --- running

    def run(self) -> None:
        """From the first moment to the last.

        Raises:
            ViolationError: something happened that must never happen.
        """
        structlog.configure(processors=[self._listen])
        try:
            self.loop.run_until_complete(self._run())
        finally:
            structlog.reset_defaults()
            self.loop.close()

    def _listen(self, _logger: Any, _method: str, event: Any) -> Any:
        """What the server logs: nobody reads it, but a bug of its own is none the less one."""
        if event["event"] in ("bug", "the evaluator pool has a bug"):
            error = event.get("exc_info")
            self.fail(error if isinstance(error, BaseException) else ViolationError(event))
        raise structlog.DropEvent

    def history(self) -> str:
        """A digest of everything that was ever committed, and of what was left at the end."""
        told = sha256()
        for name in sorted(self.disk.journals):
            for entry in self.disk.journals[name]:
                told.update(entry)
        for key in sorted(self.disk.rows):
            told.update(self.disk.rows[key])
        told.update(repr((self.network.messages, self.watch.commits, self.loop.now)).encode())
        return told.hexdigest()

    async def _run(self) -> None:
        chance = self.chance
        workers = [Worker(self, f"w{number}") for number in range(chance.randint(2, 4))]
        workers.append(Worker(self, "w-p1", projects=("p1",)))
        users = [User(self, name) for name in PROJECTS]
        await self._start_server()
        for one in (*workers, *users, Liar(self)):
            self._spawn(one.run())
        for user in users:
            self._spawn(user.follow())
        for trouble in (self._crash_servers, self._cut, self._fill_disk, self._sweep, self._calm):
            self._spawn(trouble())
        try:
            await self._until_over()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for worker in workers:
                worker.crash()
            self._crash()
            await asyncio.sleep(1)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self.loop.create_task(work)
        self._tasks.append(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (error := task.exception()):
            self.fail(error)

    async def _until_over(self) -> None:
        while self.loop.now < self.end_s:
            step = max(1.0, min(self.lease_s, self.end_s - self.loop.now))
            try:
                async with asyncio.timeout(step):
                    await self._failed.wait()
            except TimeoutError:
                pass
            if self._errors:
                raise self._errors[0]
            if self.server is not None:
                self.server.check()
        self._judge()

    def _judge(self) -> None:
        assert self.server is not None
        left = [row.id for row in self.disk.all(JobRow) if row.state not in ENDED]
        why = {job: self.server.holdings.scheduler.explain(job) for job in left}
        never(left, "I5 jobs never ended", why)
        never(not self.server.is_at_rest(), "I5 work that nobody does", self.seed)
        self.server.check()
        for job, outputs in self.watch.accepted.items():
            row = self.disk.job(job)
            never(row is None or row.outputs != outputs, "I2 a result was lost", job)
        for project in self.server.holdings.projects:
            check_project(project.state, [e.event for e in self.disk.entries(project.record.id)])

    # --- the server

    async def _start_server(self) -> None:
        server = SimServer(
            self.disk,
            self.settings,
            Random(f"{self.seed}/server/{self.crashes}"),
            lambda: 0.0 if self.is_calm else self.death_rate,
            lambda: self._spawn(self._crash_and_start()),
        )
        self.watch.holdings = server.holdings
        while True:
            try:
                await server.start(PROJECTS, self.seed)
            except Exception:
                if self.loop.now >= self.disk.full_until:
                    raise
                await asyncio.sleep(10)
            else:
                break
        server.check()
        self.server = server

    def _crash(self) -> None:
        if self.server is not None:
            self.server.crash()
        self.server = None

    async def _crash_and_start(self) -> None:
        if self.server is None:
            return
        self._crash()
        self.crashes += 1
        self.disk.breaks_at = float("inf")
        await asyncio.sleep(self.chance.expovariate(2 / self.lease_s))
        await self._start_server()

    # --- what goes wrong

    async def _crash_servers(self) -> None:
        every = self.lease_s * self.chance.choice([4, 20, 1000])
        chance = Random(f"{self.seed}/crashes")
        while True:
            await asyncio.sleep(chance.expovariate(1 / every))
            if self.is_calm:
                return
            if chance.random() < 0.2:
                self.disk.breaks_at = self.loop.now
            else:
                await self._crash_and_start()

    async def _cut(self) -> None:
        chance = Random(f"{self.seed}/cuts")
        while not self.is_calm:
            await asyncio.sleep(chance.expovariate(1 / (5 * self.lease_s)))
            who = chance.choice(["w0", "w1", "w2", "w3", "w-p1", "user of p0"])
            self.network.cut[who] = self.loop.now + chance.expovariate(1 / (3 * self.lease_s))

    async def _fill_disk(self) -> None:
        chance = Random(f"{self.seed}/full")
        while not self.is_calm:
            await asyncio.sleep(chance.expovariate(1 / (30 * self.lease_s)))
            if not self.is_calm:
                self.disk.full_until = self.loop.now + chance.expovariate(2 / self.lease_s)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(4 * self.lease_s)
            if self.server is not None:
                self.server.sweep(older_than=4 * self.lease_s)

    async def _calm(self) -> None:
        await asyncio.sleep(CALM_FROM * self.end_s + 1)
        self.network.calm()
        self.disk.full_until = -1.0
        self.disk.breaks_at = float("inf")
        if self.server is None:
            await asyncio.sleep(self.lease_s)
