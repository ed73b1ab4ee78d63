"""What becomes of a job whose attempt did not complete, by cause."""

from __future__ import annotations

import pytest

from support.scheduling import Desk, offer, spec


@pytest.fixture
def desk():
    return Desk()


def test_its_own_errors_are_tried_again_with_growing_back_off_then_it_fails(desk):
    desk.submit()
    waits = []
    for _ in range(2):
        desk.fail(desk.one())
        waits.append(desk.scheduler.next_wake(desk.now) - desk.now)
        desk.pass_time(waits[-1])
    assert waits == [5.0, 10.0]
    desk.fail(desk.one())
    (end,) = desk.ends["p.a1"]
    assert desk.state() == "failed"
    assert (end.failure.exit_code, end.failure.log, end.failure.worker) == (
        1,
        "last lines",
        "host-w1",
    )
    assert [record.outcome for record in end.attempts] == ["failed"] * 3


def test_another_worker_is_tried_first(desk):
    desk.submit()
    desk.lease("w2", offer(1))
    desk.pass_time(130)
    assert desk.lease("w3", offer(1, program="other")) == []
    desk.submit("p.a2")
    bad = desk.one("w1", offer(1))
    desk.lease("w2", offer(1))
    desk.fail(bad, worker="w1")
    desk.pass_time(5)
    assert desk.lease("w1") == []
    assert [found.job for found in desk.lease("w2")] == [bad.job]


def test_the_same_worker_is_tried_if_no_other_was_seen_lately(desk):
    desk.submit()
    desk.lease("w2", offer(1, program="other"))
    desk.fail(desk.one())
    desk.pass_time(4)
    assert desk.lease() == []
    desk.pass_time(1)
    assert desk.one().number == 2


def test_lost_workers_count_up_to_the_budget(desk):
    desk.submit("p.a1", spec(worker_losses=1))
    for _ in range(2):
        desk.beat(desk.one())
        desk.pass_time(121)
    (end,) = desk.ends["p.a1"]
    assert end.failure.cause == "worker_lost"
    assert "host-w1" in end.failure.reason


def test_rule_11_1_the_counts_belong_to_the_job_whoever_holds_it_and_survive_a_restart(desk):
    desk.submit("p.a1", spec(worker_losses=2))
    for worker in ("w1", "w2", "w3"):
        found = desk.one(worker)
        desk.beat(found, worker=worker)
        desk.pass_time(121)
        desk.restart()
        desk.pass_time(121)
    (end,) = desk.ends["p.a1"]
    assert end.failure.cause == "worker_lost"
    assert [record.worker for record in end.attempts] == ["w1", "w2", "w3"]


def test_an_attempt_never_heard_of_costs_nothing(desk):
    desk.submit("p.a1", spec(worker_losses=0))
    for number in range(1, 9):
        assert desk.one().number == number
        desk.pass_time(121)
    assert desk.state() == "queued"
    assert desk.scheduler.job_row("p.a1").losses == 0


def test_infrastructure_is_free_but_backs_off(desk):
    desk.submit("p.a1", spec(job_errors=0))
    for _ in range(12):
        desk.fail(desk.one(), "infrastructure")
        wait = desk.scheduler.next_wake(desk.now) - desk.now
        desk.pass_time(wait)
    assert wait == desk.settings.backoff_max_s
    assert desk.state() == "queued"


def test_lack_of_memory_grows_it(desk):
    desk.submit("p.a1", spec(memory_mb=1000))
    seen = []
    for _ in range(4):
        found = desk.one()
        seen.append(found.spec.resources.memory_mb)
        desk.fail(found, "resource")
        desk.pass_time(100)
    assert seen == [1000, 1500, 2250, 3375]
    assert desk.state() == "failed"


@pytest.mark.parametrize("cause", ["definition", "cancelled"])
def test_some_causes_are_final(desk, cause):
    desk.submit()
    desk.fail(desk.one(), cause)
    assert desk.state() == "failed"


def test_a_back_off_begins_again_after_a_restart(desk):
    desk.submit()
    desk.fail(desk.one())
    desk.now += 4
    desk.restart()
    desk.pass_time(4)
    assert desk.lease() == []
    desk.pass_time(1)
    assert desk.one().number == 2


def test_a_failure_that_comes_late_is_not_counted_twice(desk):
    desk.submit()
    found = desk.one()
    desk.beat(found)
    desk.pass_time(121)
    assert desk.fail(found) == "accepted"
    assert desk.fail(found) == "already"
    row = desk.scheduler.job_row("p.a1")
    assert (row.errors, row.losses) == (1, 0)


def test_a_worker_that_said_goodbye_is_not_waited_for(desk):
    desk.lease("w2", offer(1))
    desk.submit()
    bad = desk.one("w1", offer(1))
    desk.fail(bad, worker="w1")
    desk.pass_time(5)
    assert desk.lease("w1", offer(1)) == []
    desk.scheduler.worker_left("w2")
    assert desk.one("w1", offer(1)).job == bad.job
