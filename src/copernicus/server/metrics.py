"""What is counted while the server runs, as Prometheus reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from copernicus.model.events import ActivationEnded
from copernicus.scheduling.rows import AttemptRow

if TYPE_CHECKING:
    from copernicus.server.batch import Batch

_BOUNDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0)
_SPACE: Final = "copernicus"
Described = Mapping[str, tuple[str, tuple[str, ...]]]
# What it means, and by which labels it is told apart.
_COUNTERS: Final[Described] = {
    "commits_total": ("Transactions that were made durable.", ()),
    "peer_job_files_total": (
        "Larger files that peers' jobs needed: found here, or fetched.",
        ("way",),
    ),
    "requests_total": ("Requests, by port and status.", ("port", "status")),
    "received_bytes_total": ("Bytes of request bodies, by port.", ("port",)),
    "sent_bytes_total": ("Bytes of answers, by port.", ("port",)),
    "activations_ended_total": (
        "Jobs and workflow evaluations that ended, by outcome.",
        ("outcome",),
    ),
    "leases_granted_total": ("Attempts given to workers.", ()),
    "leases_lost_total": ("Attempts whose worker fell silent for a lease.", ()),
}
_HISTOGRAMS: Final[Described] = {
    "commit_seconds": ("How long a transaction took, until it was on the disk.", ()),
    "request_seconds": (
        "How long a request took, by port; a worker's may wait for work.",
        ("port",),
    ),
}
_GAUGES: Final[Described] = {
    "queue_jobs": (
        "Jobs in the queue: offered, in a back-off, or kept back (paused, waiting).",
        ("state",),
    ),
    "leases": ("Attempts that workers hold now.", ()),
    "workers": ("Workers by state.", ("state",)),
    "projects": ("Projects.", ()),
    "peer_cache_bytes": ("What was fetched for peers' jobs and is kept.", ()),
    "disk_free_bytes": ("What is free on the disk of the server's folder.", ()),
    "disk_low": ("1 while no work is given out for want of disk.", ()),
}
Labels = tuple[tuple[str, str], ...]


class Metrics:
    """Counters and durations; all of it begins anew with each start of the server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters = {
            name: Counter(name, said, labels, namespace=_SPACE, registry=self._registry)
            for name, (said, labels) in _COUNTERS.items()
        }
        self._durations = {
            name: Histogram(
                name, said, labels, namespace=_SPACE, registry=self._registry, buckets=_BOUNDS
            )
            for name, (said, labels) in _HISTOGRAMS.items()
        }

        self._children: dict[tuple[str, ...], Any] = {}

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add to a counter."""
        self._child(self._counters, name, labels).inc(amount)

    def took(self, name: str, seconds: float, **labels: str) -> None:
        """Note how long something took."""
        self._child(self._durations, name, labels).observe(seconds)

    def _child(self, metrics: Mapping[str, Any], name: str, labels: dict[str, str]) -> Any:
        """What counts for these labels; to have it found each time costs more than to count."""
        key = (name, *labels.values())
        child = self._children.get(key)
        if child is None:
            metric = metrics[name]
            child = self._children[key] = metric.labels(**labels) if labels else metric
        return child

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
        present = CollectorRegistry()
        for name, (said, labels) in _GAUGES.items():
            gauge = Gauge(name, said, labels, namespace=_SPACE, registry=present)
            for which, value in sorted(now[name].items()):
                (gauge.labels(**dict(which)) if which else gauge).set(value)
        return (generate_latest(self._registry) + generate_latest(present)).decode()
