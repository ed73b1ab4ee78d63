"""What must hold of the matcher for every queue and every fleet."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copernicus.model.shares import ProjectShare
from copernicus.protocol import Beat
from copernicus.scheduling.fitting import can_ever_fit, obstacles, program_for, serves
from copernicus.scheduling.queue import needs_of
from copernicus.scheduling.room import Room
from copernicus.scheduling.scheduler import Scheduler
from copernicus.scheduling.settings import SchedulerSettings
from copernicus.scheduling.workers import WorkerInfo
from support.fleets import FLEETS, JOBS, Machine, job_spec
from support.scheduling import offer, spec

PROJECTS = ("p0", "p1", "p2")
NEVER = SchedulerSettings(reserve_after_s=1e9, starve_after_s=1e9)
EXAMPLES = 150


def submitted(scheduler, jobs, now=0.0):
    for number, asked in enumerate(jobs):
        project = PROJECTS[number % 3]
        wanted = job_spec(asked)
        scheduler.submit(f"{project}.a{number}", project, 1, wanted, None, False, now)


def fleet_of(offers):
    return [Machine(f"w{number}", whole) for number, whole in enumerate(offers)]


@given(st.lists(JOBS, max_size=30), FLEETS, st.randoms(use_true_random=False))
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_worker_is_never_given_more_than_it_has(jobs, offers, chance):
    scheduler, fleet = Scheduler(), fleet_of(offers)
    submitted(scheduler, jobs)
    now = 0.0
    for _ in range(12):
        now += 100.0
        machine = chance.choice(fleet)
        machine.ask(scheduler, now)
        for attempt in list(machine.held):
            if chance.random() < 0.4:
                machine.end(scheduler, attempt, now)
        scheduler.check()


def waiting_that_fits(scheduler, machine):
    """Jobs that the worker has room for, and was not given."""
    free, whole = machine.offer(), machine.whole
    found = []
    for project in PROJECTS:
        for row in scheduler.jobs_of(project):
            needs = needs_of(row)
            suits = program_for(needs.program, needs.platform, whole) is not None
            suits = suits and can_ever_fit(needs, whole, Room(whole))
            if row.state == "queued" and suits and Room(free).fits(needs, needs.cores):
                found.append(row.id)
    return found


@given(st.lists(JOBS, max_size=30), FLEETS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_a_worker_is_filled_while_work_fits(jobs, offers):
    scheduler, fleet = Scheduler(NEVER), fleet_of(offers)
    submitted(scheduler, jobs)
    for machine in fleet:
        machine.ask(scheduler, 1.0)
        assert waiting_that_fits(scheduler, machine) == []


@given(
    st.tuples(*[st.sampled_from([0.5, 1.0, 2.0, 5.0])] * 3),
    st.tuples(*[st.integers(0, 40)] * 3),
    st.integers(1, 3),
    st.randoms(use_true_random=False),
)
@settings(max_examples=EXAMPLES, deadline=None)
def test_each_job_goes_to_the_project_that_has_least_for_its_weight(weights, queued, cores, chance):
    scheduler = Scheduler(NEVER)
    left, load = {}, dict.fromkeys(PROJECTS, 0)
    for project, weight, count in zip(PROJECTS, weights, queued, strict=True):
        scheduler.set_share(project, ProjectShare(weight))
        left[project] = count
        for number in range(count):
            wanted = spec(checkpoint=False, cores=cores)
            scheduler.submit(f"{project}.a{number}", project, 1, wanted, None, False, 0.0)
    fleet = fleet_of([offer(cores * 10), offer(cores * 7)])
    share = dict(zip(PROJECTS, weights, strict=True))
    for step in range(8):
        machine = chance.choice(fleet)
        for attempt in list(machine.held):
            if chance.random() < 0.5:
                load[machine.held[attempt].project] -= machine.held[attempt].cores
                machine.end(scheduler, attempt, float(step))
        for given_out in machine.ask(scheduler, float(step)):
            rivals = [load[project] / share[project] for project in PROJECTS if left[project]]
            assert load[given_out.project] / share[given_out.project] <= min(rivals)
            load[given_out.project] += given_out.cores
            left[given_out.project] -= 1


@pytest.mark.parametrize("seed", range(5))
def test_cores_are_shared_by_weight_within_a_job_of_what_is_due(seed):
    """Full machines, endless work: never further from its part than the bound says."""
    chance = random.Random(seed)
    scheduler = Scheduler(NEVER)
    weights = {"p0": 1.0, "p1": 2.0, "p2": 4.0}
    for project, weight in weights.items():
        scheduler.set_share(project, ProjectShare(weight))
        for number in range(3000):
            wanted = spec(checkpoint=False)
            scheduler.submit(f"{project}.a{number}", project, 1, wanted, None, False, 0.0)
    machine = Machine("w0", offer(70))
    used = dict.fromkeys(weights, 0)
    for step in range(200):
        machine.ask(scheduler, float(step))
        assert machine.offer().cores == 0
        load = dict.fromkeys(weights, 0)
        for one in machine.held.values():
            load[one.project] += 1
        if step == 0:
            for project, weight in weights.items():
                assert abs(load[project] - 70 * weight / 7) <= 1
        for project in weights:
            used[project] += load[project]
        for attempt in list(machine.held):
            if chance.random() < 0.3:
                machine.end(scheduler, attempt, float(step))
    for project, weight in weights.items():
        assert used[project] == pytest.approx(200 * 70 * weight / 7, rel=0.05)


@given(st.lists(JOBS, max_size=20), FLEETS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_what_stands_in_the_way_is_named_exactly_where_something_does(jobs, offers):
    scheduler = Scheduler()
    submitted(scheduler, jobs)
    for whole in offers:
        worker, total = WorkerInfo("w"), Room(whole)
        for row in (row for project in PROJECTS for row in scheduler.jobs_of(project)):
            needs = needs_of(row)
            suits = (
                serves(worker, whole, needs.project, ProjectShare())
                and program_for(needs.program, needs.platform, whole) is not None
                and can_ever_fit(needs, whole, total)
            )
            named = list(obstacles(needs, worker, whole, total, ProjectShare()))
            assert suits == (not named)


# --- determinism


def story(seed: int) -> list[tuple[str, int]]:
    """Everything that is given out in one random history."""
    chance = random.Random(seed)
    scheduler = Scheduler(SchedulerSettings(reserve_after_s=50, starve_after_s=200))
    fleet = fleet_of([offer(chance.randint(2, 16)) for _ in range(4)])
    found: list[tuple[str, int]] = []
    for step in range(60):
        for number in range(chance.randint(0, 4)):
            project = chance.choice(PROJECTS)
            cores = chance.choice([1, 1, 2, 8])
            wanted = spec(checkpoint=False, cores=cores, max_cores=cores * chance.randint(1, 2))
            job = f"{project}.a{step}x{number}"
            scheduler.submit(job, project, 1, wanted, None, False, 10.0 * step)
        machine = chance.choice(fleet)
        found += [(one.attempt, one.cores) for one in machine.ask(scheduler, 10.0 * step)]
        for attempt in list(machine.held):
            if chance.random() < 0.3:
                machine.end(scheduler, attempt, 10.0 * step)
    return found


def test_the_same_history_gives_the_same_grants_under_any_hash_seed():
    here = str([story(seed) for seed in range(5)])
    code = (
        "from property.test_matching_property import story;"
        "print([story(seed) for seed in range(5)])"
    )
    tests = str(Path(__file__).parents[1])
    for hashed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hashed, "PYTHONPATH": tests}
        told = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == here


# --- nobody starves

LONGEST = 300.0
WIDE = 8


class Flood:
    """More narrow work than there is room for, all the time; and some jobs that must get through.

    ``p0`` has a machine of its own besides: by fair share alone, it would never get the common one.
    """

    def __init__(self, seed: int, how: SchedulerSettings) -> None:
        self.chance = random.Random(seed)
        self.scheduler = Scheduler(how)
        self.now = 0.0
        self.started: dict[str, float] = {}
        self.ends: list[tuple[float, Machine, str]] = []
        self.common = Machine("common", offer(WIDE))
        self.own = Machine("own", offer(40, program="own"))
        self.count = 0
        for _ in range(40):
            self.submit("p0", "own")
        self.run(1000.0)

    def submit(self, project: str, program: str = "md", cores: int = 1) -> str:
        self.count += 1
        job = f"{project}.a{self.count}"
        wanted = spec(program=program, checkpoint=False, cores=cores)
        self.scheduler.submit(job, project, 1, wanted, None, False, self.now)
        return job

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            for _ in range(2):
                self.submit("p1")
                self.submit("p0", "own")
            for machine in (self.common, self.own):
                for one in machine.ask(self.scheduler, self.now):
                    self.started[one.job] = self.now
                    takes = self.chance.uniform(30.0, LONGEST)
                    self.ends.append((self.now + takes, machine, one.attempt))
            self.now += 10.0
            for end in [end for end in self.ends if end[0] <= self.now]:
                self.ends.remove(end)
                end[1].end(self.scheduler, end[2], self.now)
            for machine in (self.common, self.own):
                beats = [Beat(attempt, int(self.now)) for attempt in machine.held]
                self.scheduler.heartbeat(machine.name, beats, self.now)


HOW = SchedulerSettings(reserve_after_s=600.0, starve_after_s=1800.0, worker_recent_s=60.0)
BOUND = 3 * (HOW.starve_after_s + 2 * LONGEST)


@pytest.mark.parametrize("seed", range(4))
def test_wide_jobs_and_jobs_of_busy_projects_get_their_turn(seed):
    flood = Flood(seed, HOW)
    victims = [flood.submit("p0", cores=WIDE), flood.submit("p0"), flood.submit("p1", cores=5)]
    flood.run(BOUND)
    assert [job for job in victims if job not in flood.started] == []


def test_without_a_reservation_the_wide_job_would_starve():
    flood = Flood(0, SchedulerSettings(reserve_after_s=1e9, starve_after_s=1800.0))
    victim = flood.submit("p0", cores=WIDE)
    flood.run(BOUND)
    assert victim not in flood.started


def test_without_its_turn_the_job_of_a_busy_project_would_starve():
    flood = Flood(0, SchedulerSettings(reserve_after_s=600.0, starve_after_s=1e9))
    victim = flood.submit("p0")
    flood.run(BOUND)
    assert victim not in flood.started
