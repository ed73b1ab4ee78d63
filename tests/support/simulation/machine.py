"""A machine with a server on it, through all its lives: its disk, and what is seen of it."""

from __future__ import annotations

import asyncio
from random import Random
from typing import TYPE_CHECKING

from support.simulation.disk import Disk, Staged
from support.simulation.server import SimServer
from support.simulation.watch import Watch

if TYPE_CHECKING:
    from support.simulation.world import World


class Machine:
    """Starts its server, ends it, and starts it again."""

    def __init__(self, world: World, name: str, projects: list[str]) -> None:
        self.world, self.name = world, name
        self.projects = projects
        self.disk = Disk(world.loop.time)
        self.watch = self.make_watch()
        self.disk.watcher = self._committed
        self.server: SimServer | None = None
        self.crashes = 0

    def make_watch(self) -> Watch:
        """What is to hold of this server."""
        return Watch(self.disk)

    def make_server(self) -> SimServer:
        """The next life."""
        return SimServer(
            self.disk,
            self.world.settings,
            Random(f"{self._seed}/server/{self.crashes}"),
            lambda: 0.0 if self.world.is_calm else self.world.death_rate,
            lambda: self.world.spawn(self.crash_and_start()),
        )

    @property
    def _seed(self) -> str:
        return f"{self.world.seed}/{self.name}"

    def _committed(self, staged: Staged) -> None:
        """The server would take what is raised here for a broken disk, and start again."""
        try:
            self.watch.committed(staged)
        except AssertionError as error:
            self.world.fail(error)

    async def start(self) -> None:
        """Begin a life."""
        server = self.make_server()
        self.watch.holdings = server.holdings
        while True:
            try:
                await server.start(self.projects, self.world.seed)
            except Exception:
                if self.world.loop.now >= self.disk.full_until:
                    raise
                await asyncio.sleep(10)
            else:
                break
        server.check()
        self.server = server

    def crash(self) -> None:
        """All in memory is gone."""
        if self.server is not None:
            self.server.crash()
        self.server = None

    async def crash_and_start(self) -> None:
        """Die, and live again after a while."""
        if self.server is None:
            return
        self.crash()
        self.crashes += 1
        self.disk.breaks_at = float("inf")
        await asyncio.sleep(self.world.chance.expovariate(2 / self.world.lease_s))
        await self.start()

    def calm(self) -> None:
        """From now on all goes well."""
        self.disk.full_until = -1.0
        self.disk.breaks_at = float("inf")

    # --- what goes wrong

    async def die_now_and_then(self) -> None:
        """Until it is calm."""
        every = self.world.lease_s * self.world.chance.choice([4, 20, 1000])
        chance = Random(f"{self._seed}/crashes")
        while True:
            await asyncio.sleep(chance.expovariate(1 / every))
            if self.world.is_calm:
                return
            if chance.random() < 0.2:
                self.disk.breaks_at = self.world.loop.now
            else:
                await self.crash_and_start()

    async def fill_disk(self) -> None:
        """Now and then, until it is calm."""
        chance = Random(f"{self._seed}/full")
        lease_s = self.world.lease_s
        while not self.world.is_calm:
            await asyncio.sleep(chance.expovariate(1 / (30 * lease_s)))
            if not self.world.is_calm:
                self.disk.full_until = self.world.loop.now + chance.expovariate(2 / lease_s)

    async def sweep(self) -> None:
        """Remove what nothing names, as servers do."""
        while True:
            await asyncio.sleep(4 * self.world.lease_s)
            if self.server is not None:
                self.server.sweep(older_than=4 * self.world.lease_s)
