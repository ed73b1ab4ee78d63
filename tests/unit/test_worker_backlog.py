"""How much a worker asks for ahead, and when."""

from __future__ import annotations

from copernicus.protocol import Ahead
from copernicus.worker.backlog import HORIZON_S, Backlog
from support.worker_server import task_job


def filled(backlog, count):
    for number in range(count):
        backlog.add(task_job(number, "m:f", {}))
    return backlog


def test_nothing_is_asked_for_before_jobs_prove_to_be_short():
    backlog = Backlog(2)
    assert (backlog.wanted(), backlog.is_low) == ((), False)
    backlog.note("m.slow", 10.0)
    assert (backlog.wanted(), backlog.is_low) == ((), False)


def test_as_many_as_fit_the_horizon():
    backlog = Backlog(2)
    backlog.note("m.f", HORIZON_S / 10)
    assert backlog.is_low
    assert backlog.wanted() == (Ahead("m.f", 20),)
    filled(backlog, 5)
    assert backlog.wanted() == (Ahead("m.f", 15),)
    assert backlog.is_low
    filled(backlog, 12)
    assert not backlog.is_low


def test_it_is_bounded():
    backlog = Backlog(64)
    backlog.note("m.f", 0.0)
    assert backlog.wanted() == (Ahead("m.f", 512),)


def test_an_empty_answer_is_not_asked_for_again():
    backlog = Backlog(2)
    backlog.note("m.f", 0.001)
    backlog.found(0)
    assert not backlog.is_low
    backlog.found(1)
    assert backlog.is_low


def test_one_long_job_ends_it():
    backlog = Backlog(2)
    backlog.note("m.f", 0.001)
    backlog.note("m.f", 10.0)
    assert backlog.wanted() == ()


def test_first_in_first_out_and_taken_back_at_once():
    backlog = filled(Backlog(2), 3)
    backlog.note("m.f", 0.001)
    assert "p.a1#1" in backlog
    assert [backlog.pop().attempt, backlog.head.attempt] == ["p.a0#1", "p.a1#1"]
    assert [one.attempt for one in backlog.take_all()] == ["p.a1#1", "p.a2#1"]
    assert (len(backlog), backlog.head, backlog.wanted()) == (0, None, ())
