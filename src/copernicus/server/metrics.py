"""What is counted while the server runs, and its text for Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from copernicus.model.events import ActivationEnded
from copernicus.scheduling.rows import AttemptRow

if TYPE_CHECKING:
    from copernicus.server.batch import Batch

_BOUNDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
_HELP: Final = {
    "commits_total": "Transactions that were made durable.",
    "commit_seconds": "How long a transaction took, until it was on the disk.",
    "requests_total": "Requests, by port and status.",
    "request_seconds": "How long a request took, by port; a worker's may wait for work.",
    "received_bytes_total": "Bytes of request bodies, by port.",
    "sent_bytes_total": "Bytes of answers, by port.",
    "activations_ended_total": "Jobs and workflow evaluations that ended, by outcome.",
    "leases_granted_total": "Attempts given to workers.",
    "leases_lost_total": "Attempts whose worker fell silent for a lease.",
    "queue_jobs": "Jobs in the queue: offered, in a back-off, or kept back (paused, waiting).",
    "leases": "Attempts that workers hold now.",
    "workers": "Workers by state.",
    "projects": "Projects.",
    "disk_free_bytes": "What is free on the disk of the server's folder.",
    "disk_low": "1 while no work is given out for want of disk.",
}
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters and durations; all of it begins anew with each start of the server."""

    def __init__(self) -> None:
        self._counters: defaultdict[str, Counter[Labels]] = defaultdict(Counter)
        self._buckets: defaultdict[str, defaultdict[Labels, list[int]]]
        self._buckets = defaultdict(lambda: defaultdict(lambda: [0] * (len(_BOUNDS) + 1)))
        self._sums: defaultdict[str, defaultdict[Labels, float]]
        self._sums = defaultdict(lambda: defaultdict(float))

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add to a counter."""
        self._counters[name][tuple(sorted(labels.items()))] += amount

    def took(self, name: str, seconds: float, **labels: str) -> None:
        """Note how long something took."""
        key = tuple(sorted(labels.items()))
        self._buckets[name][key][bisect_left(_BOUNDS, seconds)] += 1
        self._sums[name][key] += seconds

    def committed(self, batch: Batch, seconds: float) -> None:
        """A batch is on the disk."""
        self.count("commits_total")
        self.took("commit_seconds", seconds)
        for _, entry in batch.entries:
            if isinstance(entry.event, ActivationEnded):
                self.count("activations_ended_total", outcome=entry.event.outcome)
        attempts = {row.id: row for row in batch.rows if isinstance(row, AttemptRow)}
        for row in attempts.values():
            if row.state == "live" and row.granted == batch.now and not row.heard:
                self.count("leases_granted_total")
            elif row.state == "lost" and row.outcome == "lost" and row.ended == batch.now:
                self.count("leases_lost_total")

    def text(self, now: Mapping[str, Mapping[Labels, float]]) -> str:
        """All of it; ``now`` are gauges by name and labels."""
        return "\n".join(self._lines(now)) + "\n"

    def _lines(self, now: Mapping[str, Mapping[Labels, float]]) -> Iterator[str]:
        for name, help_text in _HELP.items():
            full = f"copernicus_{name}"
            values: Mapping[Labels, float] = now.get(name, self._counters.get(name, {}))
            kind = "gauge" if name in now else "counter"
            if name in self._buckets:
                kind = "histogram"
            elif not values:
                continue
            yield f"# HELP {full} {help_text}"
            yield f"# TYPE {full} {kind}"
            for labels, value in sorted(values.items()):
                yield f"{full}{_braces(labels)} {int(value)}"
            yield from self._histogram(name, full)

    def _histogram(self, name: str, full: str) -> Iterator[str]:
        for labels, buckets in sorted(self._buckets.get(name, {}).items()):
            total = 0
            for bound, found in zip((*_BOUNDS, float("inf")), buckets, strict=True):
                total += found
                le = "+Inf" if bound == float("inf") else f"{bound:g}"
                yield f"{full}_bucket{_braces((*labels, ('le', le)))} {total}"
            yield f"{full}_sum{_braces(labels)} {self._sums[name][labels]:.6f}"
            yield f"{full}_count{_braces(labels)} {total}"


def _braces(labels: Labels) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
