"""What matching looks at, and which worker is kept free for which job."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import NamedTuple

import msgspec

from copernicus.model.resources import Offer, ProgramOffer
from copernicus.scheduling.fitting import can_ever_fit, program_for, serves
from copernicus.scheduling.queue import Needs, Queue
from copernicus.scheduling.rates import Choice, RateKey, Rates
from copernicus.scheduling.room import Room
from copernicus.scheduling.rows import JobRow
from copernicus.scheduling.settings import SchedulerSettings
from copernicus.scheduling.shares import Shares
from copernicus.scheduling.workers import WorkerInfo, Workers

_HOPE_S = 1.0
_MOST_HOPES = 1000
_MOST_KINDS = 1000


class Pick:
    """A job chosen for a worker, and what it may use there: no more than ``most`` cores."""

    __slots__ = ("cores", "job", "most", "program", "row")

    def __init__(self, row: JobRow, cores: int, most: int, program: ProgramOffer) -> None:
        self.row = row
        self.job = row.id
        self.cores = cores
        self.most = most
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


class Kinds:
    """Numbers for kinds of workers: what was found for one is true of all of its kind."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._next = 0

    def number(self, worker: WorkerInfo, offer: Offer, total: Room, version: int) -> int:
        """The number of a worker's kind, as of a ``version`` of the projects' shares."""
        kind = (
            *(worker.pool, worker.projects, offer.projects, offer.programs, offer.labels),
            *(offer.job_cores, total.cores, total.memory_mb, tuple(total.gpus), version),
            worker.refused,
        )
        number = self._numbers.get(kind)
        if number is None:
            if len(self._numbers) >= _MOST_KINDS:
                self._numbers.clear()
            self._next += 1
            number = self._numbers[kind] = self._next
        return number


class Hope(NamedTuple):
    """Whether at that time, after so many departures, there was another worker for a job."""

    at: float
    departures: int
    found: bool


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
    shares: Shares
    rates: Rates
    hopes: dict[Needs, Hope]
    kinds: Kinds

    def may_serve(self, worker: WorkerInfo, offer: Offer, project: str) -> bool:
        """Whether worker and project want one another."""
        return serves(self.shares.known(worker), offer, project, self.shares.get(project))

    def must_avoid(self, needs: Needs, row: JobRow, worker: str, now: float) -> bool:
        """Whether a job that failed on this worker can still hope for another one, or must."""
        if worker in needs.barred:
            return True
        if worker not in needs.avoid or now - row.queued > self.settings.avoid_s:
            return False
        # All workers are looked at: not at every request of one of them.
        known = self.hopes.get(needs)
        fleet = self.workers.departures
        if known is not None and now - known.at < _HOPE_S and known.departures == fleet:
            return known.found
        if len(self.hopes) > _MOST_HOPES:
            self.hopes.clear()
        found = self._has_other(needs, now)
        self.hopes[needs] = Hope(now, fleet, found)
        return found

    def _has_other(self, needs: Needs, now: float) -> bool:
        since = now - self.settings.worker_recent_s
        return any(
            seen.worker.id not in (*needs.avoid, *needs.barred)
            and program_for(needs.program, needs.platform, seen.offer)
            and self.may_serve(seen.worker, seen.offer, needs.project)
            and can_ever_fit(needs, seen.offer, self.total_of(seen.worker.id, seen.offer))
            for seen in self.workers.recent(since)
        )

    def cores_for(self, needs: Needs, program: ProgramOffer, offer: Offer) -> Choice:
        """The cores that a job of a lane starts with on a worker, and the most it may use."""
        most = needs.max_cores or needs.cores
        if offer.job_cores is not None:
            given = offer.job_cores
            if needs.max_cores is not None:
                given = max(needs.cores, min(given, needs.max_cores))
            return Choice(given, given)
        if most > needs.cores:
            key = RateKey(needs.project, needs.function, str(program.version), offer.kind)
            known = self.rates.choose(key, needs.cores, most, self.settings.efficient)
            if known is not None:
                return known
        return Choice(needs.cores, most)
