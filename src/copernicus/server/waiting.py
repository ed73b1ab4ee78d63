"""Workers that wait for work: their requests are held open until there is some for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from copernicus.protocol import Assignment, LeaseRequest
from copernicus.scheduling.workers import WorkerInfo


class Waiting:
    """One worker's request for work."""

    def __init__(self, worker: WorkerInfo, request: LeaseRequest, wait_s: float) -> None:
        self.worker = worker
        self.request = request
        self.wait_s = wait_s
        self.reply: asyncio.Future[list[Assignment]] | None = None
        self.timer: asyncio.TimerHandle | None = None

    def answer(self, grants: list[Assignment]) -> None:
        """Send the grants (none, when the wait is over)."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_result(grants)

    def refuse(self, error: Exception) -> None:
        """Send an error in their place."""
        if self.reply is not None and not self.reply.done():
            self.reply.set_exception(error)


class WaitingRoom:
    """Those who wait, first come first served; one place per worker."""

    def __init__(self) -> None:
        self._by_worker: dict[str, Waiting] = {}
        self._fruitless: set[Any] = set()

    def add(self, waiting: Waiting) -> None:
        """Wait, until ``wait_s`` is over at the latest."""
        self._by_worker[waiting.worker.id] = waiting
        loop = asyncio.get_running_loop()
        waiting.timer = loop.call_later(waiting.wait_s, self._give_up, waiting)

    def release(self, worker_id: str) -> None:
        """Answer a request of this worker, whose newer one has come, or whose trust has ended."""
        older = self._by_worker.get(worker_id)
        if older is not None:
            self._give_up(older)

    def leave(self, waiting: Waiting) -> None:
        """Wait no more."""
        if waiting.timer is not None:
            waiting.timer.cancel()
            waiting.timer = None
        if self._by_worker.get(waiting.worker.id) is waiting:
            del self._by_worker[waiting.worker.id]

    def all(self) -> list[Waiting]:
        """All who wait, those who came first at the front."""
        return list(self._by_worker.values())

    def in_order(self) -> Iterator[Waiting]:
        """One after another, leaving out whoever offers just what found nothing this time."""
        self._fruitless = set()
        for waiting in list(self._by_worker.values()):
            if _likeness(waiting) not in self._fruitless:
                yield waiting

    def found_nothing(self, waiting: Waiting) -> None:
        """There is no work for such an offer in this round."""
        self._fruitless.add(_likeness(waiting))

    def release_all(self) -> None:
        """Send everybody away without work."""
        for waiting in list(self._by_worker.values()):
            self._give_up(waiting)

    def _give_up(self, waiting: Waiting) -> None:
        self.leave(waiting)
        waiting.answer([])


def _likeness(waiting: Waiting) -> Any:
    return (waiting.worker.pool, waiting.request.offer)
