"""What becomes of a job whose attempt did not complete: tried again, or failed, by cause."""

from __future__ import annotations

import msgspec

from copernicus.model.jobs import Failure
from copernicus.scheduling.rows import JobRow
from copernicus.scheduling.settings import SchedulerSettings


def after_failure(
    row: JobRow, failure: Failure, worker: str, settings: SchedulerSettings
) -> JobRow:
    """The job after a failed attempt: queued with a back-off, or failed.

    A job's own errors are tried again on other workers first, a lack of memory with more of it;
    what the machine is to blame for costs the job nothing but the back-off.
    """
    spec = row.spec
    assert spec is not None
    fields: dict[str, object] = {"last_failure": failure}
    match failure.cause:
        case "job_error":
            fields["errors"] = row.errors + 1
            spent = row.errors >= spec.job_errors
        case "resource":
            fields["growths"] = row.growths + 1
            fields["memory_mb"] = grown_memory(row, settings)
            spent = row.growths >= spec.memory_growths
        case "worker_lost":
            return after_loss(msgspec.structs.replace(row, last_failure=failure), failure)
        case "infrastructure":
            fields["troubles"] = row.troubles + 1
            spent = False
        case _:
            spent = True
    if spent:
        counted = msgspec.structs.replace(row, errors=fields.get("errors", row.errors))
        return failed(counted, failure)
    if failure.cause != "resource" and worker not in row.avoid:
        fields["avoid"] = (*row.avoid, worker)
    new = msgspec.structs.replace(row, state="queued", **fields)
    return msgspec.structs.replace(new, backoff_s=backoff(new, settings))


def after_loss(row: JobRow, failure: Failure) -> JobRow:
    """The job after its worker was lost: queued again at once, until its budget is spent."""
    assert row.spec is not None
    counted = msgspec.structs.replace(row, losses=row.losses + 1, last_failure=failure)
    if counted.losses > row.spec.worker_losses:
        return failed(counted, failure)
    return msgspec.structs.replace(counted, state="queued", backoff_s=0.0)


def failed(row: JobRow, failure: Failure) -> JobRow:
    """The job, failed for good."""
    return msgspec.structs.replace(row, state="failed", last_failure=failure, failure=failure)


def grown_memory(row: JobRow, settings: SchedulerSettings) -> int:
    """What a job that ran out of memory asks for next (MiB)."""
    assert row.spec is not None
    now = row.memory_mb or row.spec.resources.memory_mb
    return round(now * settings.memory_growth) if now else settings.first_memory_mb


def backoff(row: JobRow, settings: SchedulerSettings) -> float:
    """How long a job waits, in seconds: twice as long each time, up to the bound."""
    assert row.spec is not None
    times = min(row.errors + row.troubles + row.growths, 40)
    return float(min(row.spec.backoff_s * 2.0 ** (times - 1), settings.backoff_max_s))
