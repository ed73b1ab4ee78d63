"""Jobs granted ahead: more than an offer holds, of one function, taking no room of their own."""

from __future__ import annotations

from collections import Counter

import pytest

from copernicus.model.shares import ProjectShare
from copernicus.protocol import Ahead
from support.scheduling import Desk, offer, spec

MORE = (Ahead("test.run", 3),)


@pytest.fixture
def desk():
    return Desk()


def submit(desk, count, **more):
    for number in range(1, count + 1):
        desk.submit(f"p.a{number}", spec(f"k{number}", checkpoint=False, **more))


def names(found):
    return [one.job for one in found]


def test_as_many_more_as_were_asked_for_in_order(desk):
    submit(desk, 6)
    assert names(desk.lease(ahead=MORE)) == ["p.a1", "p.a2", "p.a3", "p.a4"]
    assert names(desk.lease("w2")) == ["p.a5"]


def test_none_of_another_function(desk):
    submit(desk, 3)
    assert names(desk.lease(ahead=(Ahead("test.other", 3),))) == ["p.a1"]


def test_without_a_free_core_they_can_still_be_asked_for(desk):
    submit(desk, 3)
    desk.lease()
    assert names(desk.lease(offered=offer(0), ahead=MORE)) == ["p.a2", "p.a3"]


def test_they_tell_their_cores_but_hold_none(desk):
    submit(desk, 3, cores=2)
    first, second, third = desk.lease(offered=offer(2), ahead=MORE)
    assert [one.cores for one in (first, second, third)] == [2, 2, 2]
    assert desk.complete(second) == "accepted"
    assert desk.complete(first) == "accepted"


def test_the_same_request_is_granted_the_same(desk):
    submit(desk, 4)
    first = desk.lease(request="r", ahead=MORE)
    assert len(first) == 4
    assert desk.lease(request="r", ahead=MORE) == first
    desk.restart()
    assert desk.lease(request="r", ahead=MORE) == first


def test_what_is_handed_back_is_another_workers_at_once_and_costs_nothing(desk):
    submit(desk, 2)
    _, second = desk.lease(ahead=MORE)
    desk.stop(second)
    again = desk.one("w2")
    assert (again.job, again.number) == ("p.a2", 2)


def test_a_worker_that_is_lost_loses_them_all_and_none_counts_as_a_loss(desk):
    submit(desk, 3)
    desk.lease(ahead=MORE)
    desk.pass_time(121)
    assert names(desk.lease("w2", offer(3))) == ["p.a1", "p.a2", "p.a3"]


def test_there_is_a_most(desk):
    submit(desk, 300)
    assert len(desk.lease(ahead=(Ahead("test.run", 10_000),))) == 257


def test_none_from_a_project_on_hold(desk):
    submit(desk, 3)
    desk.scheduler.set_on_hold("p", on_hold=True)
    assert desk.lease(ahead=MORE) == []


def test_projects_share_what_goes_ahead_as_they_share_the_rest(desk):
    """Who came first does not get all of it; weights count."""
    for project in ("p", "q"):
        for number in range(1, 10):
            desk.submit(f"{project}.a{number}", spec(f"{project}{number}", checkpoint=False))
    desk.scheduler.set_share("q", ProjectShare(weight=2.0))
    found = desk.lease(offered=offer(3), ahead=(Ahead("test.run", 6),))
    assert [one.ahead for one in found] == [False] * 3 + [True] * 6
    assert Counter(one.project for one in found) == {"p": 3, "q": 6}


def test_what_is_urgent_goes_ahead_first(desk):
    submit(desk, 3)
    desk.submit("p.a9", spec("k9", checkpoint=False, priority=1))
    desk.lease("w2", offer(1))
    desk.lease(offered=offer(1))
    desk.submit("p.a8", spec("k8", checkpoint=False, priority=1))
    assert names(desk.lease("w2", offer(1), ahead=MORE)) == ["p.a8", "p.a2", "p.a3"]
