"""Who gets what, in which order, and why a job waits."""

from __future__ import annotations

import time

import pytest

from copernicus.protocol import LeaseRequest
from copernicus.scheduling.scheduler import Scheduler
from copernicus.scheduling.workers import WorkerInfo
from support.scheduling import Desk, offer, spec


@pytest.fixture
def desk():
    return Desk()


def plain(**resources):
    return spec(checkpoint=False, **resources)


def jobs(assignments):
    return [found.job for found in assignments]


def test_one_request_fills_the_worker(desk):
    desk.submit("p.a0", plain(cores=12))
    for number in range(1, 20):
        desk.submit(f"p.a{number}", plain(cores=1))
    found = desk.lease("w1", offer(24))
    assert sorted(one.cores for one in found) == [1] * 12 + [12]


def test_priority_then_fair_share_then_first_come(desk):
    for number in range(4):
        desk.submit(f"p.a{number}", plain())
    for number in range(2):
        desk.submit(f"q.a{number}", plain())
    desk.submit("p.a9", plain(priority=5))
    found = jobs(desk.lease("w1", offer(5)))
    assert found == ["p.a9", "q.a0", "p.a0", "q.a1", "p.a1"]


def test_bounds_of_an_offer_are_kept(desk):
    for number in range(9):
        desk.submit(f"p.a{number}", plain(memory_mb=100, gpus=1, disk_mb=10))
    assert len(desk.lease("w1", offer(9, memory_mb=250, gpus=9, disk_mb=90))) == 2
    assert len(desk.lease("w2", offer(9, memory_mb=900, gpus=1, disk_mb=90))) == 1
    assert len(desk.lease("w3", offer(9, gpus=9, disk_mb=10))) == 1
    assert len(desk.lease("w4", offer(9, gpus=9, disk_mb=90, max_jobs=2))) == 2


def test_cores_between_minimum_and_maximum(desk):
    desk.submit("p.a1", plain(cores=2, max_cores=6))
    desk.submit("p.a2", plain(cores=2, max_cores=6))
    assert [one.cores for one in desk.lease("w1", offer(4))] == [2, 2]
    desk.submit("p.a3", plain(cores=2, max_cores=6))
    assert desk.one("w2", offer(8)).cores == 6
    desk.submit("p.a4", plain(cores=1))
    desk.submit("p.a5", plain(cores=5))
    assert [(one.job, one.cores) for one in desk.lease("w3", offer(9, job_cores=4))] == [
        ("p.a4", 4)
    ]


def test_projects_of_offer_and_pool(desk):
    desk.submit("p.a1")
    desk.submit("q.a1")
    assert jobs(desk.lease("w1", offer(8, projects=("q",)))) == ["q.a1"]
    asked = LeaseRequest("r", offer(8))
    assert desk.scheduler.lease(WorkerInfo("w2", projects=("x",)), asked, desk.now) == []


def test_a_wide_job_is_not_starved(desk):
    for number in range(4):
        desk.submit(f"p.a{number}", plain())
    running = desk.lease("w1", offer(4))
    desk.submit("p.wide", plain(cores=4))
    for number in range(4):
        desk.submit(f"p.b{number}", plain())
    desk.complete(running[0])
    running[0] = desk.one("w1", offer(1))
    for _ in range(4):
        desk.pass_time(100)
        for one in running:
            desk.beat(one)
    desk.complete(running[0])
    assert desk.lease("w1", offer(1)) == []
    assert desk.scheduler.explain("p.wide") == "host-w1 is being kept free for it"
    assert jobs(desk.lease("w2", offer(1))) == ["p.b1"]
    for one in running[1:]:
        desk.complete(one)
    assert jobs(desk.lease("w1", offer(4))) == ["p.wide"]


def test_a_job_without_checkpoints_needs_the_wall_time(desk):
    desk.submit("p.a1", plain(expected_s=3600))
    assert desk.lease("w1", offer(1, walltime_s=600)) == []
    assert "wall time" in desk.scheduler.explain("p.a1")
    desk.submit("p.a2", spec("p.a2", expected_s=3600))
    assert jobs(desk.lease("w1", offer(1, walltime_s=600))) == ["p.a2"]


@pytest.mark.parametrize(
    ("wanted", "offered", "said"),
    [
        ({"versions": ">=2024"}, offer(), "no worker offers md >=2024; nearest: host-a has 2022.5"),
        ({}, offer(program="x"), "no worker offers md"),
        ({"cores": 8}, offer(4), "needs 8 cores; the largest worker with md has 4"),
        ({"gpus": 2}, offer(gpus=1), "needs 2 GPUs; the largest worker with md has 1"),
        ({}, offer(projects=("q",)), "no connected worker serves project p"),
        ({}, offer(), "waits for a free core: it is next"),
    ],
)
def test_a_job_says_why_it_waits(desk, wanted, offered, said):
    desk.submit("p.a1", spec(**wanted))
    assert desk.scheduler.explain("p.a1", [(WorkerInfo("w1", "host-a"), offered)]) == said


def test_a_job_says_what_is_ahead_and_what_it_recovers_from(desk):
    for number in range(13):
        desk.submit(f"p.a{number}", plain())
    assert desk.scheduler.explain("p.a12").startswith("no worker is connected")
    desk.fail(desk.one())
    assert desk.scheduler.explain("p.a0") == (
        "backs off for 5 s more after exit code 1 on host-w1; try 2 of 3 is next, "
        "not on host-w1 while there is another"
    )
    assert desk.scheduler.explain("p.a12") == "waits for a free core: 11 jobs are ahead"


def test_a_long_queue_costs_a_lease_nothing():
    scheduler = Scheduler()
    for number in range(100_000):
        wanted = plain(cores=1 + number % 3)
        scheduler.submit(f"p{number % 5}.a{number}", f"p{number % 5}", 1, wanted, None, False, 0.0)
    begun = time.perf_counter()
    for number in range(500):
        scheduler.lease(WorkerInfo(f"w{number}"), LeaseRequest("r", offer(4)), 1.0)
    assert (time.perf_counter() - begun) / 500 < 0.005
