"""The limits of jobs, kept by looking: memory, time, disk. What is beyond its limit is ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from copernicus.executors.local import LocalExecutor
from copernicus.executors.usage import Usage, own_mb, resident_mb
from copernicus.model.jobs import Failure
from copernicus.worker.attempt import Attempt
from copernicus.worker.bench import Bench

LOOK_S = 0.5
_DISK_EVERY = 4
_MB = 1 << 20


class Limits:
    """Looks at a worker's attempts twice a second; those that last less are not looked at."""

    def __init__(self, executor: LocalExecutor) -> None:
        self._executor = executor
        self._usage = Usage()
        self._looks = 0

    async def run(self, attempts: Callable[[], Mapping[str, Attempt]]) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            old = [one for one in attempts().values() if not one.worked and one.age_s >= LOOK_S]
            if old:
                await asyncio.to_thread(self._look, [one.bench for one in old])
            for one in old:
                failure = _beyond(one.bench, one.age_s)
                if failure is not None and not one.worked:
                    one.exceed(failure)

    def _look(self, benches: Iterable[Bench]) -> None:
        warden = self._executor.warden
        programs = self._usage.by_program(warden) if warden is not None else {}
        self._looks += 1
        for bench in benches:
            meter, asked = bench.meter, bench.assignment.spec.resources
            processes = programs.get(meter.program or 0, [])
            if processes:
                used = meter.weigh(resident_mb(processes))
                if asked.memory_mb and used > asked.memory_mb and len(processes) > 1:
                    # Copies of a process share pages, which were counted for each.
                    used = meter.weigh(own_mb(processes))
                meter.peak_mb = max(meter.peak_mb, used)
            if disk_limit(bench) is not None and self._looks % _DISK_EVERY == 0:
                meter.disk_mb = max(map(folder_mb, bench.places()))


def _beyond(bench: Bench, age_s: float) -> Failure | None:
    asked, meter = bench.assignment.spec.resources, bench.meter
    if asked.memory_mb and meter.peak_mb > asked.memory_mb:
        return Failure(
            f"it was killed for memory: it used {meter.peak_mb:.0f} MiB, and asks for "
            f"{asked.memory_mb} MiB",
            "resource",
            remedy="ask for more memory_mb",
        )
    most = disk_limit(bench)
    if most is not None and meter.disk_mb > most:
        is_asked = most == asked.disk_mb
        return Failure(
            f"it was killed for disk space: it has {meter.disk_mb:.0f} MiB of files, and "
            f"{'asks for' if is_asked else 'its worker allows a job'} {most} MiB",
            remedy="ask for more disk_mb" if is_asked else "give the worker a larger --job-disk",
        )
    if asked.timeout_s is not None and age_s > asked.timeout_s:
        return Failure(
            f"it took longer than {asked.timeout_s:g} s: it was killed",
            remedy="give it a larger timeout_s",
        )
    return None


def disk_limit(bench: Bench) -> int | None:
    """How much a job may write (MiB): what it asks for, or what its worker allows any job."""
    given = (bench.assignment.spec.resources.disk_mb, bench.tools.job_disk_mb)
    return min((most for most in given if most), default=None)


def folder_mb(folder: Path) -> float:
    """What the files below a folder take on the disk, in MiB."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(Path(place) / name).st_blocks * 512
    return total / _MB
