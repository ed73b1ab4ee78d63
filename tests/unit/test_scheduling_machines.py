"""Matching by what machines are: GPUs, labels, platforms, pools, files, measured rates."""

from __future__ import annotations

import msgspec
import pytest

from copernicus.errors import Conflict
from copernicus.model.gpus import Gpu
from copernicus.model.jobs import AttemptRecord, TaskCall
from copernicus.model.resources import Offer, ProgramOffer
from copernicus.model.shares import PoolRules, ProjectShare
from copernicus.model.values import File, to_plain
from copernicus.protocol import LeaseRequest
from copernicus.scheduling.rates import Choice, Rate, choose
from copernicus.scheduling.workers import WorkerInfo
from support.scheduling import Desk, offer, spec


@pytest.fixture
def desk():
    return Desk()


def plain(**resources):
    return spec(checkpoint=False, **resources)


def jobs(assignments):
    return [found.job for found in assignments]


A100 = Gpu("0", "nvidia", 40_000, "A100")
SMALL = Gpu("1", "nvidia", 8_000, "T4")
MI250 = Gpu("2", "amd", 64_000, "MI250")


# --- GPUs


def test_a_job_gets_a_gpu_of_its_vendor_with_its_memory(desk):
    desk.submit("p.a1", plain(gpus=1, gpu_memory_mb=16_000, gpu_vendor="nvidia"))
    assert desk.lease("w1", offer(4, devices=(SMALL, MI250))) == []
    assert "needs 1 GPUs of nvidia with 16000 MiB" in desk.scheduler.explain("p.a1")
    assert jobs(desk.lease("w2", offer(4, devices=(SMALL, A100)))) == ["p.a1"]


def test_large_gpus_are_kept_for_those_who_need_them(desk):
    desk.submit("p.a1", plain(gpus=1))
    desk.submit("p.a2", plain(gpus=1, gpu_memory_mb=16_000))
    assert jobs(desk.lease("w1", offer(4, devices=(A100, SMALL)))) == ["p.a1", "p.a2"]


def test_jobs_share_a_gpu_if_all_of_them_allow_it(desk):
    for number in range(4):
        desk.submit(f"p.a{number}", plain(gpus=1, gpu_sharing=3))
    desk.submit("p.a9", plain(gpus=1))
    assert jobs(desk.lease("w1", offer(8, devices=(A100,)))) == ["p.a0", "p.a1", "p.a2"]
    taken = Gpu("0", "nvidia", 40_000, jobs=1, most=1)
    assert desk.lease("w2", offer(8, devices=(taken,))) == []
    shared = Gpu("0", "nvidia", 40_000, jobs=2, most=3)
    assert jobs(desk.lease("w3", offer(8, devices=(shared,)))) == ["p.a3"]


def test_shared_gpus_are_not_given_more_memory_than_they_have(desk):
    for number in range(4):
        desk.submit(f"p.a{number}", plain(gpus=1, gpu_sharing=4, gpu_memory_mb=15_000))
    assert len(desk.lease("w1", offer(8, devices=(A100,)))) == 2


def test_gpus_of_which_a_worker_says_nothing_are_not_shared(desk):
    for number in range(4):
        desk.submit(f"p.a{number}", plain(gpus=1, gpu_sharing=4))
    assert len(desk.lease("w1", offer(8, gpus=2))) == 2


# --- labels, platforms


def test_labels_decide_where_a_job_may_run(desk):
    desk.submit("p.a1", plain(labels='site == "kth" && !preemptible'))
    assert desk.lease("w1", offer(1, labels=("site=kth", "preemptible"))) == []
    said = desk.scheduler.explain("p.a1")
    assert said == 'no worker with md has the labels site == "kth" && !preemptible'
    assert jobs(desk.lease("w2", offer(1, labels=("site=kth",)))) == ["p.a1"]


def test_an_expression_that_cannot_be_read_fits_no_worker(desk):
    desk.submit("p.a1", plain(labels="site =="))
    assert desk.lease("w1", offer(1)) == []


def test_a_job_for_mpi_needs_a_worker_with_a_launcher(desk):
    desk.submit("p.a1", plain(platform="mpi", cores=2))
    assert desk.lease("w1", offer(8)) == []
    assert "with a launcher for MPI" in desk.scheduler.explain("p.a1")
    both = Offer((ProgramOffer("md", "2022.5", ("smp", "mpi")),), 8)
    assert jobs(desk.lease("w2", both)) == ["p.a1"]


# --- pools, weights, priorities


def lease_in(desk, pool):
    asked = LeaseRequest(f"r-{pool}-{desk.now}", offer(1))
    worker = WorkerInfo(f"w-{pool}", f"host-{pool}", pool)
    found = desk.scheduler.lease(worker, asked, desk.now)
    desk.now += 1
    return jobs(found)


def test_a_project_uses_only_the_pools_that_it_names(desk):
    desk.submit("p.a1")
    desk.scheduler.set_share("p", ProjectShare(pools=("gpu",)))
    assert lease_in(desk, "cpu") == []
    assert desk.scheduler.explain("p.a1") == "no connected worker in pool gpu serves project p"
    assert lease_in(desk, "gpu") == ["p.a1"]


def test_a_pool_serves_only_its_projects(desk):
    desk.submit("p.a1")
    desk.submit("q.a1")
    desk.scheduler.set_pool("gpu", PoolRules(("q",)))
    assert lease_in(desk, "gpu") == ["q.a1"]
    assert lease_in(desk, "gpu") == []
    assert desk.scheduler.explain("p.a1") == "no connected worker serves project p"
    desk.scheduler.set_pool("gpu", PoolRules())
    assert lease_in(desk, "gpu") == ["p.a1"]


def test_a_queued_job_can_be_moved_to_the_front_and_back(desk):
    for number in range(3):
        desk.submit(f"p.a{number}", plain())
    desk.scheduler.set_priority("p.a2", 7)
    desk.save()
    assert desk.scheduler.job_view("p.a2").priority == 7
    assert desk.scheduler.explain("p.a0").startswith("no worker")
    desk.restart()
    assert jobs(desk.lease("w1", offer(1))) == ["p.a2"]
    desk.scheduler.set_priority("p.a0", -1)
    assert jobs(desk.lease("w2", offer(1))) == ["p.a1"]
    desk.scheduler.set_priority("p.a0", None)
    desk.submit("p.a5", plain())
    assert jobs(desk.lease("w3", offer(1))) == ["p.a0"]


def test_an_ended_job_has_no_priority_any_more(desk):
    desk.submit("p.a1", plain())
    desk.complete(desk.one())
    with pytest.raises(Conflict, match="is done"):
        desk.scheduler.set_priority("p.a1", 3)


def test_a_projects_priority_counts_for_all_its_jobs(desk):
    desk.submit("p.a1", plain())
    desk.submit("q.a1", plain())
    desk.scheduler.set_share("q", ProjectShare(priority=2))
    assert desk.scheduler.job_view("q.a1").priority == 2
    assert jobs(desk.lease("w1", offer(1))) == ["q.a1"]


# --- files


def with_files(*names: str):
    files = [to_plain(File(name * 64, 10_000_000, name)) for name in names]
    return msgspec.structs.replace(plain(), task=TaskCall("m:f", {"in": files}))


def test_a_worker_gets_the_job_whose_files_it_has(desk):
    desk.submit("p.a0", with_files("a"))
    assert jobs(desk.lease("w1", offer(1))) == ["p.a0"]
    desk.submit("p.a1", with_files("b"))
    desk.submit("p.a2", with_files("a"))
    assert jobs(desk.lease("w1", offer(1))) == ["p.a2"]
    assert jobs(desk.lease("w2", offer(1))) == ["p.a1"]


def test_a_job_is_passed_over_for_a_short_while_only(desk):
    desk.submit("p.a0", with_files("a"))
    desk.one("w1")
    desk.submit("p.a1", with_files("b"))
    desk.submit("p.a2", with_files("a"))
    desk.pass_time(desk.settings.local_s + 1)
    assert jobs(desk.lease("w1", offer(1))) == ["p.a1"]


# --- every kind of worker says why


def test_every_kind_of_worker_says_why_it_does_not_run_a_job(desk):
    desk.submit("p.a0", plain(cores=4))
    desk.submit("p.a1", plain(cores=4, labels="!preemptible", memory_mb=2000))
    desk.lease("narrow", offer(2))
    desk.lease("narrow2", offer(2))
    desk.lease("cloud", offer(2, labels=("preemptible",)))
    desk.lease("busy", offer(4, memory_mb=4000))
    desk.scheduler.heartbeat("busy", [], desk.now, offer(0, memory_mb=4000))
    shown = desk.scheduler.closely(desk.scheduler.job_view("p.a1"))
    said = {kind.hosts: (kind.workers, kind.reason) for kind in shown.kinds}
    assert said["host-narrow", "host-narrow2"] == (2, "needs 4 cores, it has 2")
    assert said[("host-cloud",)] == (
        1,
        "its labels (preemptible) are not !preemptible; needs 4 cores, it has 2",
    )
    assert said[("host-busy",)] == (1, "could run it, but is busy")


# --- cores by measurement


def test_cores_follow_from_rates():
    rates = {1: Rate(10.0), 4: Rate(36.0), 8: Rate(40.0), 16: Rate(38.0)}
    assert choose(rates, 1, 16, 0.8) == Choice(4, 8)
    assert choose(rates, 1, 4, 0.8) == Choice(4, 4)
    assert choose(rates, 8, 16, 0.8) == Choice(8, 8)
    assert choose({1: Rate(10.0)}, 1, 16, 0.8) is None
    assert choose({1: Rate(10.0), 2: Rate(20.0)}, 1, 16, 0.8) == Choice(2, 16)


def run(desk, cores, rate, worker="w1", kind="xeon"):
    """One run that is measured; the cores that it was given."""
    desk.submit(f"p.run{cores}", plain(cores=1, max_cores=16))
    (one,) = desk.lease(worker, offer(cores, kind=kind))
    record = AttemptRecord(one.number, worker, cores=one.cores, rate=rate, rate_unit="ns/day")
    desk.complete(one, record=record)
    return one.cores


def test_what_was_measured_decides_the_number_of_cores(desk):
    assert [run(desk, 1, 10.0), run(desk, 4, 36.0), run(desk, 16, 38.0)] == [1, 4, 16]
    for number in range(3):
        desk.submit(f"p.b{number}", plain(cores=1, max_cores=16))
    found = desk.lease("w2", offer(12, kind="xeon"))
    assert [one.cores for one in found] == [4, 4, 4]
    shown = desk.scheduler.closely(desk.scheduler.job_view("p.b1"))
    assert [(one.cores, one.rate, one.chosen) for one in shown.rates] == [
        (1, 10.0, False),
        (4, 36.0, True),
        (16, 38.0, False),
    ]


def test_other_machines_are_measured_by_themselves(desk):
    run(desk, 1, 10.0)
    run(desk, 4, 36.0)
    desk.submit("p.a3", plain(cores=1, max_cores=16))
    assert desk.one("w2", offer(12, kind="epyc")).cores == 12


def test_rates_are_stored_and_taken_over(desk):
    run(desk, 4, 36.0)
    rows = desk.scheduler.take_rates()
    assert rows[0].rates == {4: Rate(36.0, 1, "ns/day")}
    desk.restart()
    desk.scheduler.restore_rates(rows)
    run(desk, 1, 10.0)
    assert desk.scheduler.take_rates()[0].rates == {
        4: Rate(36.0, 1, "ns/day"),
        1: Rate(10.0, 1, "ns/day"),
    }
