"""How many further workers the jobs that wait could fill."""

from __future__ import annotations

from copernicus.model.pools import Provision
from copernicus.model.resources import ProgramOffer
from copernicus.model.shares import PoolRules, ProjectShare
from copernicus.scheduling.demand import Known
from copernicus.scheduling.scheduler import Scheduler
from support.scheduling import spec

MD = Known((ProgramOffer("md", "2022.5"),), memory_mb=8000)


def queued(count: int, project: str = "p", **asked: object) -> Scheduler:
    scheduler = Scheduler()
    add(scheduler, count, project, **asked)
    return scheduler


def add(scheduler: Scheduler, count: int, project: str = "p", **asked: object) -> None:
    for _ in range(count):
        number = sum(scheduler.queue_sizes().values())
        scheduler.submit(f"{project}.a{number}", project, 1, spec(**asked), None, False, 0.0)


def wanted(scheduler: Scheduler, known: Known | None = MD, **asked: object) -> int:
    return scheduler.fillable("cluster", Provision("slurm", **{"max": 10, **asked}), known)


def test_jobs_are_packed_into_workers() -> None:
    scheduler = queued(12)
    assert wanted(scheduler, cores=4) == 3
    add(scheduler, 1, cores=4)
    assert wanted(scheduler, cores=4) == 4
    assert wanted(scheduler, cores=4, max=2) == 2
    assert wanted(Scheduler(), cores=4) == 0


def test_narrow_jobs_go_beside_wide_ones() -> None:
    scheduler = queued(6)
    add(scheduler, 2, cores=13)
    assert wanted(scheduler, cores=16) == 2


def test_memory_counts() -> None:
    scheduler = queued(4, memory_mb=3000)
    assert wanted(scheduler, cores=8) == 2
    assert wanted(scheduler, cores=8, memory_mb=3000) == 4
    assert wanted(scheduler, cores=8, memory_mb=1000) == 0


def test_jobs_that_such_a_worker_could_never_take_start_none() -> None:
    assert wanted(queued(3, program="other")) == 0
    assert wanted(queued(3, versions=">=2024")) == 0
    assert wanted(queued(3, cores=2), cores=1) == 0
    assert wanted(queued(3, gpus=1)) == 0
    assert wanted(queued(3, gpus=1), gpus=1) == 3
    assert wanted(queued(3, labels="site == 'kth'")) == 0
    assert wanted(queued(3, labels="site == 'kth'"), labels=("site=kth",)) == 3
    assert wanted(queued(1, checkpoint=False, expected_s=7200.0), walltime_s=3600.0) == 0


def test_as_long_as_nothing_is_known_a_worker_is_hoped_to_have_it_all() -> None:
    assert wanted(queued(3, program="other", gpus=1, gpu_vendor="nvidia"), None, gpus=1) == 3


def test_projects_that_do_not_use_the_pool_start_none() -> None:
    scheduler = queued(3)
    scheduler.set_share("p", ProjectShare(pools=("elsewhere",)))
    assert wanted(scheduler) == 0
    scheduler.set_share("p", ProjectShare())
    scheduler.set_pool("cluster", PoolRules(("q",)))
    assert wanted(scheduler) == 0
    scheduler.set_pool("cluster", PoolRules())
    scheduler.set_on_hold("p", True)
    assert wanted(scheduler) == 0
    scheduler.set_on_hold("p", False)
    scheduler.close("the disk is full")
    assert wanted(scheduler) == 0
    scheduler.close("")
    assert wanted(scheduler) == 3
