"""Checkpoints that are at fault: which one an attempt went on from, and when it is given up.

What is given up is never offered again; the work goes on from the checkpoint before, or from its
start if there is none.
"""

from __future__ import annotations

import msgspec

from copernicus.model.jobs import CheckpointRef, Failure
from copernicus.scheduling.core import Core
from copernicus.scheduling.rows import AttemptRow, JobRow


def base_of(ref: CheckpointRef | None) -> str:
    """How an attempt's row names the checkpoint that it goes on from."""
    return f"{ref.job}/{ref.index}" if ref else ""


def is_at_fault(core: Core, row: AttemptRow, failure: Failure) -> bool:
    """Whether a failure is the fault of the checkpoint alone; it is given up then.

    A job that went on from it, failed, and came no further is not yet told from a bad checkpoint.
    The second time it is given up, too, but the failure counts against the job.
    """
    if not row.base:
        return False
    job = core.book.jobs[row.job]
    if failure.bad_checkpoint:
        return _give_up(core, job, row.base)
    if failure.cause == "job_error" and row.checkpoint is None and _failed_before(core, row):
        _give_up(core, job, row.base)
    return False


def _failed_before(core: Core, row: AttemptRow) -> bool:
    return any(
        other.base == row.base and other.outcome == "failed" and other.checkpoint is None
        for other in core.book.attempts.get(row.job, {}).values()
        if other.number != row.number
    )


def _give_up(core: Core, job: JobRow, base: str) -> bool:
    """Whether it was still there."""
    assert job.spec is not None
    line = core.line(job.project, job.spec.checkpoint_key)
    kept = tuple(ref for ref in line.refs if base_of(ref) != base)
    if len(kept) == len(line.refs):
        return False
    core.book.dropped.extend(ref for ref in line.refs if base_of(ref) == base)
    core.book.put(msgspec.structs.replace(line, refs=kept))
    return True
