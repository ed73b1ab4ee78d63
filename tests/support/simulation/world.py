"""One world: a server with its workers and users, and what goes wrong; all of it from a seed."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from hashlib import sha256
from random import Random
from typing import Any

import structlog

from copernicus.scheduling import SchedulerSettings
from copernicus.scheduling.rows import ENDED, JobRow
from copernicus.server.verifications import is_verifying
from support.simulation.disk import Disk
from support.simulation.loop import VirtualLoop
from support.simulation.machine import Machine
from support.simulation.network import Network
from support.simulation.server import SimServer
from support.simulation.users import User
from support.simulation.watch import ViolationError, Watch, check_project, never
from support.simulation.workers import SERVER, Liar, Worker

PROJECTS = ["p0", "p1"]
CALM_FROM = 0.7


class World:
    """``run`` it: every violation of what must hold is raised."""

    cuttable: tuple[str, ...] = ("w0", "w1", "w2", "w3", "w-p1", "user of p0")

    def __init__(self, seed: int) -> None:
        self.seed = seed
        chance = self.chance = Random(f"{seed}/world")
        self.lease_s, self.hours = chance.choice([(120.0, 6.0), (120.0, 6.0), (600.0, 18.0)])
        self.step_s = self.lease_s / 4
        self.loop = VirtualLoop()
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
        self.home = Machine(self, SERVER, PROJECTS)
        self.machines = [self.home]
        self._errors: list[BaseException] = []
        self._failed = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []

    # --- what others ask

    @property
    def end_s(self) -> float:
        return self.hours * 3600.0

    @property
    def calm_in_s(self) -> float:
        """How long until nothing goes wrong any more."""
        return max(0.0, CALM_FROM * self.end_s - self.loop.now)

    @property
    def is_calm(self) -> bool:
        return not self.calm_in_s

    def fail(self, error: BaseException) -> None:
        """Something was seen that must never be."""
        self._errors.append(error)
        self._failed.set()

    def _server(self, name: str) -> SimServer | None:
        return next(one.server for one in self.machines if one.name == name)

    @property
    def disk(self) -> Disk:
        return self.home.disk

    @property
    def watch(self) -> Watch:
        return self.home.watch

    @property
    def server(self) -> SimServer | None:
        """That of the projects."""
        return self.home.server

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
        for machine in self.machines:
            disk = machine.disk
            for name in sorted(disk.journals):
                for entry in disk.journals[name]:
                    told.update(entry)
            for key in sorted(disk.rows):
                told.update(disk.rows[key])
            told.update(repr((sorted(disk.metas.items()), machine.watch.commits)).encode())
        told.update(repr((self.network.messages, self.loop.now)).encode())
        return told.hexdigest()

    async def _run(self) -> None:
        workers = self.make_workers()
        users = [User(self, name) for name in PROJECTS]
        for machine in self.machines:
            await machine.start()
        for one in (*workers, *users, Liar(self)):
            self.spawn(one.run())
        for user in users:
            self.spawn(user.follow())
        for trouble in self.troubles():
            self.spawn(trouble)
        try:
            await self._until_over()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for worker in workers:
                worker.crash()
            for machine in self.machines:
                machine.crash()
            await asyncio.sleep(1)

    def make_workers(self) -> list[Worker]:
        workers = [Worker(self, f"w{number}") for number in range(self.chance.randint(2, 4))]
        return [*workers, Worker(self, "w-p1", projects=("p1",))]

    def troubles(self) -> Iterator[Coroutine[Any, Any, Any]]:
        """All that goes wrong, and at last does not."""
        for machine in self.machines:
            yield from (machine.die_now_and_then(), machine.fill_disk(), machine.sweep())
        yield from (self._cut(), self._calm())

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Something that goes on until the end of the world."""
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
            self.look()
        self.judge()

    def look(self) -> None:
        """What must hold at any time."""
        for machine in self.machines:
            if machine.server is not None:
                machine.server.check()

    def judge(self) -> None:
        """What must hold at the end."""
        assert self.server is not None
        # Nobody waits for second runs, of which the one worker at home may have many.
        left = [
            row.id
            for row in self.disk.all(JobRow)
            if row.state not in ENDED and not is_verifying(row.id)
        ]
        why = {job: self.server.holdings.scheduler.explain(job) for job in left}
        never(left, "I5 jobs never ended", why)
        never(not self.server.is_at_rest(), "I5 work that nobody does", self.seed)
        self.server.check()
        for job, outputs in self.watch.accepted.items():
            row = self.disk.job(job)
            never(row is None or row.outputs != outputs, "I2 a result was lost", job)
        for project in self.server.holdings.projects:
            check_project(project.state, [e.event for e in self.disk.entries(project.record.id)])

    # --- what goes wrong

    async def _cut(self) -> None:
        chance = Random(f"{self.seed}/cuts")
        while not self.is_calm:
            await asyncio.sleep(chance.expovariate(1 / (5 * self.lease_s)))
            who = chance.choice(self.cuttable)
            self.network.cut[who] = self.loop.now + chance.expovariate(1 / (3 * self.lease_s))

    async def _calm(self) -> None:
        await asyncio.sleep(self.calm_in_s + 1)
        self.network.calm()
        for machine in self.machines:
            machine.calm()
