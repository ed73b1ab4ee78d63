"""What is taken away: a worker's attempts, checkpoints from which nothing goes on any more."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from copernicus.scheduling.core import Core
from copernicus.scheduling.rows import AttemptRow


def revoke(core: Core, worker: str) -> None:
    """A worker is trusted no more: its jobs go back, nothing of it counts any more."""
    core.workers.revoked.add(worker)
    core.workers.draining.discard(worker)
    core.leases.forget_worker(worker)
    leave(core, worker)
    for attempts in tuple(core.book.attempts.values()):
        for row in tuple(attempts.values()):
            if row.worker == worker and row.state != "ended":
                _end(core, row)


def take_back(core: Core, worker: str) -> None:
    """What a worker holds goes back to the queue; it is still trusted."""
    core.leases.forget_worker(worker)
    for attempt in tuple(core.book.held_by.get(worker, {}).values()):
        _end(core, attempt)


def leave(core: Core, worker: str) -> None:
    """A worker counts no more when it is asked who could run a job."""
    core.workers.forget(worker)
    core.reservations.release_worker(worker)


def _end(core: Core, row: AttemptRow) -> None:
    was_live = row.state == "live"
    core.close_attempt(row, ended=True, outcome="revoked")
    job = core.book.jobs[row.job]
    if was_live and job.state == "leased":
        core.requeue(msgspec.structs.replace(job, backoff_s=0.0))


def forget_line(core: Core, job: str) -> None:
    """Nothing is continued any more from what a job of a peer has left."""
    row = core.book.jobs.get(job)
    if row is not None and row.spec is not None:
        core.book.checkpoints.pop((row.project, row.spec.checkpoint_key), None)


def forget_lines(core: Core, project: str, keys: Iterable[str]) -> None:
    """Nothing goes on from these checkpoints any more; no job that has not ended may."""
    for key in keys:
        line = core.line(project, key)
        core.book.dropped.extend(line.refs)
        core.book.put(msgspec.structs.replace(line, refs=()))
