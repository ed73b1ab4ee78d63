"""Leases, fencing, results: what counts, from whom, and how often."""

from __future__ import annotations

import pytest

from copernicus.errors import BadValue, Conflict, NotAllowed
from copernicus.protocol import ProgressReport
from support.scheduling import Beat, Desk, offer, spec


@pytest.fixture
def desk():
    return Desk()


def test_a_job_is_granted_once_under_its_own_number(desk):
    desk.submit()
    found = desk.one()
    assert (found.attempt, found.number, found.part) == ("p.a1#1", 1, 1)
    assert desk.lease("w2") == []


def test_the_same_request_is_granted_the_same(desk):
    desk.submit()
    first = desk.lease("w1", request="r")
    assert desk.lease("w1", request="r") == first
    assert desk.lease("w2", request="r") == []
    desk.restart()
    assert desk.lease("w1", request="r") == first


def test_without_heartbeat_the_job_goes_back_with_its_checkpoint(desk):
    desk.submit()
    first = desk.one()
    desk.checkpoint(first, 50.0)
    desk.pass_time(121)
    again = desk.one("w2")
    assert (again.number, again.part, again.checkpoint.step) == (2, 2, 50.0)


def test_a_heartbeat_renews_and_next_wake_follows(desk):
    desk.submit()
    found = desk.one()
    desk.now += 100
    assert desk.beat(found) == "go"
    assert desk.scheduler.next_wake(desk.now) == desk.now + 120
    desk.pass_time(100)
    assert desk.state() == "leased"


def test_an_old_heartbeat_does_not_renew(desk):
    desk.submit()
    found = desk.one()
    desk.beat(found, seq=10)
    desk.now += 100
    desk.beat(found, seq=9)
    desk.pass_time(21)
    assert desk.state() == "queued"


def test_an_expired_attempt_is_revived_if_nobody_has_the_job(desk):
    desk.submit()
    found = desk.one()
    desk.beat(found)
    desk.pass_time(500)
    assert desk.scheduler.job_row("p.a1").losses == 1
    assert desk.beat(found) == "go"
    assert desk.state() == "leased"
    assert desk.scheduler.job_row("p.a1").losses == 0
    assert desk.lease("w2") == []


def test_a_zombie_is_discarded_and_its_checkpoint_refused(desk):
    desk.submit()
    old = desk.one()
    desk.beat(old)
    desk.pass_time(121)
    desk.one("w2")
    assert desk.beat(old) == "discard"
    with pytest.raises(Conflict):
        desk.checkpoint(old, 10.0)


def test_a_zombies_result_counts_if_it_is_the_first(desk):
    desk.submit()
    old = desk.one()
    desk.pass_time(121)
    new = desk.one("w2")
    assert desk.complete(old, 1) == "accepted"
    assert desk.beat(new, "w2") == "discard"
    assert desk.complete(new, 2, "w2") == "superseded"
    assert desk.complete(old, 1) == "already"
    assert [end.outputs for end in desk.ends["p.a1"]] == [{"out": 1}]


def test_a_late_result_names_no_checkpoint_whose_place_newer_ones_took(desk):
    desk.submit()
    old = desk.one()
    desk.checkpoint(old, 1.0)
    desk.pass_time(121)
    new = desk.one("w2")
    for step in (2.0, 3.0, 4.0):
        desk.checkpoint(new, step, "w2")
    assert desk.complete(old, 1) == "accepted"
    assert desk.ends["p.a1"][0].checkpoint.step == 4.0


def test_nobody_reports_what_he_was_not_granted(desk):
    desk.submit()
    found = desk.one()
    for worker, attempt in (("w2", found.attempt), ("w1", "p.a1#2"), ("w1", "nonsense")):
        with pytest.raises(NotAllowed):
            desk.complete(type(found)(**{**_fields(found), "attempt": attempt}), 1, worker)


def _fields(assignment):
    return {name: getattr(assignment, name) for name in assignment.__struct_fields__}


def test_a_checkpoint_counts_once_and_in_order(desk):
    desk.submit()
    found = desk.one()
    desk.checkpoint(found, 10.0, seq=5)
    desk.checkpoint(found, 10.0, seq=5)
    with pytest.raises(Conflict):
        desk.checkpoint(found, 5.0, seq=4)
    desk.restart()
    with pytest.raises(Conflict):
        desk.checkpoint(found, 5.0, seq=4)
    assert desk.scheduler.job_row("p.a1").checkpoints == 1


def test_a_checkpoint_of_other_work_is_refused(desk):
    desk.submit()
    desk.submit("p.a2", spec(checkpoint=False))
    first, second = desk.lease("w1", offer(2))
    with pytest.raises(BadValue, match="not of the work"):
        desk.checkpoint(first, 1.0, key="other")
    with pytest.raises(BadValue, match="no checkpoints"):
        desk.checkpoint(second, 1.0)


def test_after_a_restart_a_lease_runs_in_full_and_numbers_go_on(desk):
    desk.submit()
    found = desk.one()
    desk.now += 119
    desk.restart()
    desk.pass_time(119)
    assert desk.beat(found) == "go"
    desk.pass_time(121)
    desk.restart()
    assert desk.one("w2").number == 2


def test_numbers_start_above_the_base_of_a_restored_backup(desk):
    desk.submit()
    rows = list(desk.stored.values())
    desk.scheduler.restore(rows, [], [], desk.now, attempt_base=1_000_000)
    assert desk.one().number == 1_000_001


def test_a_stopped_attempt_hands_the_job_on_at_once_and_free(desk):
    desk.submit()
    assert desk.stop(desk.one(), step=30.0) == "accepted"
    again = desk.one()
    row = desk.scheduler.job_row("p.a1")
    assert again.checkpoint.step == 30.0
    assert (row.errors, row.losses, row.troubles) == (0, 0, 0)


def test_a_revoked_worker_loses_its_leases_at_once(desk):
    desk.submit()
    found = desk.one()
    desk.scheduler.forget_worker("w1", desk.now)
    desk.save()
    assert desk.state() == "queued"
    assert desk.beat(found) == "discard"
    with pytest.raises(NotAllowed):
        desk.complete(found)
    assert desk.lease("w1") == []
    assert desk.one("w2").number == 2


def test_a_worker_that_was_to_get_no_more_and_was_revoked_gets_work_when_it_is_readmitted(desk):
    desk.submit()
    desk.scheduler.drain("w1")
    desk.scheduler.forget_worker("w1", desk.now)
    desk.scheduler.readmit("w1")
    assert desk.one()


def test_a_draining_worker_keeps_its_work_and_gets_no_more(desk):
    desk.submit()
    found = desk.one()
    desk.submit("p.a2")
    desk.scheduler.drain("w1")
    assert desk.scheduler.is_draining("w1")
    assert desk.lease() == []
    assert desk.beat(found) == "go"


def test_forgotten_jobs_can_be_brought_back_for_a_late_result(desk):
    desk.scheduler._core.book._keep_ended = 0
    desk.submit()
    desk.complete(desk.one(), 1)
    assert not desk.scheduler.knows("p.a1")
    job, attempt = desk.stored["job", "p.a1"], desk.stored["attempt", "p.a1#1"]
    desk.scheduler.restore_job(job, [attempt])
    assert desk.scheduler.knows("p.a1")


def test_a_view_shows_progress(desk):
    desk.submit()
    found = desk.one()
    progress = ProgressReport(5.0, 10.0, 3.0, "ns/day")
    desk.scheduler.heartbeat("w1", [Beat(found.attempt, 1, progress, "tail")], desk.now)
    view = desk.scheduler.job_view("p.a1")
    assert (view.state, view.host, view.step, view.log_tail) == ("running", "host-w1", 5.0, "tail")
