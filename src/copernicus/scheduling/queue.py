"""The jobs that can be offered, in lanes of equal needs, so that a lease looks at lane heads only.

A queued job is in exactly one of three places: in its lane (offered), waiting (its back-off is not
over) or aside (on hold, or waiting for its parent's last checkpoint).
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from copernicus.model.gpus import GpuNeed
from copernicus.model.jobs import JobSpec
from copernicus.model.resources import Platform, ProgramNeed, ProgramOffer
from copernicus.scheduling.inputs import Inputs, inputs_of
from copernicus.scheduling.rows import JobRow, priority_of


class Needs(NamedTuple):
    """What all jobs of a lane have in common. ``wall_s`` 0: may be cut off at any time."""

    project: str
    program: ProgramNeed
    priority: int
    cores: int
    max_cores: int | None
    memory_mb: int
    gpu: GpuNeed
    disk_mb: int
    wall_s: float
    avoid: tuple[str, ...]
    function: str = ""
    platform: Platform = "smp"
    labels: str = ""
    barred: tuple[str, ...] = ()


_NO_GPU = GpuNeed()


def needs_of(row: JobRow) -> Needs:
    """The lane to which a job belongs."""
    spec = row.spec
    assert spec is not None
    asked = spec.resources
    return Needs(
        project=row.project,
        program=spec.program,
        priority=priority_of(row),
        cores=max(1, asked.cores),
        max_cores=asked.max_cores,
        memory_mb=row.memory_mb or asked.memory_mb,
        gpu=asked.gpu_need if asked.gpus else _NO_GPU,
        disk_mb=asked.disk_mb,
        wall_s=0.0 if _resumable(spec) or not asked.expected_s else _coarse(asked.expected_s),
        avoid=row.avoid,
        function=spec.function,
        platform=asked.platform,
        labels=asked.labels,
        barred=row.barred,
    )


def _asks_the_same(row: JobRow, other: JobRow) -> bool:
    """Whether two jobs belong to one lane, as can be seen without making out which.

    Of jobs that are queued together most is the very same object.
    """
    spec, known = row.spec, other.spec
    return (
        spec is not None
        and known is not None
        and spec.resources is known.resources
        and spec.program is known.program
        and spec.function == known.function
        and row.project == other.project
        and row.priority == other.priority
        and row.memory_mb == other.memory_mb
        and row.avoid == other.avoid
        and row.barred == other.barred
        and _resumable(spec) == _resumable(known)
    )


def _resumable(spec: JobSpec) -> bool:
    return spec.command is not None and spec.command.checkpoint is not None


def _coarse(seconds: float) -> float:
    """Rounded up to two digits: near-equal expectations shall share a lane."""
    unit = 1.0
    while seconds >= 100.0 * unit:
        unit *= 10.0
    return -(-seconds // unit) * unit


class Lane:
    """Jobs of equal needs, first in, first out, by their order numbers.

    ``served`` is when one of them was last given out, or when the first of them came. ``programs``
    is what the matcher found: by kind of worker, the program that it would run them with.
    """

    __slots__ = ("_jobs", "_orders", "_start", "needs", "programs", "served")

    def __init__(self, needs: Needs, since: float = 0.0) -> None:
        self.needs = needs
        self.served = since
        self.programs: dict[int, ProgramOffer | None] = {}
        self._orders: list[int] = []
        self._jobs: list[str] = []
        self._start = 0

    def __len__(self) -> int:
        return len(self._orders) - self._start

    @property
    def head(self) -> int:
        """The order number of the first job; the lane must not be empty."""
        return self._orders[self._start]

    @property
    def head_job(self) -> str:
        """The first job; the lane must not be empty."""
        return self._jobs[self._start]

    def first(self, count: int) -> Sequence[str]:
        """The first jobs, in order."""
        return self._jobs[self._start : self._start + count]

    def add(self, order: int, job: str) -> None:
        """Put a job where its order number belongs."""
        if not self._orders or order > self._orders[-1]:
            self._orders.append(order)
            self._jobs.append(job)
        else:
            place = bisect_left(self._orders, order, lo=self._start)
            self._orders.insert(place, order)
            self._jobs.insert(place, job)

    def remove(self, order: int) -> None:
        """Take a job out; cheap at the head, where leases take it."""
        if order == self.head:
            self._start += 1
            if self._start > 1000 and 2 * self._start > len(self._orders):
                del self._orders[: self._start], self._jobs[: self._start]
                self._start = 0
        else:
            place = bisect_left(self._orders, order, lo=self._start)
            del self._orders[place], self._jobs[place]

    def ahead(self, order: int) -> int:
        """How many jobs of the lane stand before this order number."""
        return bisect_left(self._orders, order, lo=self._start) - self._start


class Queue:
    """Every queued job, in its one place. ``order_of`` tells the order number of a known job."""

    def __init__(self, order_of: Callable[[str], int]) -> None:
        self.arrivals = 0
        self._order_of = order_of
        self._lanes: dict[str, dict[Needs, Lane]] = {}
        self._offered: dict[str, Lane] = {}
        self._latest: JobRow | None = None
        self._inputs: dict[str, Inputs] = {}
        self._ready_at: dict[str, float] = {}
        self._wakes: list[tuple[float, str]] = []
        self._aside: set[str] = set()

    def offer(self, row: JobRow) -> None:
        """Put a job into its lane."""
        self.remove(row.id)
        lane = self._lane_for(row)
        lane.add(row.order, row.id)
        self._offered[row.id] = lane
        self._latest = row
        self.arrivals += 1

    def _lane_for(self, row: JobRow) -> Lane:
        latest = self._latest
        if latest is not None and _asks_the_same(row, latest):
            lane = self._offered.get(latest.id)
            if lane is not None:
                return lane
        needs = needs_of(row)
        lanes = self._lanes.setdefault(needs.program.name, {})
        lane = lanes.get(needs)
        if lane is None:
            lane = lanes[needs] = Lane(needs, row.queued)
        return lane

    def wait(self, job: str, until: float) -> None:
        """Keep a job back until its back-off is over."""
        self.remove(job)
        self._ready_at[job] = until
        heapq.heappush(self._wakes, (until, job))

    def set_aside(self, job: str) -> None:
        """Keep a job back until it is placed anew."""
        self.remove(job)
        self._aside.add(job)

    def remove(self, job: str) -> None:
        """Take a job out, wherever it is; nothing if it is nowhere."""
        self._aside.discard(job)
        self._ready_at.pop(job, None)
        lane = self._offered.pop(job, None)
        if lane is None:
            return
        self._inputs.pop(job, None)
        lane.remove(self._order_of(job))
        if not lane:
            lanes = self._lanes[lane.needs.program.name]
            del lanes[lane.needs]
            if not lanes:
                del self._lanes[lane.needs.program.name]

    def ready(self, now: float) -> list[str]:
        """The jobs whose back-off is over; they stay where they are until placed anew."""
        found = []
        while (until := self.next_ready()) is not None and until <= now:
            _, job = heapq.heappop(self._wakes)
            found.append(job)
        return found

    def next_ready(self) -> float | None:
        """When the next back-off ends."""
        while self._wakes and self._ready_at.get(self._wakes[0][1]) != self._wakes[0][0]:
            heapq.heappop(self._wakes)
        return self._wakes[0][0] if self._wakes else None

    def sizes(self) -> dict[str, int]:
        """How many jobs are in each of the three places."""
        return {
            "offered": len(self._offered),
            "backoff": len(self._ready_at),
            "kept_back": len(self._aside),
        }

    def ready_at(self, job: str) -> float | None:
        """When the job's back-off ends, if it is in one."""
        return self._ready_at.get(job)

    def is_aside(self, job: str) -> bool:
        """Whether the job is kept back."""
        return job in self._aside

    def lane_of(self, job: str) -> Lane | None:
        """The lane in which the job is offered."""
        return self._offered.get(job)

    def lanes(self, program: str) -> Iterator[Lane]:
        """The lanes (none is empty) of jobs that need this program."""
        return iter(tuple(self._lanes.get(program, {}).values()))

    def all_lanes(self) -> Iterator[Lane]:
        """The lanes of all programs."""
        for lanes in self._lanes.values():
            yield from lanes.values()

    def inputs(self, job: str, rows: Mapping[str, JobRow]) -> Inputs:
        """The files that an offered job needs; looked up once."""
        found = self._inputs.get(job)
        if found is None:
            found = self._inputs[job] = inputs_of(rows[job])
        return found

    def ahead(self, job: str, order: int, extra: Mapping[str, int] = MappingProxyType({})) -> int:
        """How many offered jobs for the same program stand before this one.

        ``extra`` priority is that of a project, for all its jobs.
        """
        own = self.lane_of(job)
        if own is None:
            return 0

        def rank(needs: Needs) -> int:
            return needs.priority + extra.get(needs.project, 0)

        count = 0
        for lane in self.lanes(own.needs.program.name):
            if rank(lane.needs) > rank(own.needs):
                count += len(lane)
            elif rank(lane.needs) == rank(own.needs):
                count += lane.ahead(order)
        return count

    def places(self, job: str) -> int:
        """In how many places the job is: one, if all is well and it is queued."""
        return (job in self._offered) + (job in self._ready_at) + (job in self._aside)

    def __len__(self) -> int:
        return len(self._offered) + len(self._ready_at) + len(self._aside)
