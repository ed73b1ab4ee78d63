"""What the end of an attempt tells of how it ran: its peak memory, its rate."""

from __future__ import annotations

from typing import Any

from copernicus.protocol import ResultRequest
from copernicus.scheduling.core import Core
from copernicus.scheduling.rates import RateKey
from copernicus.scheduling.rows import AttemptRow


def measured(core: Core, row: AttemptRow, request: ResultRequest) -> dict[str, Any]:
    """The fields of an attempt's row that were measured; its rate counts for jobs to come."""
    fields: dict[str, Any] = {}
    record = request.record
    if record is not None and record.peak_memory_mb:
        fields["peak_memory_mb"] = record.peak_memory_mb
    rate, unit = (record.rate, record.rate_unit) if record is not None else (None, "")
    lease = core.leases.get(row.id)
    if rate is None and lease is not None and lease.progress is not None:
        rate, unit = lease.progress.rate, lease.progress.unit
    if rate is None or rate <= 0.0:
        return fields
    fields |= {"rate": rate, "rate_unit": unit}
    job = core.book.jobs[row.job]
    if request.outcome != "failed" and job.spec is not None and row.cores:
        key = RateKey(job.project, job.spec.function, row.program_version, row.kind)
        core.rates.note(key, row.cores, rate, unit)
    return fields
