"""Asking for work: one request at a time, again as soon as there is room.

What is asked for when a job has ended goes to the server with its result, if that is on its way at
once: one request in place of two, and the answer has what the result made ready.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable

import msgspec

from copernicus.calling.link import Link
from copernicus.calling.waiting import within
from copernicus.errors import CopernicusError
from copernicus.model.resources import Offer
from copernicus.protocol import PROTOCOL, Assignment, LeaseReply, LeaseRequest
from copernicus.worker.backlog import Backlog

POLL_S = 30.0
_SETTLE_S = 1.0
_MARGIN_S = 15.0
_NO_ROOM_S = 5.0
_ALONG_S = 0.01
_LAST_S = 2.0


class Leasing:
    """Polls for work while ``offer`` gives something to offer, until ``ending`` is set.

    A poll under way offers what was free when it began. If more becomes free and it still waits
    a moment later, it is broken off and asked anew, so that a wide job is not kept waiting. An
    offer without cores is for the backlog alone and does not wait. ``on_drain`` is called when the
    server wants the worker to take no more.

    Nothing is offered twice: while a request travels ``along`` with results there is no poll, and
    while there is a poll nothing travels along. What is granted after the end is given back.
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
        self.give_back: Callable[[Assignment], None] = take
        self._freed = asyncio.Event()
        self._answered = asyncio.Event()
        self._deadline: float | None = None
        self._open = False
        self._polling = False
        self._along: LeaseRequest | None = None
        self._unsure: LeaseRequest | None = None
        self._granted_lately = False

    def room(self) -> None:
        """Something became free."""
        self._freed.set()

    def along(self) -> LeaseRequest | None:
        """What to ask for together with results that are sent now, if anything."""
        busy = self._polling or self._along is not None or self._unsure is not None
        if not self._open or busy or self._ending.is_set():
            return None
        try:
            offer = self._offer()
        except OSError:
            return None  # the next poll finds it, too, and tells
        if offer is None or not offer.cores:
            return None
        self._along = self._request(offer, 0.0)
        return self._along

    def came_along(self, reply: LeaseReply | None) -> None:
        """The answer to it; ``None``: it may have been granted or not."""
        request, self._along = self._along, None
        try:
            if reply is None:
                self._unsure = request
            else:
                self._take_all(reply)
        finally:
            self._answered.set()
            self.room()

    async def run(self, idle: Callable[[], bool], idle_exit_s: float | None) -> None:
        """Until the end, or until nothing came for ``idle_exit_s`` seconds.

        Raises:
            CopernicusError: The server does not take this worker any more.
        """
        self._open = True
        try:
            await self._ask_again_and_again(idle, idle_exit_s)
        finally:
            self._open = False
        if self._along is not None:
            await self._see_what_comes_along(_LAST_S)
        if self._unsure is not None:
            await self._make_sure(self._unsure)

    async def _ask_again_and_again(
        self, idle: Callable[[], bool], idle_exit_s: float | None
    ) -> None:
        while not self._ending.is_set():
            self._freed.clear()
            if self._unsure is not None:
                await self._make_sure(self._unsure)
                continue
            offer = None if self._along else self._offer()
            if offer is None:
                await self._wait_for_room()
                continue
            if offer.cores and self._granted_lately:
                # A short job may end in a moment, and its result can take the request with it.
                self._granted_lately = False
                await self._see_what_comes_along(_ALONG_S)
                continue
            if offer.notice:
                await self._poll(LeaseRequest(uuid.uuid4().hex, offer, 0.0))
                await self._wait_for_room()
                continue
            wait_s = self._patience(idle, idle_exit_s) if offer.cores else 0.0
            if offer.cores and wait_s <= 0:
                return
            await self._poll(self._request(offer, wait_s))

    def _request(self, offer: Offer, wait_s: float) -> LeaseRequest:
        wanted = self._backlog.wanted()
        return LeaseRequest(uuid.uuid4().hex, offer, wait_s, wanted, PROTOCOL)

    async def _make_sure(self, request: LeaseRequest) -> None:
        """Whether it was granted: the same id tells."""
        try:
            reply = await self._ask(request)
        except CopernicusError:
            if self._ending.is_set():
                return
            raise
        self._unsure = None
        self._take_all(reply)

    async def _see_what_comes_along(self, seconds: float) -> None:
        self._answered.clear()
        await within(seconds, self._answered)

    async def _wait_for_room(self) -> None:
        """Room is an event, but that of the disk, which says nothing."""
        await within(_NO_ROOM_S, self._freed)

    def _patience(self, idle: Callable[[], bool], idle_exit_s: float | None) -> float:
        if idle_exit_s is None:
            return POLL_S
        now = time.monotonic()
        if not idle() or self._deadline is None:
            self._deadline = now + idle_exit_s
        return min(POLL_S, self._deadline - now)

    async def _poll(self, request: LeaseRequest) -> None:
        self._polling = True
        try:
            self._take_all(await self._answer(request))
        except CopernicusError:
            if not self._ending.is_set():
                raise
        finally:
            self._polling = False

    async def _answer(self, request: LeaseRequest) -> LeaseReply:
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
            return await asking
        finally:
            for task in (asking, freed, ended):
                task.cancel()
            await asyncio.gather(asking, freed, ended, return_exceptions=True)

    def _take_all(self, reply: LeaseReply) -> None:
        self._backlog.found(len(reply.assignments))
        if reply.drain:
            self.on_drain()
        for assignment in reply.assignments:
            self._granted_lately = True
            self._deadline = None
            if self._open:
                self._take(assignment)
            else:
                self.give_back(assignment)

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
