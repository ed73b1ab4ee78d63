"""People who change a project while it runs, and look at it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

from copernicus.errors import CopernicusError, ServerBusy
from copernicus.model import edits as ed
from copernicus.model.resources import Resources
from support.simulation.network import LostError
from support.simulation.workers import SERVER

if TYPE_CHECKING:
    from support.simulation.world import World

NAMES = ("a", "b", "c", "d")
FUNCTIONS = ("s.run", "s.run", "s.touchy", "s.short")


class User:
    """One project's user."""

    def __init__(self, world: World, project: str) -> None:
        self.world, self.project = world, project
        self.name = f"user of {project}"
        self.chance = Random(f"{world.seed}/{project}")
        self.made = 0

    async def run(self) -> None:
        """Edit now and then, until it is calm; then let everything go on."""
        pause_s = self.world.lease_s * self.chance.choice([1, 3, 8])
        await self._edit(self._adaptive())
        while not self.world.is_calm:
            wait_s = self.chance.expovariate(1 / pause_s)
            await asyncio.sleep(min(wait_s, self.world.calm_in_s))
            kinds, weights = zip(*_KINDS, strict=True)
            edits = self.chance.choices(kinds, weights)[0](self)
            if not self.world.is_calm:
                await self._edit(edits)
        await self._let_go_on()
        # What was sent before it was calm may still be on its way, for up to one and a half leases:
        # a pause, say.
        await asyncio.sleep(2 * self.world.lease_s)
        await self._let_go_on()

    async def _let_go_on(self) -> None:
        for edit in (ed.Resume(), ed.Activate()):
            answered = False
            while not answered:
                answered = await self._edit([edit])

    async def _edit(self, edits: list[ed.Edit]) -> bool:
        """Whether it was answered, and not with a request to try again."""
        try:
            reply = await self.world.network.call(self.name, SERVER, "edit", self.project, edits)
        except (LostError, ServerBusy):
            return False
        except CopernicusError:
            return True
        self.made += 1
        self.world.watch.edit_kept(self.project, reply)
        return True

    async def follow(self) -> None:
        """Watch the project as it moves; after a crash, from where the last server ended."""
        last = 0
        while True:
            server = self.world.server
            if server is None:
                await asyncio.sleep(5)
                continue
            async for news in server.feed.follow(self.project, last):
                for entry in news:
                    if entry.position:
                        self.world.watch.shown(self.project, entry.position, last)
                        last = entry.position
            await asyncio.sleep(5)

    # --- edits

    def _name(self) -> str:
        return self.chance.choice(NAMES)

    def _small(self) -> int:
        return self.chance.randrange(4)

    def _several(self) -> list[int]:
        return [self._small() for _ in range(self.chance.randint(1, 3))]

    def _adaptive(self) -> list[ed.Edit]:
        return [
            ed.AddInstance("ad", "s.adaptive", held=False),
            ed.SetInput("ad.in.starts", self._several()),
            ed.SetInput("ad.in.generations", self.chance.randint(1, 3)),
        ]

    def add(self) -> list[ed.Edit]:
        function = self.chance.choice(FUNCTIONS)
        port = "x" if function == "s.short" else "conf"
        name, mapped = self._name(), self.chance.random() < 0.6
        priority = Resources(cores=self.chance.randint(1, 2), priority=self.chance.randint(0, 3))
        value: Any = self._several() if mapped else self._small()
        ports = (port,) if mapped else ()
        return [
            ed.AddInstance(name, function, ports, held=False, resources=priority),
            ed.SetInput(f"{name}.in.{port}", value),
        ]

    def extend(self) -> list[ed.Edit]:
        return [ed.SetInput(f"{self._name()}.in.n", self.chance.choice([4, 10, 20, 40]))]

    def change(self) -> list[ed.Edit]:
        port = self.chance.choice(["conf", "conf", "conf[0]", "x"])
        return [ed.SetInput(f"{self._name()}.in.{port}", self._small())]

    def connect(self) -> list[ed.Edit]:
        port = self.chance.choice(["y", "y[0]", "file"])
        return [ed.Connect(f"{self._name()}.out.{port}", f"{self._name()}.in.conf")]

    def generations(self) -> list[ed.Edit]:
        """Fewer of them retire instances, more bring them back."""
        return [ed.SetInput("ad.in.generations", self._small())]

    def starts(self) -> list[ed.Edit]:
        return [ed.SetInput("ad.in.starts", self._several())]

    def race(self) -> list[ed.Edit]:
        starts = ed.SetInput("race.in.starts", self._several())
        return [starts, ed.AddInstance("race", "s.racing", held=False), starts][
            self.chance.randrange(2) :
        ]

    def command(self) -> list[ed.Edit]:
        what = self.chance.choice([ed.Cancel, ed.Hold, ed.Activate, ed.Retry, ed.Skip, ed.Retry])
        return [what(self.chance.choice([*NAMES, "ad", "race", "ad/model-0"]))]

    def retry_all(self) -> list[ed.Edit]:
        return [ed.Retry("", failed=True)]

    def remove(self) -> list[ed.Edit]:
        return [ed.RemoveInstance(self._name())]

    def pause(self) -> list[ed.Edit]:
        return [self.chance.choice([ed.Pause(), ed.Resume(), ed.Resume()])]


_KINDS: tuple[tuple[Callable[[User], list[ed.Edit]], int], ...] = (
    (User.add, 8),
    (User.extend, 6),
    (User.change, 6),
    (User.connect, 4),
    (User.generations, 4),
    (User.starts, 3),
    (User.race, 2),
    (User.command, 6),
    (User.retry_all, 2),
    (User.remove, 2),
    (User.pause, 2),
)
