"""The leases of live attempts: what is known of them only while the server runs.

None of this is stored: after a restart every live attempt gets one full lease again.
"""

from __future__ import annotations

import heapq
from collections import defaultdict

from copernicus.protocol import ProgressReport


class Lease:
    """The lease of one attempt: until when, and what its last heartbeat said."""

    __slots__ = ("expires", "log_end", "log_tail", "progress", "seq")

    def __init__(self, expires: float) -> None:
        self.expires = expires
        self.seq = -1
        self.progress: ProgressReport | None = None
        self.log_tail = ""
        self.log_end = 0


class Leases:
    """All leases that run, by attempt id, and the answers to recent requests for work."""

    def __init__(self, lease_s: float, requests_kept: int) -> None:
        self._lease_s = lease_s
        self._kept = requests_kept
        self._leases: dict[str, Lease] = {}
        self._ends: list[tuple[float, str]] = []
        self._requests: defaultdict[str, dict[str, list[str]]] = defaultdict(dict)

    def start(self, attempt: str, now: float) -> None:
        """Let a lease run for its full time; one that runs already is renewed."""
        lease = self._leases.get(attempt)
        if lease:
            lease.expires = now + self._lease_s
            return
        self._leases[attempt] = Lease(now + self._lease_s)
        heapq.heappush(self._ends, (now + self._lease_s, attempt))

    def end(self, attempt: str) -> None:
        """The lease is over; nothing if it was."""
        self._leases.pop(attempt, None)

    def get(self, attempt: str) -> Lease | None:
        """The lease of an attempt, if it runs."""
        return self._leases.get(attempt)

    def next_end(self) -> float | None:
        """When the next lease is over, if nothing renews it."""
        while self._ends:
            until, attempt = self._ends[0]
            lease = self._leases.get(attempt)
            if lease is None:
                heapq.heappop(self._ends)
            elif lease.expires > until:
                heapq.heapreplace(self._ends, (lease.expires, attempt))
            else:
                return until
        return None

    def expired(self, now: float) -> list[str]:
        """The attempts whose leases are over by now, each named once: the caller ends them."""
        found = []
        while (until := self.next_end()) is not None and until <= now:
            found.append(heapq.heappop(self._ends)[1])
        return found

    def note_request(self, worker: str, request: str, attempts: list[str]) -> None:
        """Remember what a request was answered; the oldest answers are forgotten."""
        requests = self._requests[worker]
        requests.setdefault(request, []).extend(attempts)
        while len(requests) > self._kept:
            del requests[next(iter(requests))]

    def answered(self, worker: str, request: str) -> list[str] | None:
        """The attempts that the request was given, if it was given any."""
        return self._requests[worker].get(request) if worker in self._requests else None

    def forget_worker(self, worker: str) -> None:
        """A worker that is gone asks no more."""
        self._requests.pop(worker, None)
