"""The workers that have asked for work: what they offered last, and when."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from copernicus.model.resources import Offer
from copernicus.scheduling.inputs import Held


class WorkerInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """A worker as its server knows it. ``projects``: those it may serve (none named: all).

    ``peer``: it is a server that offers one of its own workers after the other. ``refused``:
    projects of which it gets nothing, since their jobs came by way of it.
    """

    id: str
    host: str = ""
    pool: str = "default"
    projects: tuple[str, ...] = ()
    peer: bool = False
    refused: tuple[str, ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """A worker's last offer: what was free at ``at``."""

    worker: WorkerInfo
    offer: Offer
    at: float


class Workers:
    """Who has been seen, and who is to take no more work."""

    def __init__(self) -> None:
        self.draining: set[str] = set()
        self.revoked: set[str] = set()
        self.aside: Collection[str] = ()
        self.held = Held()
        self._gone = 0
        self._seen: dict[str, Seen] = {}

    def see(self, worker: WorkerInfo, offer: Offer, now: float) -> None:
        """Note what a worker offers."""
        self._seen[worker.id] = Seen(worker, offer, now)

    def is_peer(self, worker: str) -> bool:
        """Whether it was seen as a server that offers its own workers, each by itself."""
        seen = self._seen.get(worker)
        return seen is not None and seen.worker.peer

    def hear(self, worker: str, offer: Offer | None, now: float) -> None:
        """Note a sign of life of a worker that is known, and what it has free, if it says so."""
        seen = self._seen.get(worker)
        if seen:
            self._seen[worker] = Seen(seen.worker, offer or seen.offer, now)

    def forget(self, worker: str) -> None:
        """A worker that is gone for good."""
        self._gone += self._seen.pop(worker, None) is not None
        self.held.forget(worker)

    @property
    def departures(self) -> int:
        """Changes when workers go, or are to take no more work."""
        return self._gone + len(self.draining) + len(self.aside)

    def is_recent(self, worker: str, since: float) -> bool:
        """Whether it was seen at ``since`` or later and still takes work."""
        seen = self._seen.get(worker)
        return seen is not None and seen.at >= since and self._takes_work(worker)

    def _takes_work(self, worker: str) -> bool:
        return worker not in self.draining and worker not in self.aside

    def recent(self, since: float) -> Iterator[Seen]:
        """Those seen at ``since`` or later that still take work."""
        for seen in self._seen.values():
            if seen.at >= since and self._takes_work(seen.worker.id):
                yield seen

    def offers(self, worker: str, program: str) -> bool:
        """Whether a worker that was seen has a program of this name."""
        seen = self._seen.get(worker)
        return seen is not None and any(each.name == program for each in seen.offer.programs)

    def host(self, worker: str) -> str:
        """The name to show for a worker."""
        seen = self._seen.get(worker)
        return (seen.worker.host if seen else "") or worker
