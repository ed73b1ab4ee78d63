"""A job that some workers must never get: not when it waits, not ahead, not after a restart."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from support.scheduling import Desk, offer, spec

WORKERS = ("w1", "w2", "w3")


def barring(desk: Desk, *workers: str, job: str = "p.a1") -> None:
    desk.scheduler.submit(job, "p", 1, spec(), None, False, desk.now, workers)
    desk.save()


def test_only_another_worker_gets_it_however_long_it_waits() -> None:
    desk = Desk()
    barring(desk, "w1")
    for _ in range(20):
        assert desk.lease("w1") == []
        desk.pass_time(600)
    desk.lease("w1")
    assert "elsewhere than on host-w1" in desk.scheduler.explain("p.a1")
    desk.restart()
    assert desk.lease("w1") == []
    assert [one.job for one in desk.lease("w2")] == ["p.a1"]


def test_it_does_not_keep_a_barred_worker_from_other_jobs() -> None:
    desk = Desk()
    barring(desk, "w1")
    desk.pass_time(600)
    assert desk.lease("w1") == []
    desk.submit("p.a2")
    assert [one.job for one in desk.lease("w1")] == ["p.a2"]
    assert desk.lease("w1", offer(1)) == []


@given(
    barred=st.lists(st.sets(st.sampled_from(WORKERS)), min_size=1, max_size=6),
    asks=st.lists(st.tuples(st.sampled_from(WORKERS), st.integers(1, 4)), max_size=20),
)
def test_whoever_asks_in_whatever_order_no_barred_worker_gets_one(
    barred: list[set[str]], asks: list[tuple[str, int]]
) -> None:
    desk = Desk()
    for number, workers in enumerate(barred):
        barring(desk, *sorted(workers), job=f"p.a{number}")
    for worker, cores in asks:
        for given_job in desk.lease(worker, offer(cores)):
            assert worker not in barred[int(given_job.job.removeprefix("p.a"))]
            if cores == 1:
                desk.fail(given_job, worker=worker)
        desk.pass_time(200)
