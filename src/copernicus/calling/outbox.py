"""Results on their way: those that come while a request is under way travel together in the next.

So a burst of short jobs costs few requests, and a single result goes out at once. While there is
a backlog, results are gathered for a moment: nobody waits for this side to be free. What its sender
has given up by then stays behind. Who has room for more work asks for it in the same request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from copernicus.errors import (
    CopernicusError,
    InternalError,
    NotFound,
    ServerBusy,
    error_for_code,
)
from copernicus.protocol import (
    LeaseReply,
    LeaseRequest,
    ResultOutcome,
    ResultReply,
    ResultRequest,
    ResultsReply,
    ResultsRequest,
)

LINGER_S = 0.03
_MOST = 256
_MOST_BYTES = 2 << 20
_NOTHING = LeaseReply()
T = TypeVar("T")


class Line(Protocol):
    """What results go out by, such as a ``Link``."""

    async def ask(self, path: str, body: Any, reply: type[T]) -> T:
        """Send a message to the server: its answer."""


class Asking(Protocol):
    """Whoever wants work besides."""

    def along(self) -> LeaseRequest | None:
        """What to ask for together with results that are sent now, if anything."""

    def came_along(self, reply: LeaseReply | None) -> None:
        """The answer to it; ``None``: it may have been granted or not."""


class Outbox:
    """Sends results, each answered by itself; ``asking`` may ask for work with them."""

    def __init__(self, link: Line) -> None:
        self._link = link
        self._waiting: deque[tuple[ResultRequest, asyncio.Future[ResultReply]]] = deque()
        self._sender: asyncio.Task[None] | None = None
        self._several = True
        self.is_busy: Callable[[], bool] = lambda: False
        self.asking: Asking | None = None

    async def send(self, result: ResultRequest) -> ResultReply:
        """The server's verdict; nothing is repeated here.

        Raises:
            CopernicusError: It refuses this result, or cannot be reached.
        """
        reply: asyncio.Future[ResultReply] = asyncio.get_running_loop().create_future()
        self._waiting.append((result, reply))
        if self._sender is None:
            self._sender = asyncio.create_task(self._send_all())
        return await reply

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                if self.is_busy():
                    await asyncio.sleep(LINGER_S)
                await self._send_some()
        finally:
            self._sender = None

    async def _send_some(self) -> None:
        some = self._next()
        if not some:
            return
        try:
            outcomes = await self._ask_besides(tuple(result for result, _ in some))
        except CopernicusError as error:
            outcomes = tuple(error for _ in some)
        except BaseException:
            for _, reply in some:
                reply.cancel()
            raise
        for (_, reply), outcome in zip(some, outcomes, strict=True):
            if reply.done():
                continue
            if isinstance(outcome, ResultReply):
                reply.set_result(outcome)
            else:
                reply.set_exception(outcome)

    def _next(self) -> list[tuple[ResultRequest, asyncio.Future[ResultReply]]]:
        some: list[tuple[ResultRequest, asyncio.Future[ResultReply]]] = []
        size, most = 0, _MOST if self._several else 1
        while self._waiting and len(some) < most:
            result, reply = self._waiting[0]
            size += 0 if reply.done() else _weight(result)
            if some and size > _MOST_BYTES:
                break
            self._waiting.popleft()
            if not reply.done():
                some.append((result, reply))
        return some

    async def _ask_besides(
        self, results: tuple[ResultRequest, ...]
    ) -> tuple[ResultReply | CopernicusError, ...]:
        lease = self.asking.along() if self.asking is not None and self._several else None
        if self.asking is None or lease is None:
            return (await self._ask(results, None))[0]
        granted = None
        try:
            outcomes, granted = await self._ask(results, lease)
        finally:
            self.asking.came_along(granted)
        return outcomes

    async def _ask(
        self, results: tuple[ResultRequest, ...], lease: LeaseRequest | None
    ) -> tuple[tuple[ResultReply | CopernicusError, ...], LeaseReply]:
        if len(results) == 1 and lease is None:
            reply = await self._link.ask("/v1/work/result", results[0], ResultReply)
            return (reply,), _NOTHING
        asked = ResultsRequest(results, lease)
        try:
            several = await self._link.ask("/v1/work/results", asked, ResultsReply)
        except NotFound:
            # A server of the version before takes them one by one only.
            self._several = False
            return tuple([await self._ask_one(result) for result in results]), _NOTHING
        return tuple(map(_reply_of, several.outcomes)), several.lease or _NOTHING

    async def _ask_one(self, result: ResultRequest) -> ResultReply | CopernicusError:
        try:
            return await self._link.ask("/v1/work/result", result, ResultReply)
        except CopernicusError as error:
            return error


def _weight(result: ResultRequest) -> int:
    return 1000 + sum(map(len, result.inline.values()))


def _reply_of(outcome: ResultOutcome) -> ResultReply | CopernicusError:
    if outcome.verdict is not None:
        return ResultReply(outcome.verdict)
    if outcome.error is None:
        return InternalError("the server says nothing of a result")
    if outcome.error.code == InternalError.code:
        return ServerBusy(outcome.error.message)  # nothing was changed: as a link tells it
    return error_for_code(outcome.error.code)(outcome.error.message)
