"""What must hold between any two calls, whatever was sent."""

from __future__ import annotations

from collections import Counter

from copernicus.scheduling.core import Core
from copernicus.scheduling.rows import AttemptRow, JobRow


def check(core: Core) -> None:
    """Raise ``AssertionError`` naming the first invariant that does not hold."""
    for row in core.book.jobs.values():
        _check_job(core, row)
        for number, attempt in core.book.attempts.get(row.id, {}).items():
            _check_attempt(core, row, number, attempt)
    _check_sums(core)
    _check_indexes(core)


def _hold(condition: object, invariant: str, about: object) -> None:
    if not condition:
        raise AssertionError(f"{invariant}: {about}")


def _check_job(core: Core, row: JobRow) -> None:
    live = core.book.live(row.id)
    _hold((row.state == "leased") <= (live is not None), "I5 leased without a lease", row.id)
    _hold((row.state == "done") <= (row.outputs is not None), "I1 done without a result", row.id)
    _hold(bool(row.digest) == (row.outputs is not None), "I1 result without digest", row.id)
    _hold((row.state == "failed") <= (row.failure is not None), "I5 failed, no reason", row.id)
    places = core.queue.places(row.id)
    _hold(places == (row.state == "queued"), f"I9 in {places} places while {row.state}", row.id)
    if core.queue.is_aside(row.id):
        waits = row.on_hold or core.waits_for_checkpoint_of(row)
        _hold(waits, "I5 kept back without a reason", row.id)


def _check_attempt(core: Core, row: JobRow, number: int, attempt: AttemptRow) -> None:
    _hold(attempt.number == number <= row.attempts, "I3 number beyond the counter", attempt.id)
    leased = core.leases.get(attempt.id) is not None
    _hold(leased == (attempt.state == "live"), "I5 lease and state differ", attempt.id)
    _hold(attempt.state != "live" or number == row.attempts, "I3 two live attempts", attempt.id)
    if attempt.checkpoint:
        _hold(attempt.checkpoint.index <= row.checkpoints, "I4 index beyond counter", attempt.id)


def _check_sums(core: Core) -> None:
    states = Counter(row.state for row in core.book.jobs.values())
    _hold(sum(states.values()) == len(core.book.jobs), "I9 sum over states", states)
    _hold(len(core.queue) == states["queued"], "I9 queue and states differ", states)


def _check_indexes(core: Core) -> None:
    live = [
        row
        for attempts in core.book.attempts.values()
        for row in attempts.values()
        if row.state == "live"
    ]
    held = [row for rows in core.book.held_by.values() for row in rows.values()]
    _hold(sorted(row.id for row in live) == sorted(row.id for row in held), "index by worker", held)
    load: Counter[str] = Counter()
    for row in live:
        load[core.book.jobs[row.job].project] += row.cores
    _hold(load == Counter(core.book.load), "running cores by project", dict(core.book.load))
    for line in core.book.checkpoints.values():
        by_job: dict[str, int] = {}
        for ref in line.refs:
            _hold(ref.index > by_job.get(ref.job, 0), "I4 checkpoint index went back", ref)
            by_job[ref.job] = ref.index
