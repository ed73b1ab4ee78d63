"""The single writer: everything that changes the server passes through here, one after another.

Requests wait in one queue. A batch is everything that waits: each request is applied in memory in
turn, then all that they changed is committed in one transaction, in a thread, while the next batch
gathers (group commit). Only then are the requests answered, the feed told and effects carried out,
so nothing is acknowledged, shown or acted upon that a crash could take back.

A disk that is full refuses the whole batch: what is in memory is loaded again from the store, and
every caller is told to come back. Any other failure to write ends the process: after a failed
fsync nobody knows what is on the disk, and the restart reads what is.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, TypeVar

from copernicus.crashpoints import passing
from copernicus.errors import CopernicusError, InternalError, ServerBusy
from copernicus.model.effects import Effect
from copernicus.protocol import Assignment
from copernicus.server import attempts
from copernicus.server.batch import Batch
from copernicus.server.clock import Clock
from copernicus.server.feed import Feed
from copernicus.server.holdings import Holdings
from copernicus.server.verifying import settle
from copernicus.server.waiting import Waiting, WaitingRoom
from copernicus.store.failures import StoreFailed
from copernicus.store.store import Store
from copernicus.telemetry import get_logger

T = TypeVar("T")
_LOG = get_logger("runtime")
_LATER: Final = object()
_RETRY_S: Final = 5.0


class _Request:
    """A change that somebody wants, and where its answer goes."""

    def __init__(self, change: Callable[[Batch], Any], reply: asyncio.Future[Any]) -> None:
        self.change = change
        self.reply = reply
        self.result: Any = None
        self.error: Exception | None = None

    def answer(self) -> None:
        if self.reply.done() or self.result is _LATER:
            return
        if self.error is not None:
            self.reply.set_exception(self.error)
        else:
            self.reply.set_result(self.result)

    def refuse(self, error: Exception) -> None:
        if not self.reply.done():
            self.reply.set_exception(self.error or error)


class Runtime:
    """Owns what the server holds in memory; ``run`` is the task that changes it."""

    def __init__(
        self,
        holdings: Holdings,
        store: Store,
        feed: Feed,
        clock: Clock,
        carry_out: Callable[[list[tuple[str, Effect]]], None],
        end_process: Callable[[], None] = lambda: os._exit(70),
    ) -> None:
        self.holdings = holdings
        self._store = store
        self._feed = feed
        self._clock = clock
        self._carry_out = carry_out
        self._end_process = end_process
        self._requests: deque[_Request] = deque()
        self._alone: deque[_Request] = deque()
        self._arrived = asyncio.Event()
        self._room = WaitingRoom()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._wake: asyncio.TimerHandle | None = None
        self._refill = False
        self._closing = False
        self._stopping = False
        self._posted: set[asyncio.Task[None]] = set()
        self._going_on: set[str] = set()
        self.on_commit: Callable[[Batch, float], None] = lambda _batch, _seconds: None
        self.on_idle: Callable[[], None] = lambda: None
        self.on_lent: Callable[[list[str]], None] = lambda _jobs: None

    async def do(self, change: Callable[[Batch], T]) -> T:
        """Apply a change (or only look): its result, once everything it saw and did is durable.

        Raises:
            CopernicusError: what ``change`` raised; nothing was changed by it.
            ServerBusy: the disk is full, or the server is stopping; nothing was changed.
            InternalError: a bug; nothing was changed.
        """
        return await self.begin(change)

    def begin(self, change: Callable[[Batch], T]) -> asyncio.Future[T]:
        """As ``do``, for several changes that are to come into one batch, in their order."""
        reply: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._add(_Request(change, reply))
        return reply

    def post(self, change: Callable[[Batch], object]) -> None:
        """Apply a change for which nobody waits: tried again while the disk is full."""
        task = asyncio.get_running_loop().create_task(self._persist(change))
        self._posted.add(task)
        task.add_done_callback(self._posted.discard)

    async def lease(self, waiting: Waiting) -> list[Assignment]:
        """Grants for a worker, at once or when there is work within its wait; ``[]`` if not.

        Raises:
            ServerBusy: as ``do``.
        """
        reply: asyncio.Future[list[Assignment]] = asyncio.get_running_loop().create_future()
        waiting.reply = reply

        def first_try(batch: Batch) -> object:
            self._room.give_way(waiting)
            if reply.done():
                return []
            grants = attempts.lease(batch, waiting.worker, waiting.request)
            if grants or waiting.wait_s <= 0 or self._closing:
                return grants
            self._room.add(waiting)
            self.on_idle()
            return _LATER

        self._add(_Request(first_try, reply))
        try:
            return await reply
        finally:
            self._room.leave(waiting)

    def idle(self) -> list[Waiting]:
        """Those who wait for work now."""
        return self._room.all()

    async def run(self) -> None:
        """Work until ``stop``; what comes later is refused."""
        try:
            while self._alone or self._requests or not self._stopping:
                if self._alone:
                    await self._work([self._alone.popleft()])
                elif self._requests:
                    requests, self._requests = list(self._requests), deque()
                    await self._work(requests)
                else:
                    self._arrived.clear()
                    await self._arrived.wait()
        finally:
            self._cancel_wake()
            self._stopping = True
            for task in self._posted:
                task.cancel()
            self._writer.shutdown()

    def send_away(self, worker_id: str) -> None:
        """Answer a worker that waits for work with none."""
        self._room.release(worker_id)

    def release_waiting(self) -> None:
        """Answer every worker that waits for work with none, now and from now on."""
        self._closing = True
        self._room.release_all()

    def stop(self) -> None:
        """Let ``run`` end once everything that has arrived is done."""
        self.release_waiting()
        self._stopping = True
        self._arrived.set()

    def _add(self, request: _Request) -> None:
        if self._stopping:
            request.refuse(ServerBusy("The server is stopping: try again when it is back."))
            return
        self._requests.append(request)
        self._arrived.set()

    async def _persist(self, change: Callable[[Batch], object]) -> None:
        while True:
            try:
                await self.begin(change)
            except ServerBusy:
                await asyncio.sleep(_RETRY_S)
            except CopernicusError as error:
                _LOG.warning("refused", reason=error.message)
                return
            else:
                return

    async def _work(self, requests: list[_Request]) -> None:
        batch = Batch(self.holdings, self._store, self._clock.now())
        done: list[_Request] = []
        broken = False
        for index, request in enumerate(requests):
            done.append(request)
            if not self._apply(batch, request):
                self._requests.extendleft(reversed(requests[index + 1 :]))
                self._arrived.set()
                broken = True
                break
        granted = [] if broken else self._fill_waiting(batch)
        passing("batch.applied")
        if not await self._commit(batch, done, granted):
            return
        passing("batch.committed")
        if broken:
            await self._reload(batch)
        for worker in batch.sent_away:
            self.send_away(worker)
        for request in done:
            request.answer()
        for waiting, grants in granted:
            waiting.answer(grants)
        passing("batch.answered")
        # So that answers are on their way before those who follow are told.
        await asyncio.sleep(0)
        self._go_on_with(batch.unfinished)
        self._feed.publish(batch.entries)
        self._feed.publish_progress(batch.now, batch.progress)
        passing("batch.published")
        self._carry_out(batch.outside)
        if batch.lent_news:
            self.on_lent(batch.lent_news)
        passing("batch.carried_out")
        self._set_wake()

    def _go_on_with(self, projects: set[str]) -> None:
        """Have the rest fired behind all that waits now, so that others get their turns."""
        for project in sorted(projects - self._going_on):
            self._going_on.add(project)
            self.post(partial(self._go_on, project))

    def _go_on(self, project: str, batch: Batch) -> None:
        self._going_on.discard(project)
        batch.go_on(project)

    def _apply(self, batch: Batch, request: _Request) -> bool:
        """False if memory can no longer be believed: what this request began is left out."""
        mark = batch.mark()
        request.result = request.error = None
        try:
            try:
                request.result = request.change(batch)
            except CopernicusError as refusal:
                # Refused before anything was changed, but time has passed for the queue.
                request.error = refusal
            settle(batch)
        except Exception as error:  # noqa: BLE001  # a bug must not stop the server
            request.error = _bug(error)
            batch.back_to(mark)
            return False
        return True

    def _fill_waiting(self, batch: Batch) -> list[tuple[Waiting, list[Assignment]]]:
        if not (batch.stirred or self._refill):
            return []
        self._refill = False
        granted = []
        for waiting in self._room.in_order():
            grants = attempts.lease(batch, waiting.worker, waiting.request)
            settle(batch)
            if grants:
                self._room.leave(waiting)
                granted.append((waiting, grants))
            else:
                self._room.found_nothing(waiting)
        return granted

    async def _commit(
        self,
        batch: Batch,
        requests: list[_Request],
        granted: list[tuple[Waiting, list[Assignment]]],
    ) -> bool:
        if not batch.changed:
            return True
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            await loop.run_in_executor(self._writer, batch.write_to, self._store)
        except StoreFailed as error:
            self._end(error)
            raise
        except CopernicusError as error:
            await self._take_back(batch, requests, granted, error)
            return False
        except Exception as error:
            self._end(error)
            raise
        self.on_commit(batch, loop.time() - begun)
        return True

    def _end(self, error: Exception) -> None:
        """Whatever it is: the disk is not as we think."""
        _LOG.critical("the store failed; ending at once", exc_info=error)
        self._end_process()

    async def _take_back(
        self,
        batch: Batch,
        requests: list[_Request],
        granted: list[tuple[Waiting, list[Assignment]]],
        error: CopernicusError,
    ) -> None:
        """Nothing was kept: the disk is full, or one of the requests cannot be stored."""
        await self._reload(batch)
        busy = error if isinstance(error, ServerBusy) else ServerBusy("Try again: it was not kept.")
        for waiting, _ in granted:
            waiting.refuse(busy)
        if busy is error:
            _LOG.warning("nothing was kept", reason=error.message)
            for request in requests:
                request.refuse(error)
        elif len(requests) > 1:
            # So that only the one at fault is refused.
            self._alone.extend(request for request in requests if not request.reply.done())
        else:
            requests[0].error = None
            requests[0].refuse(_bug(error))
        self._set_wake()

    async def _reload(self, batch: Batch) -> None:
        loop = asyncio.get_running_loop()
        reload = self.holdings.reload
        while True:
            now = self._clock.now()
            try:
                await loop.run_in_executor(self._writer, reload, self._store, batch.touched, now)
                break
            except ServerBusy as error:
                if self._stopping:
                    raise
                _LOG.warning("cannot read what is stored; trying again", reason=error.message)
                await asyncio.sleep(_RETRY_S)
        self._refill = True
        self._go_on_with(batch.touched)

    def _set_wake(self) -> None:
        self._cancel_wake()
        due = self.holdings.scheduler.next_wake(self._clock.now())
        if due is not None and not self._closing:
            delay = max(due - self._clock.now(), 0.0)
            self._wake = asyncio.get_running_loop().call_later(delay, self._tick)

    def _cancel_wake(self) -> None:
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None

    def _tick(self) -> None:
        self._wake = None
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        reply.add_done_callback(_look_at)
        self._add(_Request(Batch.tick, reply))


def _bug(error: Exception) -> InternalError:
    name = secrets.token_hex(4)
    _LOG.error("bug", id=name, exc_info=error)
    return InternalError(f"This is a bug of the server; its log has more under {name}.")


def _look_at(reply: asyncio.Future[Any]) -> None:
    """A tick that a full disk refused comes again with the next wake: nothing to do."""
    with contextlib.suppress(asyncio.CancelledError):
        reply.exception()
