"""Workers that wait for work: their requests are held open until there is some for them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

from copernicus.protocol import Assignment, LeaseRequest
from copernicus.scheduling.workers import WorkerInfo

Place = tuple[str, Any]

MOST_OF_A_PEER = 16
"""How many requests of one peer may wait; the newest do."""


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
    """Those who wait; one place per worker, and for each kind of worker that a peer asks for.

    A job goes to the nearest: first to the own workers, then to those whose offers have passed the
    fewest servers. Among these, first come first served.
    """

    def __init__(self) -> None:
        self._places: dict[Place, Waiting] = {}
        self._fruitless: set[Any] = set()

    def add(self, waiting: Waiting) -> None:
        """Wait, until ``wait_s`` is over at the latest."""
        self._places[_place(waiting)] = waiting
        loop = asyncio.get_running_loop()
        waiting.timer = loop.call_later(waiting.wait_s, self._give_up, waiting)
        if waiting.worker.peer:
            for older in self._of(waiting.worker.id)[:-MOST_OF_A_PEER]:
                self._give_up(older)

    def give_way(self, newer: Waiting) -> None:
        """Answer the request in whose place a newer one has come."""
        older = self._places.get(_place(newer))
        if older is not None:
            self._give_up(older)

    def release(self, worker_id: str) -> None:
        """Answer all requests of a worker, whose trust has ended."""
        for waiting in self._of(worker_id):
            self._give_up(waiting)

    def leave(self, waiting: Waiting) -> None:
        """Wait no more."""
        if waiting.timer is not None:
            waiting.timer.cancel()
            waiting.timer = None
        if self._places.get(_place(waiting)) is waiting:
            del self._places[_place(waiting)]

    def all(self) -> list[Waiting]:
        """All who wait, in the order in which they are served."""
        return sorted(self._places.values(), key=lambda one: len(one.request.via))

    def in_order(self) -> Iterator[Waiting]:
        """One after another, leaving out whoever offers just what found nothing this time."""
        self._fruitless = set()
        for waiting in self.all():
            if _likeness(waiting) not in self._fruitless:
                yield waiting

    def found_nothing(self, waiting: Waiting) -> None:
        """There is no work for such an offer in this round."""
        self._fruitless.add(_likeness(waiting))

    def release_all(self) -> None:
        """Send everybody away without work."""
        for waiting in list(self._places.values()):
            self._give_up(waiting)

    def _of(self, worker_id: str) -> list[Waiting]:
        return [one for one in self._places.values() if one.worker.id == worker_id]

    def _give_up(self, waiting: Waiting) -> None:
        self.leave(waiting)
        waiting.answer([])


def _likeness(waiting: Waiting) -> Any:
    return (waiting.worker.pool, waiting.request.offer, waiting.request.via)


def _place(waiting: Waiting) -> Place:
    kind = (waiting.request.via, waiting.request.offer) if waiting.worker.peer else None
    return (waiting.worker.id, kind)
