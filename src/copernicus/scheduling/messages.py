"""What workers send of their attempts: signs of life, checkpoints, results.

A sign of life and a checkpoint count only from the newest attempt, and in the order in which they
were sent; a result counts from any attempt that was really granted to its sender, and the first
one wins.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.errors import BadValue, Conflict, NotAllowed
from copernicus.model.jobs import Failure
from copernicus.model.values import digest
from copernicus.protocol import (
    Beat,
    CheckpointRequest,
    Directive,
    PartialRequest,
    ResultRequest,
)
from copernicus.scheduling import blame, partials, retry
from copernicus.scheduling.book import resumable
from copernicus.scheduling.core import Core
from copernicus.scheduling.measured import measured
from copernicus.scheduling.rows import AttemptRow, job_of_attempt, last_of

Verdict = Literal["accepted", "already", "superseded"]


def granted(core: Core, worker: str, attempt: str) -> AttemptRow:
    """The attempt, if it was granted to this worker.

    Raises:
        NotAllowed: It was not, or the worker was revoked.
    """
    row = core.book.attempt(attempt)
    if row is None or row.worker != worker or row.outcome == "revoked":
        if _is_forged(core, worker, attempt) and core.quarantine.forged(worker, core.now):
            core.reservations.release_worker(worker)
        raise NotAllowed(f"attempt {attempt} was not granted to worker {worker}")
    return row


def _is_forged(core: Core, worker: str, attempt: str) -> bool:
    """Whether no worker that does its work in good faith would speak for this attempt.

    One may for an attempt of a project that is gone, of the time before an older backup was put
    back, or of its own from before it was revoked.
    """
    row, place = core.book.attempt(attempt), job_of_attempt(attempt)
    if row is not None or place is None:
        return row is None or row.worker != worker
    return place[0] in core.book.jobs and not 0 < place[1] <= core.attempt_base


def beat(core: Core, worker: str, beat: Beat) -> Directive:
    """Take a sign of life; what the worker is to do."""
    row = core.book.attempt(beat.attempt)
    if row is None or row.worker != worker or row.state == "ended":
        return Directive(beat.attempt, "discard")
    if core.can_revive(row):
        row = core.revive(row)
    if row.state != "live":
        return Directive(beat.attempt, "discard")
    lease = core.leases.get(row.id)
    assert lease is not None
    if beat.begun:
        row = core.hear(row)
    if beat.seq > lease.seq:
        lease.seq = beat.seq
        lease.progress = beat.progress or lease.progress
        core.note_losses(row, beat.losses)
        if beat.log_tail is not None:
            lease.log_tail, lease.log_end = beat.log_tail, beat.log_end
        core.leases.start(row.id, core.now)
    share = partials.share_of(core, row) if row.directive == "go" else None
    return Directive(beat.attempt, row.directive, share)


def checkpoint(core: Core, worker: str, request: CheckpointRequest) -> None:
    """Take a checkpoint; the same one again (``seq``) is taken once.

    Raises:
        NotAllowed: The attempt was not granted to this worker.
        Conflict: The attempt is not the one whose checkpoints count (any more).
        BadValue: The job has no checkpoints, or they belong to other work.
    """
    row = granted(core, worker, request.attempt)
    job = core.book.jobs[row.job]
    if not resumable(job.spec):
        raise BadValue(f"job {job.id} has no checkpoints: its function declares none")
    assert job.spec is not None
    if request.key != job.spec.checkpoint_key:
        raise BadValue(
            f"checkpoint {request.key!r} is not of the work of job {job.id}: "
            "send the checkpoint_key of its spec"
        )
    if request.seq == row.seq:
        return
    if core.can_revive(row):
        row = core.revive(row)
    if row.state != "live" or not core.may_add_checkpoint(row):
        raise Conflict(f"attempt {request.attempt} no longer holds its job: stop it")
    if request.seq < row.seq:
        raise Conflict(
            f"checkpoint {request.seq} of attempt {request.attempt} came after {row.seq}: "
            "it is out of date"
        )
    core.leases.start(row.id, core.now)
    core.add_checkpoint(core.hear(row), request)


def partial(core: Core, worker: str, request: PartialRequest) -> None:
    """Take what a running attempt has made so far; the same again (``seq``) is taken once.

    Raises:
        NotAllowed: The attempt was not granted to this worker.
        Conflict: The attempt does not hold its job any more, or the message is out of date.
        BadValue: The job gives no such thing before its end.
    """
    row = granted(core, worker, request.attempt)
    if core.can_revive(row):
        row = core.revive(row)
    if row.state != "live":
        raise Conflict(f"attempt {request.attempt} no longer holds its job: stop it")
    core.leases.start(row.id, core.now)
    partials.take(core, core.hear(row), request)


def result(core: Core, worker: str, request: ResultRequest) -> Verdict:
    """Take the end of an attempt: ``accepted``, ``already`` or ``superseded``.

    Raises:
        NotAllowed: The attempt was not granted to this worker.
    """
    row = core.hear(granted(core, worker, request.attempt))
    if request.outcome == "completed":
        return _completed(core, row, request)
    if row.state == "ended":
        return "already" if row.outcome == request.outcome else "superseded"
    if core.can_revive(row):
        row = core.revive(row)
    counts = row.state == "live"
    if request.checkpoint and core.may_add_checkpoint(row):
        row = core.add_checkpoint(row, request.checkpoint)
    row = _close(core, row, request)
    lost = request.failure is not None and request.failure.cause == "worker_lost"
    core.note_losses(row, request.losses - lost)
    job = core.book.jobs[row.job]
    if not counts:
        # Sent again, it is answered the same: a peer counts by the answer what it has done.
        core.book.change_attempt(row, outcome="superseded")
        return "superseded"
    if job.state == "leased" and request.outcome == "stopped":
        core.requeue(msgspec.structs.replace(job, backoff_s=0.0))
    elif job.state == "leased":
        failure = _failure(core, row, request)
        if blame.is_at_fault(core, row, failure):
            core.requeue(msgspec.structs.replace(job, last_failure=failure, backoff_s=0.0))
        else:
            core.note_failure(row, failure)
            settings, spec = core.settings, core.by_project(job)
            core.settle(retry.after_failure(job, failure, row.worker, settings, spec))
    return "accepted"


def _completed(core: Core, row: AttemptRow, request: ResultRequest) -> Verdict:
    job = core.book.jobs[row.job]
    found = digest(request.outputs)
    if job.digest:
        if row.state != "ended":
            _close(core, row, request)
        return "already" if found == job.digest else "superseded"
    if row.state == "ended" or job.state == "failed":
        return "superseded"
    if request.checkpoint and resumable(job.spec):
        row = core.add_checkpoint(row, request.checkpoint)
    row = _close(core, row, request)
    core.quarantine.succeeded(row.worker)
    other = core.book.live(job.id)
    if other:
        other = core.book.change_attempt(other, directive="discard")
        core.close_attempt(other, ended=False, outcome="superseded")
    job = core.book.jobs[row.job]
    core.end_job(
        msgspec.structs.replace(
            job,
            state="cancelled" if job.state == "cancelled" else "done",
            outputs=request.outputs,
            digest=found,
            checkpoint=core.kept(row.checkpoint, job),
        )
    )
    return "accepted"


def _close(core: Core, row: AttemptRow, request: ResultRequest) -> AttemptRow:
    fields: dict[str, Any] = measured(core, row, request)
    if request.record:
        fields["host"] = row.host or request.record.host
        fields["program_version"] = request.record.program_version or row.program_version
        fields["exit_code"] = request.record.exit_code
        fields["cores"] = row.cores or request.record.cores
        if request.record.series:
            fields["series"] = request.record.series
        took = request.record.ended - request.record.started
        if took > 0:
            # By how long the worker says, not by when: its clock may be wrong.
            fields["started"] = min(row.started or core.now, core.now - took)
    if request.failure and request.failure.exit_code is not None:
        fields["exit_code"] = request.failure.exit_code
    log = (request.record.log if request.record else "") or (
        request.failure.log if request.failure else ""
    )
    row = core.close_attempt(row, ended=True, outcome=request.outcome)
    if log:
        fields["log"] = last_of(log)
    return core.book.change_attempt(row, **fields) if fields else row


def _failure(core: Core, row: AttemptRow, request: ResultRequest) -> Failure:
    failure = request.failure or Failure(f"it failed on {core.name(row)} without saying why")
    return msgspec.structs.replace(
        failure,
        worker=core.name(row),
        exit_code=failure.exit_code if failure.exit_code is not None else row.exit_code,
    )
