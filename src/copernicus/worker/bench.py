"""What an attempt works with: its assignment, its share of the machine, its folder, its log."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from copernicus.executors.local import LocalExecutor
from copernicus.model.gpus import Gpu
from copernicus.model.resources import ranks_of
from copernicus.protocol import Assignment, ProgressReport
from copernicus.worker.folder import LOG, JobFolder
from copernicus.worker.gpus import told_to_programs
from copernicus.worker.grounds import WORK, Grounds
from copernicus.worker.joblog import JobLog
from copernicus.worker.meter import Meter
from copernicus.worker.probe import Taken
from copernicus.worker.programs import Programs
from copernicus.worker.transfer import Transfer


@dataclass(frozen=True, slots=True)
class Tools:
    """What all attempts of a worker share.

    ``gpus``: of these, programs are told their own. Tasks are bound to their cores if it ``pins``.
    """

    executor: LocalExecutor
    transfer: Transfer
    programs: Programs
    gpus: tuple[Gpu, ...]
    grace_s: float
    grounds: Grounds
    job_disk_mb: int | None = None
    pins: bool = True


async def unless_stopped(work: Coroutine[Any, Any, None], stop: asyncio.Event) -> bool:
    """Whether ``work`` was done; it is broken off when ``stop`` is set."""
    working = asyncio.create_task(work)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        working.cancel()
        stopped.cancel()
        await asyncio.gather(working, stopped, return_exceptions=True)


@dataclass(slots=True)
class Bench:
    """One attempt's place of work. The folders are made by who needs them.

    ``vacant``: it has ended, and no process that it has started can be in them any more.
    """

    assignment: Assignment
    taken: Taken
    tools: Tools
    home: Path
    log: JobLog = field(init=False)
    log_folder: Callable[[], Path] | None = None
    progress: Callable[[], ProgressReport | None] = lambda: None
    aside: Callable[[tuple[str, ...]], Awaitable[int]] | None = None
    vacant: bool = False
    meter: Meter = field(default_factory=Meter)
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self.log = JobLog(self._log_path)

    @property
    def folder(self) -> JobFolder:
        """The folder that the job runs in."""
        return JobFolder(self.home / WORK)

    @property
    def name(self) -> str:
        """What people call the job."""
        spec = self.assignment.spec
        return spec.label or spec.function

    def places(self) -> tuple[Path, ...]:
        """The folders that hold what the attempt writes."""
        return (self.home, self.log_folder()) if self.log_folder else (self.home,)

    def _log_path(self) -> Path:
        folder = self.log_folder() if self.log_folder else self.folder.path
        return folder / LOG

    @property
    def ranks(self) -> tuple[int, int]:
        """How many processes the job has, and threads in each."""
        asked, cores = self.assignment.spec.resources, max(1, len(self.taken.cores))
        return ranks_of(cores, asked.rank_threads) if asked.platform == "mpi" else (1, cores)

    def environment(self) -> dict[str, str]:
        """What the job's processes are told about their share of the machine."""
        threads = {"OMP_NUM_THREADS": str(self.ranks[1])}
        return threads | told_to_programs(self.tools.gpus, self.taken.gpus)
