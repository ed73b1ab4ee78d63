"""Submitting, cancelling, pausing, extending."""

from __future__ import annotations

import pytest

from support.scheduling import Desk, offer, spec


@pytest.fixture
def desk():
    return Desk()


def test_submit_and_cancel_in_either_order_never_run(desk):
    desk.cancel("p.a1", version=2)
    desk.submit("p.a1", version=1)
    desk.submit("p.a2", version=1)
    desk.cancel("p.a2", version=2)
    assert desk.lease("w1", offer(8)) == []
    assert [stop.version for stop in desk.stops["p.a1"]] == [2]
    assert desk.stops["p.a2"][0].activation == "a2"


def test_submitting_again_changes_nothing(desk):
    desk.submit()
    desk.submit()
    assert len(desk.lease("w1", offer(8))) == 1
    desk.submit()
    assert desk.lease("w1", offer(8)) == []


def test_a_cancelled_attempt_gives_its_last_checkpoint(desk):
    desk.submit()
    found = desk.one()
    desk.cancel()
    assert desk.state() == "cancelled"
    assert desk.beat(found) == "stop"
    assert desk.stop(found, step=70.0) == "accepted"
    assert desk.beat(found) == "discard"
    desk.submit("p.a2", spec("p.a1"))
    assert desk.one().checkpoint.step == 70.0


def test_without_checkpoint_it_is_discarded(desk):
    desk.submit()
    found = desk.one()
    desk.cancel(checkpoint=False)
    assert desk.beat(found) == "discard"


def test_a_result_of_a_cancelled_job_is_still_told(desk):
    desk.submit()
    found = desk.one()
    desk.cancel()
    assert desk.complete(found, 7) == "accepted"
    assert desk.complete(found, 7) == "already"
    assert [end.outputs for end in desk.ends["p.a1"]] == [{"out": 7}]
    assert desk.state() == "cancelled"


def test_a_cancelled_job_wanted_again_goes_on_where_it_is(desk):
    desk.submit()
    found = desk.one()
    desk.cancel(version=2)
    desk.submit(version=3)
    assert desk.beat(found) == "go"
    assert desk.complete(found) == "accepted"
    assert desk.state() == "done"


def test_an_extension_waits_for_the_last_checkpoint(desk):
    desk.submit("p.a1", spec("k", limit=1000))
    parent = desk.one()
    desk.checkpoint(parent, 100.0)
    desk.cancel()
    desk.submit("p.a2", spec("k", limit=2000), parent="a1")
    assert desk.lease("w2") == []
    assert "last checkpoint of job p.a1" in desk.scheduler.explain("p.a2")
    desk.stop(parent, step=900.0)
    child = desk.one("w2")
    assert (child.checkpoint.step, child.part) == (900.0, 2)


def test_an_extension_waits_no_longer_than_the_lease(desk):
    desk.submit("p.a1", spec("k"))
    desk.checkpoint(desk.one(), 100.0)
    desk.cancel()
    desk.submit("p.a2", spec("k"), parent="p.a1")
    desk.restart()
    assert desk.lease("w2") == []
    desk.pass_time(121)
    assert desk.one("w2").checkpoint.step == 100.0


def test_no_checkpoint_beyond_the_limit_is_used(desk):
    desk.submit("p.a1", spec("k", limit=2000))
    found = desk.one()
    for step in (500.0, 1000.0, 1500.0):
        desk.checkpoint(found, step)
    assert len(desk.scheduler.take_dropped()) == 1
    desk.cancel()
    desk.stop(found)
    desk.submit("p.a2", spec("k", limit=1200))
    middle = desk.one()
    assert middle.checkpoint.step == 1000.0
    desk.cancel("p.a2", checkpoint=False)
    desk.submit("p.a3", spec("k", limit=400))
    shorter = desk.one()
    assert shorter.checkpoint is None
    desk.checkpoint(shorter, 200.0)
    desk.checkpoint(shorter, 300.0)
    desk.stop(shorter)
    assert desk.one().checkpoint.step == 300.0


def test_a_paused_project_is_not_offered(desk):
    desk.submit()
    desk.submit("p.a2", on_hold=True)
    desk.submit("q.a1")
    desk.scheduler.set_on_hold("p", True)
    assert [found.project for found in desk.lease("w1", offer(8))] == ["q"]
    assert desk.scheduler.explain("p.a1") == "its project is paused"
    desk.scheduler.set_on_hold("p", False)
    desk.save()
    assert len(desk.lease("w1", offer(8))) == 2


def test_an_end_is_told_again_to_an_engine_that_asks_again(desk):
    desk.submit()
    desk.complete(desk.one(), 1)
    desk.submit()
    assert len(desk.ends["p.a1"]) == 2
