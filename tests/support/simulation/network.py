"""What lies between machines: messages are lost, doubled, late, out of order, or cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any

from copernicus.errors import CopernicusError
from support.simulation.server import SimServer


class LostError(Exception):
    """No answer came in time; whether the request did, nobody knows."""


class Network:
    """``call`` asks a server by its name; everything that happens on the way is by chance."""

    def __init__(self, chance: Random, servers: Callable[[str], SimServer | None]) -> None:
        self._chance = chance
        self._servers = servers
        self.loss = chance.choice([0.0, 0.02, 0.1])
        self.copies = chance.choice([0.0, 0.05, 0.2])
        self.latency_s = 0.1
        self.cut: dict[str, float] = {}
        self.messages = 0

    def calm(self) -> None:
        """From now on all goes well."""
        self.loss = self.copies = 0.0
        self.latency_s = 0.1
        self.cut.clear()

    async def call(
        self, sender: str, server: str, method: str, *args: Any, timeout_s: float = 60.0
    ) -> Any:
        """Ask; the answer, or what the server refused it with.

        Raises:
            LostError: nothing came within the time.
            CopernicusError: the server's refusal.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        for _ in range(2 if self._chance.random() < self.copies else 1):
            self._carry(sender, lambda: self._arrive(sender, server, method, args, answer))
        try:
            async with asyncio.timeout(timeout_s):
                return await answer
        except TimeoutError:
            raise LostError from None

    def _carry(self, sender: str, deliver: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        if self._chance.random() < self.loss or self._is_cut(sender):
            return
        loop.call_later(self._chance.random() * self.latency_s, deliver)

    def _is_cut(self, sender: str) -> bool:
        return asyncio.get_running_loop().time() < self.cut.get(sender, 0.0)

    def _arrive(
        self, sender: str, server: str, method: str, args: Any, answer: asyncio.Future[Any]
    ) -> None:
        target = self._servers(server)
        if target is None or self._is_cut(sender):
            return
        self.messages += 1
        target.spawn(self._serve(target, sender, method, args, answer))

    async def _serve(
        self, target: SimServer, sender: str, method: str, args: Any, answer: asyncio.Future[Any]
    ) -> None:
        try:
            found = await getattr(target, method)(*args)
        except CopernicusError as error:
            refusal = error
            self._carry(sender, lambda: answer.done() or answer.set_exception(refusal))
        else:
            self._carry(sender, lambda: answer.done() or answer.set_result(found))
