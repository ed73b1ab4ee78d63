"""Asking for work: one request at a time, again as soon as there is room."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable

import msgspec

from copernicus.calling.link import Link
from copernicus.errors import CopernicusError
from copernicus.model.resources import Offer
from copernicus.protocol import PROTOCOL, Assignment, LeaseReply, LeaseRequest
from copernicus.worker.backlog import Backlog

POLL_S = 30.0
_SETTLE_S = 1.0
_MARGIN_S = 15.0
_NO_ROOM_S = 5.0


class Leasing:
    """Polls for work while ``offer`` gives something to offer, until ``ending`` is set.

    A poll under way offers what was free when it began. If more becomes free and it still waits
    a moment later, it is broken off and asked anew, so that a wide job is not kept waiting. An
    offer without cores is for the backlog alone and does not wait. ``on_drain`` is called when the
    server wants the worker to take no more.
    """

    def __init__(
        self,
        link: Link,
        offer: Callable[[], Offer | None],
        take: Callable[[Assignment], None],
        backlog: Backlog,
        on_trouble: Callable[[CopernicusError, float], None],
        ending: asyncio.Event,
    ) -> None:
        self._link = link
        self._offer = offer
        self._take = take
        self._backlog = backlog
        self._on_trouble = on_trouble
        self._ending = ending
        self.on_drain: Callable[[], None] = lambda: None
        self._freed = asyncio.Event()
        self._deadline: float | None = None

    def room(self) -> None:
        """Something became free."""
        self._freed.set()

    async def run(self, idle: Callable[[], bool], idle_exit_s: float | None) -> None:
        """Until the end, or until nothing came for ``idle_exit_s`` seconds.

        Raises:
            CopernicusError: The server does not take this worker any more.
        """
        while not self._ending.is_set():
            self._freed.clear()
            offer = self._offer()
            if offer is None:
                await self._wait_for_room()
                continue
            if offer.notice:
                await self._poll(LeaseRequest(uuid.uuid4().hex, offer, 0.0))
                await self._wait_for_room()
                continue
            wait_s = self._patience(idle, idle_exit_s) if offer.cores else 0.0
            if offer.cores and wait_s <= 0:
                return
            wanted = self._backlog.wanted()
            await self._poll(LeaseRequest(uuid.uuid4().hex, offer, wait_s, wanted, PROTOCOL))

    async def _wait_for_room(self) -> None:
        """Room is an event, but that of the disk, which says nothing."""
        try:
            async with asyncio.timeout(_NO_ROOM_S):
                await self._freed.wait()
        except TimeoutError:
            return

    def _patience(self, idle: Callable[[], bool], idle_exit_s: float | None) -> float:
        if idle_exit_s is None:
            return POLL_S
        now = time.monotonic()
        if not idle() or self._deadline is None:
            self._deadline = now + idle_exit_s
        return min(POLL_S, self._deadline - now)

    async def _poll(self, request: LeaseRequest) -> None:
        asking = asyncio.create_task(self._ask(request))
        freed = asyncio.create_task(self._freed_and_settled())
        ended = asyncio.create_task(self._ending.wait())
        try:
            await asyncio.wait({asking, freed, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                asking.cancel()
                await asyncio.wait({asking})
                if not asking.done() or asking.cancelled():
                    # It may have been granted all the same: the same id tells.
                    again = msgspec.structs.replace(request, wait_s=0.0)
                    asking = asyncio.create_task(self._ask(again))
            reply = await asking
        except CopernicusError:
            if self._ending.is_set():
                return
            raise
        finally:
            for task in (asking, freed, ended):
                task.cancel()
            await asyncio.gather(asking, freed, ended, return_exceptions=True)
        self._backlog.found(len(reply.assignments))
        if reply.drain:
            self.on_drain()
        for assignment in reply.assignments:
            self._deadline = None
            self._take(assignment)

    async def _ask(self, request: LeaseRequest) -> LeaseReply:
        return await self._link.persist(
            lambda: self._link.ask(
                "/v1/work/lease", request, LeaseReply, timeout_s=request.wait_s + _MARGIN_S
            ),
            on_trouble=self._on_trouble,
            until=self._ending,
        )

    async def _freed_and_settled(self) -> None:
        await self._freed.wait()
        await asyncio.sleep(_SETTLE_S)
