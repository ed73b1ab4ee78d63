"""What becomes of a job whose attempt did not complete: tried again, or failed, by cause."""

from __future__ import annotations

import msgspec

from copernicus.model.jobs import Failure, JobSpec
from copernicus.model.retries import AS_FUNCTIONS_SAY, NAMES, ProjectRetries
from copernicus.scheduling.rows import JobRow
from copernicus.scheduling.settings import SchedulerSettings

MOST_AVOIDED = 8
"""How many workers that failed it a job remembers: the last ones."""


def by_project(spec: JobSpec, retries: ProjectRetries | None) -> JobSpec:
    """The spec with what its project has otherwise than its function."""
    if retries is None or retries == AS_FUNCTIONS_SAY:
        return spec
    fields = {
        name: (*given, *getattr(spec, name)) if isinstance(given, tuple) else given
        for name in NAMES
        if (given := getattr(retries, name)) is not None
    }
    return msgspec.structs.replace(spec, **fields)


def after_failure(
    row: JobRow, failure: Failure, worker: str, settings: SchedulerSettings, spec: JobSpec
) -> JobRow:
    """The job after a failed attempt: queued with a back-off, or failed.

    A job's own errors are tried again on other workers first, a lack of memory with more of it;
    what the machine is to blame for, or will pass, is tried often. ``spec`` has the budgets.
    """
    if failure.cause == "worker_lost":
        lost = msgspec.structs.replace(row, last_failure=failure)
        return after_loss(lost, failure, worker, settings, spec)
    fields: dict[str, object] = {"last_failure": failure}
    will_pass = failure.cause == "infrastructure" or failure.verdict == "transient"
    if failure.verdict == "permanent":
        fields["errors"], spent = row.errors + 1, True
    elif will_pass and failure.cause in ("infrastructure", "job_error", "resource"):
        fields["troubles"], spent = row.troubles + 1, row.troubles >= spec.troubles
    elif failure.cause == "job_error":
        fields["errors"], spent = row.errors + 1, row.errors >= spec.job_errors
    elif failure.cause == "resource":
        fields["growths"], spent = row.growths + 1, row.growths >= spec.memory_growths
        fields["memory_mb"] = grown_memory(row, settings)
    else:
        spent = True
    if spent:
        end = _told(failure, row.troubles + 1) if "troubles" in fields else failure
        return failed(msgspec.structs.replace(row, **fields), end)
    if failure.cause != "resource":
        fields["avoid"] = avoiding(row, worker)
    new = msgspec.structs.replace(row, state="queued", **fields)
    return msgspec.structs.replace(new, backoff_s=backoff(new, settings, spec))


def _told(failure: Failure, times: int) -> Failure:
    """A failure that is not the job's own says how often it was tried."""
    reason = f"{failure.reason} (the last of {times} failures that were not the job's own)"
    remedy = failure.remedy or "mend the workers (cpc worker list), then cpc retry"
    return msgspec.structs.replace(failure, reason=reason, remedy=remedy)


def after_loss(
    row: JobRow, failure: Failure, worker: str, settings: SchedulerSettings, spec: JobSpec
) -> JobRow:
    """The job after its worker was lost: queued again, until its budget is spent.

    At once the first time, since workers come and go; later ever more slowly.
    """
    counted = msgspec.structs.replace(row, losses=row.losses + 1, last_failure=failure)
    if counted.losses > spec.worker_losses:
        return failed(counted, failure)
    wait = 0.0 if not row.losses else _growing(row.losses, settings, spec)
    return msgspec.structs.replace(
        counted, state="queued", backoff_s=wait, avoid=avoiding(row, worker)
    )


def avoiding(row: JobRow, worker: str) -> tuple[str, ...]:
    """The workers that are not to have the job next, the last one at the end."""
    others = (other for other in row.avoid if other != worker)
    return (*others, worker)[-MOST_AVOIDED:]


def failed(row: JobRow, failure: Failure) -> JobRow:
    """The job, failed for good."""
    return msgspec.structs.replace(row, state="failed", last_failure=failure, failure=failure)


def grown_memory(row: JobRow, settings: SchedulerSettings) -> int:
    """What a job that ran out of memory asks for next (MiB)."""
    assert row.spec is not None
    now = row.memory_mb or row.spec.resources.memory_mb
    return round(now * settings.memory_growth) if now else settings.first_memory_mb


def backoff(row: JobRow, settings: SchedulerSettings, spec: JobSpec) -> float:
    """How long a job waits, in seconds: twice as long each time, up to the bound."""
    return _growing(row.errors + row.troubles + row.growths, settings, spec)


def _growing(times: int, settings: SchedulerSettings, spec: JobSpec) -> float:
    longest = settings.backoff_max_s if spec.backoff_max_s is None else spec.backoff_max_s
    return float(min(spec.backoff_s * 2.0 ** (min(times, 40) - 1), longest))
