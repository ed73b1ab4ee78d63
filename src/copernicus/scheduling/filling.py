"""Which jobs a worker gets: priority, then fair share between projects, then first come.

One request fills the worker: narrow jobs go beside wide ones. Only the heads of lanes are looked
at, so the length of the queue does not matter. Three things bend the order, each within bounds:

- A wide job that has waited long gets a worker reserved: until it fits there, that worker takes
  nothing of the same or a lower priority.
- A lane of which nothing was given out for long comes first in its priority, once: fair share
  between projects compares the cores they have, also where they cannot compete for them.
- Within a lane, a job whose files the worker has goes before others, for a short while.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from copernicus.model.resources import Offer, ProgramOffer
from copernicus.scheduling.fitting import fits_machine, fits_today, program_for
from copernicus.scheduling.matching import Market, Pick
from copernicus.scheduling.queue import Lane, Needs
from copernicus.scheduling.room import Room
from copernicus.scheduling.rows import JobRow
from copernicus.scheduling.workers import WorkerInfo

_RESERVED, _STARVING, _USUAL = range(3)
_LOOKED_AT = 32
_MOST_KINDS = 1000

_Entry = tuple[int, int, float, int, int, Lane]


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
        self._loads: dict[str, float] = {}
        shares = market.shares.version
        self._kind = market.kinds.number(worker, offer, self._total, shares)
        job = market.reservations.job_for(worker.id)
        self._kept_for = market.queue.lane_of(job) if job is not None else None
        self._reserved = False
        self.picks: list[Pick] = []

    def run(self) -> list[Pick]:
        """The jobs for this worker; they are out of the queue now."""
        heads = [self._entry(number, lane) for number, lane in enumerate(self._lanes())]
        heapq.heapify(heads)
        while heads and self._free.cores > 0 and len(self.picks) < self._jobs:
            entry = heads[0]
            lane = entry[-1]
            stale = entry[2] != self._load(lane.needs.project)
            if stale or (self._take(lane) and len(lane)):
                heapq.heapreplace(heads, self._entry(entry[4], lane))
            else:
                heapq.heappop(heads)
            if self._reserved:
                return self.picks
        self._widen()
        return self.picks

    def run_ahead(self, function: str, count: int) -> list[Pick]:
        """More jobs of a function, to follow those that the worker has; they take no room yet.

        They come in the same order as others, and count for it until this worker is filled.
        """
        found: list[Pick] = []
        lanes = [lane for lane in self._lanes() if self._may_follow(lane.needs, function)]
        heads = [self._entry(number, lane) for number, lane in enumerate(lanes) if len(lane)]
        heapq.heapify(heads)
        while heads and len(found) < count:
            entry = heads[0]
            lane = entry[-1]
            if entry[2] == self._load(lane.needs.project):
                row = self._market.jobs[lane.head_job]
                found.append(Pick(row, 0, 0, self._program(lane)))
                self._add_load(lane.needs.project, lane.needs.cores)
                self._leave_queue(lane, row)
            if len(lane):
                heapq.heapreplace(heads, self._entry(entry[4], lane))
            else:
                heapq.heappop(heads)
        return found

    def _may_follow(self, needs: Needs, function: str) -> bool:
        return (
            needs.function == function
            and self._worker.id not in (*needs.avoid, *needs.barred)
            and not self._market.reservations.job_for(self._worker.id)
        )

    def _lanes(self) -> Iterator[Lane]:
        for name in dict.fromkeys(program.name for program in self._offer.programs):
            for lane in self._market.queue.lanes(name):
                if self._suits(lane):
                    yield lane

    def _suits(self, lane: Lane) -> bool:
        try:
            program = lane.programs[self._kind]
        except KeyError:
            program = self._look_up(lane)
        needs = lane.needs
        if program is None or needs.project in self._market.on_hold:
            return False
        return not (needs.disk_mb or needs.wall_s) or fits_today(needs, self._offer, self._total)

    def _look_up(self, lane: Lane) -> ProgramOffer | None:
        """What holds for all workers of this kind is found out once for each lane."""
        needs, offer = lane.needs, self._offer
        program = program_for(needs.program, needs.platform, offer)
        suits = self._market.may_serve(self._worker, offer, needs.project) and fits_machine(
            needs, offer, self._total
        )
        if len(lane.programs) >= _MOST_KINDS:
            lane.programs.clear()
        found = lane.programs[self._kind] = program if suits else None
        return found

    def _program(self, lane: Lane) -> ProgramOffer:
        program = lane.programs[self._kind]
        assert program is not None
        return program

    def _load(self, project: str) -> float:
        load = self._loads.get(project)
        if load is None:
            cores = self._market.load.get(project, 0) + self._added.get(project, 0)
            load = self._loads[project] = cores / self._market.shares.get(project).weight
        return load

    def _add_load(self, project: str, cores: int) -> None:
        self._added[project] = self._added.get(project, 0) + cores
        self._loads.pop(project, None)

    def _entry(self, number: int, lane: Lane) -> _Entry:
        needs = lane.needs
        priority = needs.priority + self._market.shares.priorities.get(needs.project, 0)
        return (-priority, self._turn(lane), self._load(needs.project), lane.head, number, lane)

    def _turn(self, lane: Lane) -> int:
        if lane is self._kept_for:
            return _RESERVED
        waited = self._now - lane.served
        return _STARVING if waited > self._market.settings.starve_after_s else _USUAL

    def _take(self, lane: Lane) -> bool:
        """Pick a job of the lane; ``False`` if this worker gets nothing from this lane now."""
        market, needs = self._market, lane.needs
        row = market.jobs[lane.head_job]
        if market.must_avoid(needs, row, self._worker.id, self._now):
            return False
        program = self._program(lane)
        wanted, most = market.cores_for(needs, program, self._offer)
        cores = max(needs.cores, min(wanted, self._free.cores))
        if self._offer.job_cores is not None:
            cores = wanted
        if not self._free.fits(needs, cores):
            self._reserve(row)
            return False
        self._free.take(needs, cores)
        self._add_load(needs.project, cores)
        row = self._local(lane, row)
        self.picks.append(Pick(row, cores, max(most, cores), program))
        self._leave_queue(lane, row)
        return True

    def _leave_queue(self, lane: Lane, row: JobRow) -> None:
        lane.served = self._now
        self._market.queue.remove(row.id)
        self._market.reservations.release(row.id)

    def _local(self, lane: Lane, head: JobRow) -> JobRow:
        """The head, or one soon after it of whose files the worker has more."""
        market, held = self._market, self._market.workers.held
        waited = self._now - head.queued
        if len(lane) < 2 or waited > market.settings.local_s or not held.has_any(self._worker.id):
            return head
        if market.reservations.worker_for(head.id):
            return head

        def has(job: str) -> int:
            return held.of(self._worker.id, market.queue.inputs(job, market.jobs))

        # Of those that have as much, the first.
        return market.jobs[max(lane.first(_LOOKED_AT), key=has)]

    def _reserve(self, row: JobRow) -> None:
        market = self._market
        if self._now - row.queued < market.settings.reserve_after_s:
            return
        other = market.reservations.worker_for(row.id)
        since = self._now - market.settings.worker_recent_s
        elsewhere = other not in (None, self._worker.id)
        if elsewhere and other is not None and market.workers.is_recent(other, since):
            return
        market.reservations.reserve(self._worker.id, row.id)
        self._reserved = True

    def _widen(self) -> None:
        """Give the cores that nobody waits for to the jobs that can use more."""
        for pick in self.picks:
            more = max(0, min(pick.most - pick.cores, self._free.cores))
            pick.cores += more
            self._free.cores -= more
