"""Jobs that may kill their workers: each runs alone, so that it takes no other job with it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from copernicus.scheduling.core import Core
from copernicus.scheduling.matching import Pick
from copernicus.scheduling.rows import is_suspect


def may_fill(core: Core, worker: str) -> bool:
    """Whether a worker may take anything now.

    It may not while a suspect has it for itself, nor while it is being emptied for one that has
    waited long.
    """
    held = core.book.held_by.get(worker, {})
    if any(is_suspect(core.book.jobs[attempt.job]) for attempt in held.values()):
        return False
    return not held or not any(_has_waited(core, worker, job) for job in _offered(core))


@contextlib.contextmanager
def hidden(core: Core, worker: str) -> Iterator[None]:
    """Keep suspects out of sight of a worker that has other work."""
    jobs = _offered(core) if core.book.held_by.get(worker) else []
    arrivals = core.queue.arrivals
    for job in jobs:
        core.queue.remove(job)
    try:
        yield
    finally:
        for job in jobs:
            core.place(core.book.jobs[job])
        core.queue.arrivals = arrivals


def parted(core: Core, picks: Sequence[Pick]) -> list[Pick]:
    """The picks that may run together on an idle worker; the others go back to the queue."""
    suspects = [pick for pick in picks if is_suspect(core.book.jobs[pick.job])]
    if not suspects:
        return list(picks)
    kept = [pick for pick in suspects if pick.cores][:1]
    for pick in picks:
        if pick not in kept:
            core.place(core.book.jobs[pick.job])
    return kept


def _offered(core: Core) -> list[str]:
    return [job for job in core.suspects if core.queue.lane_of(job) is not None]


def _has_waited(core: Core, worker: str, job: str) -> bool:
    """Whether it is this worker's turn to be emptied for the job."""
    row = core.book.jobs[job]
    if core.now - row.queued < core.settings.reserve_after_s or worker in (*row.avoid, *row.barred):
        return False
    seen = {seen.worker.id: seen for seen in core.workers.recent(_since(core))}
    assert row.spec is not None
    if worker not in seen or not core.workers.offers(worker, row.spec.program.name):
        return False
    other = core.reservations.worker_for(job)
    if other not in (None, worker) and other in seen:
        return False
    core.reservations.reserve(worker, job)
    return True


def _since(core: Core) -> float:
    return core.now - core.settings.worker_recent_s
