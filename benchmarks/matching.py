"""The matcher alone: what a decision costs in CPU time, as queue and fleet grow.

The queue holds jobs of some hundred classes (programs, projects, cores, memory, GPUs, labels). A
decision is one request of a worker that is full but for what its last job has left free. Beside
it, in the same run: what it would cost to look at every queued job once.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from copernicus.model.gpus import Gpu
from copernicus.model.jobs import Command, JobSpec, Line
from copernicus.model.resources import Offer, ProgramNeed, ProgramOffer, Resources
from copernicus.model.shares import ProjectShare
from copernicus.protocol import LeaseRequest
from copernicus.scheduling import Scheduler, WorkerInfo
from copernicus.scheduling.queue import needs_of
from copernicus.scheduling.room import Room

DECISIONS = 2000
_JOBS_PER_WORKER = 100
_PROJECTS = 8


def measure(folder: Path, n: int) -> list[dict[str, Any]]:
    """One scheduler with ``n`` queued jobs and a hundredth as many workers."""
    del folder
    scheduler, workers = Scheduler(), max(10, n // _JOBS_PER_WORKER)
    specs = _specs()
    for number in range(_PROJECTS):
        scheduler.set_share(f"p{number}", ProjectShare(weight=1.0 + number))
    submit_s = _cpu_s(lambda: _submit(scheduler, specs, n))
    offers = [_offer(number) for number in range(workers)]
    first_s = _cpu_s(lambda: _ask_all(scheduler, offers, "fill", 1000.0))
    classes = len({needs_of(row) for row in scheduler.jobs_of("p0")}) * _PROJECTS
    taken = [_decision(scheduler, offers, number) for number in range(DECISIONS)]
    scan_s = _cpu_s(lambda: _scan(scheduler, offers[0]))
    queued = next(row.id for row in scheduler.jobs_of("p1") if row.state == "queued")
    shown = scheduler.job_view(queued)
    return [
        {
            "system": "copernicus",
            "phase": "matching",
            "n": n,
            "workers": workers,
            "classes": classes,
            "submit_us": 1e6 * submit_s / n,
            "first_us": 1e6 * first_s / workers,
            "decision_us": 1e6 * statistics.mean(taken),
            "decision_p99_us": 1e6 * statistics.quantiles(taken, n=100)[-1],
            "scan_us": 1e6 * scan_s,
            "why_us": 1e6 * _cpu_s(lambda: scheduler.closely(shown)),
            "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }
    ]


def _specs() -> list[JobSpec]:
    found = []
    for program in ("gromacs", "openmm", "module/msm"):
        for cores, most in ((1, None), (2, 8), (4, 16), (12, 24)):
            for gpus, memory in ((0, 0), (0, 4000), (1, 2000)):
                for labels in ("", 'site == "kth"', "!preemptible"):
                    asked = Resources(
                        cores, most, memory, gpus, labels=labels, gpu_sharing=2 if gpus else 1
                    )
                    need = ProgramNeed(program, ">=1")
                    command = Command((Line(("{program}",)),))
                    found.append(JobSpec("m.f", "1", need, "d", "k", command, resources=asked))
    return found


def _submit(scheduler: Scheduler, specs: list[JobSpec], n: int) -> None:
    for number in range(n):
        project = f"p{number % _PROJECTS}"
        wanted = specs[number // _PROJECTS % len(specs)]
        scheduler.submit(f"{project}.a{number}", project, 1, wanted, None, False, 0.0)
    scheduler.take_records()


def _offer(number: int) -> Offer:
    programs = tuple(ProgramOffer(name, "2024.1") for name in ("gromacs", "openmm", "module/msm"))
    labels = (("site=kth",), ("site=pdc", "preemptible"), ())[number % 3]
    gpus = (Gpu("0", "nvidia", 24_000), Gpu("1", "nvidia", 24_000)) if number % 4 == 0 else ()
    cores = (8, 24, 64)[number % 3]
    return Offer(programs, cores, 4000 * cores, labels=labels, devices=gpus, disk_mb=10_000)


def _ask_all(scheduler: Scheduler, offers: list[Offer], name: str, now: float) -> None:
    for number, offer in enumerate(offers):
        worker = WorkerInfo(f"w{number}", f"host{number}")
        scheduler.lease(worker, LeaseRequest(name, offer), now)
    scheduler.take_records()


def _decision(scheduler: Scheduler, offers: list[Offer], number: int) -> float:
    """CPU seconds of one request of a worker that has one core, or four, free."""
    place = number % len(offers)
    whole = offers[place]
    free = Offer(whole.programs, (1, 4)[number % 2], 8000, labels=whole.labels, disk_mb=10_000)
    worker, request = WorkerInfo(f"w{place}", f"host{place}"), LeaseRequest(f"d{number}", free)
    took = _cpu_s(lambda: scheduler.lease(worker, request, 1001.0))
    scheduler.take_records()
    return took


def _scan(scheduler: Scheduler, offer: Offer) -> int:
    """What a matcher without classes of jobs would do for one request."""
    room = Room(offer)
    return sum(
        room.fits(needs_of(row), max(1, row.spec.resources.cores))
        for number in range(_PROJECTS)
        for row in scheduler.jobs_of(f"p{number}")
        if row.state == "queued" and row.spec is not None
    )


def _cpu_s(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def line(one: dict[str, Any]) -> str:
    """One measurement for the terminal."""
    return (
        f"matching {one['n']:>9,} jobs of {one['classes']} classes, {one['workers']:>6,} workers: "
        f"{one['decision_us']:.0f} us CPU a decision (p99 {one['decision_p99_us']:.0f}; a scan: "
        f"{one['scan_us']:,.0f}), filling a worker {one['first_us']:.0f} us, "
        f"submitting {one['submit_us']:.1f} us, why {one['why_us'] / 1000:.0f} ms, "
        f"{one['peak_mb']:.0f} MiB"
    )


def plot(found: list[dict[str, Any]], file: Path) -> None:
    """Cost of a decision against the length of the queue, with that of a scan."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.subplots()
    jobs = [one["n"] for one in found]
    axes.loglog(jobs, [one["scan_us"] for one in found], "o--", label="looking at every job")
    axes.loglog(jobs, [one["decision_us"] for one in found], "o-", label="a decision")
    axes.set(xlabel="queued jobs", ylabel="CPU time (us)", title="What a request for work costs")
    axes.legend()
    figure.savefig(file, dpi=150)
