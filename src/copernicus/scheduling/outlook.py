"""What the retry policy will do next with a job, in words."""

from __future__ import annotations

from collections.abc import Iterable

from copernicus.scheduling.core import Core
from copernicus.scheduling.rows import JobRow, is_suspect


def tries(core: Core, row: JobRow) -> str:
    """How many tries are left, and on which workers not; empty before the first failure."""
    failure = row.last_failure
    if failure is None or row.spec is None:
        return ""
    spec = core.by_project(row)
    if failure.bad_checkpoint:
        said = "; it goes on from the checkpoint before"
    elif failure.cause == "worker_lost":
        said = (
            f"; it has lost {_counted(row.losses, 'worker')} and fails at {spec.worker_losses + 1}"
        )
    elif failure.cause == "infrastructure" or failure.verdict == "transient":
        counted = _counted(row.troubles, "failure was", "failures were")
        said = f"; {counted} not its own, it gives up at {spec.troubles + 1}"
    elif failure.cause == "resource":
        left = _counted(spec.memory_growths - row.growths, "time")
        said = f"; it gets more memory, and may get more {left} again"
    else:
        said = f"; try {row.errors + 1} of {spec.job_errors + 1} is next"
    if is_suspect(row):
        said += ", alone on its worker"
    return said


def not_on(core: Core, workers: Iterable[str]) -> str:
    """Workers that are avoided while there is another."""
    names = ", ".join(map(core.workers.host, workers))
    return f", not on {names} while there is another" if names else ""


def set_aside(core: Core, row: JobRow) -> str:
    """Which workers with the job's program are set aside, and why; empty if none is."""
    assert row.spec is not None
    found = [
        f"{core.workers.host(worker)} is set aside for {max(1, round(aside.until - core.now))} s "
        f"more ({aside.why})"
        for worker, aside in core.quarantine.aside.items()
        if core.workers.offers(worker, row.spec.program.name)
    ]
    return "; ".join(found[:3])


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
