"""Why a job does not run, in one sentence; and a job as it is shown."""

from __future__ import annotations

from collections.abc import Iterable

from copernicus.model.resources import SCRIPT_PROGRAMS, Offer
from copernicus.protocol import AttemptView, JobView
from copernicus.scheduling import outlook
from copernicus.scheduling.core import Core
from copernicus.scheduling.fitting import (
    can_ever_fit,
    gpus_asked,
    labels_fit,
    program_for,
    serves,
)
from copernicus.scheduling.queue import Needs, needs_of
from copernicus.scheduling.room import Room
from copernicus.scheduling.rows import AttemptRow, JobRow, priority_of
from copernicus.scheduling.workers import WorkerInfo

_ENDED = {"done": "it is done", "cancelled": "it was cancelled"}
Offers = list[tuple[WorkerInfo, Offer]]


def explain(core: Core, job: str, offers: Iterable[tuple[WorkerInfo, Offer]] | None) -> str:
    """The sentence for a job that is known."""
    row = core.book.job(job)
    if row.state != "queued":
        return _not_queued(core, row)
    kept_back = _kept_back(core, row)
    if kept_back:
        return kept_back
    found, aside = _offers(core, offers), outlook.set_aside(core, row)
    if aside and not any(p.name == _need(row) for _, offer in found for p in offer.programs):
        return f"no worker with {_need(row)} takes work: {aside}"
    why = _unmatched(core, row, found) + outlook.tries(core, row)
    return f"{why}; {aside}" if aside else why


def _need(row: JobRow) -> str:
    assert row.spec is not None
    return row.spec.program.name


def _offers(core: Core, offers: Iterable[tuple[WorkerInfo, Offer]] | None) -> Offers:
    if offers is not None:
        return list(offers)
    since = core.now - core.settings.worker_recent_s
    return [(core.shares.known(seen.worker), seen.offer) for seen in core.workers.recent(since)]


def _not_queued(core: Core, row: JobRow) -> str:
    live = core.book.live(row.id)
    if live and row.state == "cancelled":
        return f"it was cancelled; {core.name(live)} is told to stop"
    if live:
        return f"it runs on {core.name(live)}"
    if row.failure:
        return f"it failed: {row.failure.reason}"
    return _ENDED[row.state]


def _kept_back(core: Core, row: JobRow) -> str:
    if core.closed:
        return core.closed
    if row.on_hold or row.project in core.on_hold:
        return "its project is paused"
    parent = core.waits_for_checkpoint_of(row)
    live = core.book.live(parent) if parent else None
    if live:
        return f"waits for the last checkpoint of job {live.job} from {core.name(live)}"
    until = core.queue.ready_at(row.id)
    if until is not None:
        left = max(1, round(until - core.now))
        next_try = outlook.tries(core, row) + outlook.not_on(core, row.avoid)
        return f"backs off for {left} s more{_after(core, row)}{next_try}"
    return ""


def _after(core: Core, row: JobRow) -> str:
    failure = row.last_failure
    if failure is None:
        return ""
    code = failure.exit_code if failure.cause == "job_error" else None
    what = failure.reason if code is None else f"exit code {code}"
    worker = core.workers.host(failure.worker) if failure.worker else ""
    return f" after {what}" + (f" on {worker}" if worker and code is not None else "")


def _unmatched(core: Core, row: JobRow, every: Offers) -> str:
    needs, share = needs_of(row), core.shares.get(row.project)
    if not every:
        return f"no worker is connected; it needs {_program(needs)}"
    offers = [found for found in every if serves(*found, row.project, share)]
    if not offers:
        where = f" in pool {' or '.join(share.pools)}" if share.pools else ""
        return f"no connected worker{where} serves project {row.project}"
    having = [found for found in offers if program_for(needs.program, needs.platform, found[1])]
    if not having:
        return _no_program(needs, offers)
    elsewhere = [found for found in having if found[0].id not in needs.barred]
    if not elsewhere:
        hosts = ", ".join(sorted({found[0].host or found[0].id for found in having}))
        return f"it is to run elsewhere than on {hosts}, and no other worker could run it"
    labelled = [found for found in elsewhere if labels_fit(needs, found[1])]
    if not labelled:
        return f"no worker with {_program(needs)} has the labels {needs.labels}"
    totals = [(worker, offer, core.total_of(worker.id, offer)) for worker, offer in labelled]
    if not any(can_ever_fit(needs, offer, total) for _, offer, total in totals):
        return _too_large(needs, totals)
    return _next(core, row)


def _program(needs: Needs) -> str:
    return f"{needs.program.name} {needs.program.versions}".strip()


def _no_program(needs: Needs, offers: Offers) -> str:
    nearest = sorted(
        (program.version, worker.host or worker.id)
        for worker, offer in offers
        for program in offer.programs
        if program.name == needs.program.name
    )
    said = f"no worker offers {_program(needs)}"
    if needs.platform == "mpi":
        said += " with a launcher for MPI (write launcher in its programs file)"
    if needs.program.name in SCRIPT_PROGRAMS and not nearest:
        said += ": scripts run only on workers that are started with --allow-scripts"
    return f"{said}; nearest: {nearest[-1][1]} has {nearest[-1][0]}" if nearest else said


def _too_large(needs: Needs, totals: list[tuple[WorkerInfo, Offer, Room]]) -> str:
    wants = (
        (needs.cores, max(total.cores for *_, total in totals), "cores"),
        (needs.memory_mb, max(total.memory_mb for *_, total in totals), "MiB of memory"),
        (
            needs.gpu.count,
            max(total.right_gpus(needs.gpu) for *_, total in totals),
            gpus_asked(needs),
        ),
        (needs.disk_mb, max(total.disk_mb for *_, total in totals), "MiB of disk"),
    )
    for asked, most, unit in wants:
        if asked > most:
            return f"needs {asked} {unit}; the largest worker with {_program(needs)} has {most}"
    limits = [offer.job_cores for _, offer, _ in totals if offer.job_cores is not None]
    if limits and max(limits) < needs.cores:
        return f"needs {needs.cores} cores; the workers give each job {max(limits)}"
    walls = [offer.walltime_s for _, offer, _ in totals if offer.walltime_s is not None]
    if walls and max(walls) < needs.wall_s:
        return f"needs {needs.wall_s:.0f} s; the longest wall time left is {max(walls):.0f} s"
    return "no single worker has everything that it needs at once"


def _next(core: Core, row: JobRow) -> str:
    worker = core.reservations.worker_for(row.id)
    if worker:
        return f"{core.workers.host(worker)} is being kept free for it"
    ahead = core.queue.ahead(row.id, row.order, core.shares.priorities)
    where = "a free core"
    if row.avoid:
        where += f" (not on {', '.join(map(core.workers.host, row.avoid))}, which failed it)"
    jobs = f"{ahead} {'job is' if ahead == 1 else 'jobs are'} ahead" if ahead else "it is next"
    return f"waits for {where}: {jobs}"


def view(core: Core, job: str) -> JobView:
    """The job as shown; the engine adds its path."""
    row = core.book.job(job)
    live = core.book.live(job)
    last = core.book.last(row)
    lease = core.leases.get(live.id) if live else None
    newest = core.newest(row)
    progress = lease.progress if lease else None
    step = progress.step if progress and progress.step is not None else None
    if step is None and newest:
        step = newest.step
    return JobView(
        id=row.id,
        project=row.project,
        path="",
        function=row.spec.function if row.spec else "",
        state=_shown_state(row, running=live is not None),
        priority=priority_of(row) + core.shares.priorities.get(row.project, 0),
        attempts=row.attempts,
        worker=last.worker if last else "",
        host=last.host if last else "",
        cores=live.cores if live else 0,
        progress=progress,
        log_tail=lease.log_tail if lease else (last.log if last else ""),
        log_end=lease.log_end if lease else 0,
        why="" if live else explain(core, job, None),
        submitted=row.submitted,
        step=step,
        memory_mb=row.memory_mb or (row.spec.resources.memory_mb if row.spec else 0),
        tries=tuple(_try(attempt) for _, attempt in sorted(core.book.attempts[job].items()))
        if job in core.book.attempts
        else (),
    )


def _try(row: AttemptRow) -> AttemptView:
    return AttemptView(
        number=row.number,
        worker=row.worker,
        host=row.host,
        cores=row.cores,
        started=row.started or row.granted,
        ended=row.ended,
        outcome=row.outcome or "running",
        exit_code=row.exit_code,
        log=row.log,
        peak_memory_mb=row.peak_memory_mb,
        memory_mb=row.memory_mb,
        rate=row.rate,
        rate_unit=row.rate_unit,
    )


def _shown_state(row: JobRow, *, running: bool) -> str:
    if running:
        return "stopping" if row.state == "cancelled" else "running"
    return row.state
