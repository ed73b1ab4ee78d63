"""Which jobs a worker gets: priority, then fair share between projects, then first come.

One request fills the worker: narrow jobs go beside wide ones. A wide job that has waited long gets
a worker reserved: until it fits there, that worker takes nothing that comes after it.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

import msgspec

from copernicus.errors import BadDefinition
from copernicus.model.resources import Offer, ProgramNeed, ProgramOffer, offers_program
from copernicus.scheduling.queue import Lane, Needs, Queue
from copernicus.scheduling.rows import JobRow
from copernicus.scheduling.settings import SchedulerSettings
from copernicus.scheduling.workers import Room, WorkerInfo, Workers


class Pick:
    """A job chosen for a worker, and what it may use there."""

    __slots__ = ("cores", "job", "program", "row")

    def __init__(self, row: JobRow, cores: int, program: ProgramOffer) -> None:
        self.row = row
        self.job = row.id
        self.cores = cores
        self.program = program


class Reservations:
    """Which worker is being emptied for which wide job."""

    def __init__(self) -> None:
        self._job: dict[str, str] = {}
        self._worker: dict[str, str] = {}

    def reserve(self, worker: str, job: str) -> None:
        """Keep what gets free on a worker for a job; ends what either had before."""
        self.release_worker(worker)
        self.release(job)
        self._job[worker] = job
        self._worker[job] = worker

    def release(self, job: str) -> None:
        """The job needs no reservation any more."""
        worker = self._worker.pop(job, None)
        if worker is not None:
            del self._job[worker]

    def release_worker(self, worker: str) -> None:
        """Nothing is reserved on this worker any more."""
        job = self._job.pop(worker, None)
        if job is not None:
            del self._worker[job]

    def worker_for(self, job: str) -> str | None:
        """The worker that is being emptied for this job."""
        return self._worker.get(job)

    def job_for(self, worker: str) -> str | None:
        """The job for which this worker is being emptied."""
        return self._job.get(worker)


@lru_cache(maxsize=4096)
def _offered(need: ProgramNeed, offered: ProgramOffer) -> bool:
    try:
        return offers_program(need, offered)
    except BadDefinition:
        return False


def program_for(need: ProgramNeed, offer: Offer) -> ProgramOffer | None:
    """The program of an offer that is what is needed."""
    return next((program for program in offer.programs if _offered(need, program)), None)


def serves(worker: WorkerInfo, offer: Offer, project: str) -> bool:
    """Whether the worker may, and wants to, work for the project."""
    return all(not named or project in named for named in (worker.projects, offer.projects))


def cores_for(needs: Needs, row: JobRow, offer: Offer) -> int:
    """The cores that a job starts with on this worker."""
    if offer.job_cores is None:
        return needs.cores
    assert row.spec is not None
    most = row.spec.resources.max_cores
    return offer.job_cores if most is None else max(needs.cores, min(offer.job_cores, most))


def can_ever_fit(needs: Needs, offer: Offer, total: Room) -> bool:
    """Whether the job would fit if the worker had nothing else to do."""
    return (
        needs.cores <= total.cores
        and needs.memory_mb <= total.memory_mb
        and needs.gpus <= total.gpus
        and needs.disk_mb <= total.disk_mb
        and (offer.job_cores is None or needs.cores <= offer.job_cores <= total.cores)
        and (offer.walltime_s is None or needs.wall_s <= offer.walltime_s)
    )


class Market(msgspec.Struct, frozen=True):
    """What matching looks at: the queue, the rows, the running cores by project, the workers."""

    queue: Queue
    jobs: Mapping[str, JobRow]
    load: Mapping[str, int]
    workers: Workers
    reservations: Reservations
    total_of: Callable[[str, Offer], Room]
    settings: SchedulerSettings
    on_hold: set[str]

    def must_avoid(self, needs: Needs, row: JobRow, worker: str, now: float) -> bool:
        """Whether a job that failed on this worker can still hope for another one."""
        if worker not in needs.avoid or now - row.queued > self.settings.avoid_s:
            return False
        since = now - self.settings.worker_recent_s
        return any(
            seen.worker.id not in needs.avoid
            and program_for(needs.program, seen.offer)
            and serves(seen.worker, seen.offer, needs.project)
            and can_ever_fit(needs, seen.offer, self.total_of(seen.worker.id, seen.offer))
            for seen in self.workers.recent(since)
        )


class Filling:
    """One worker being filled: takes jobs out of the queue's lanes as it picks them."""

    def __init__(self, market: Market, worker: WorkerInfo, offer: Offer, now: float) -> None:
        self._market = market
        self._worker = worker
        self._offer = offer
        self._now = now
        self._free = Room(offer)
        self._total = market.total_of(worker.id, offer)
        self._jobs = offer.max_jobs if offer.max_jobs is not None else offer.cores
        self._added: dict[str, int] = {}
        self._programs: dict[ProgramNeed, ProgramOffer] = {}
        self._reserved = False
        self.picks: list[Pick] = []

    def run(self) -> list[Pick]:
        """The jobs for this worker; they are out of the queue now."""
        heads = [self._entry(number, lane) for number, lane in enumerate(self._lanes())]
        heapq.heapify(heads)
        while heads and self._free.cores > 0 and len(self.picks) < self._jobs:
            entry = heads[0]
            lane = entry[-1]
            stale = entry[1] != self._load(lane.needs.project)
            if stale or (self._take(lane) and len(lane)):
                heapq.heapreplace(heads, self._entry(entry[3], lane))
            else:
                heapq.heappop(heads)
            if self._reserved:
                return self.picks
        self._widen()
        return self.picks

    def run_ahead(self, function: str, count: int) -> list[Pick]:
        """More jobs of a function, to follow those that the worker has; they take no room yet."""
        found: list[Pick] = []
        for lane in self._lanes():
            while len(lane) and len(found) < count:
                row = self._market.jobs[self._market.queue.job(lane.head)]
                if not self._may_follow(lane.needs, row, function):
                    break
                found.append(Pick(row, 0, self._programs[lane.needs.program]))
                self._market.queue.remove(row.id)
                self._market.reservations.release(row.id)
        return found

    def _may_follow(self, needs: Needs, row: JobRow, function: str) -> bool:
        assert row.spec is not None
        return (
            row.spec.function == function
            and self._worker.id not in needs.avoid
            and not self._market.reservations.job_for(self._worker.id)
        )

    def _lanes(self) -> Iterator[Lane]:
        for name in dict.fromkeys(program.name for program in self._offer.programs):
            for lane in self._market.queue.lanes(name):
                if self._suits(lane.needs):
                    yield lane

    def _suits(self, needs: Needs) -> bool:
        program = program_for(needs.program, self._offer)
        if program is None or needs.project in self._market.on_hold:
            return False
        self._programs[needs.program] = program
        return serves(self._worker, self._offer, needs.project) and can_ever_fit(
            needs, self._offer, self._total
        )

    def _load(self, project: str) -> int:
        return self._market.load.get(project, 0) + self._added.get(project, 0)

    def _entry(self, number: int, lane: Lane) -> tuple[int, int, int, int, Lane]:
        load = self._load(lane.needs.project)
        return (-lane.needs.priority, load, lane.head, number, lane)

    def _take(self, lane: Lane) -> bool:
        """Pick the lane's head; ``False`` if this worker gets nothing from this lane now."""
        row = self._market.jobs[self._market.queue.job(lane.head)]
        needs = lane.needs
        if self._market.must_avoid(needs, row, self._worker.id, self._now):
            return False
        cores = cores_for(needs, row, self._offer)
        if not self._fits(needs, cores):
            self._reserve(row)
            return False
        self._free.cores -= cores
        self._free.memory_mb -= needs.memory_mb
        self._free.gpus -= needs.gpus
        self._free.disk_mb -= needs.disk_mb
        self._added[needs.project] = self._added.get(needs.project, 0) + cores
        self.picks.append(Pick(row, cores, self._programs[needs.program]))
        self._market.queue.remove(row.id)
        self._market.reservations.release(row.id)
        return True

    def _fits(self, needs: Needs, cores: int) -> bool:
        free = self._free
        return (
            cores <= free.cores
            and needs.memory_mb <= free.memory_mb
            and needs.gpus <= free.gpus
            and needs.disk_mb <= free.disk_mb
        )

    def _reserve(self, row: JobRow) -> None:
        market = self._market
        if self._now - row.queued < market.settings.reserve_after_s:
            return
        other = market.reservations.worker_for(row.id)
        since = self._now - market.settings.worker_recent_s
        if other not in (None, self._worker.id) and any(
            seen.worker.id == other for seen in market.workers.recent(since)
        ):
            return
        market.reservations.reserve(self._worker.id, row.id)
        self._reserved = True

    def _widen(self) -> None:
        """Give the cores that nobody waits for to the jobs that can use more."""
        if self._offer.job_cores is not None:
            return
        for pick in self.picks:
            assert pick.row.spec is not None
            most = pick.row.spec.resources.max_cores or pick.cores
            more = max(0, min(most - pick.cores, self._free.cores))
            pick.cores += more
            self._free.cores -= more
