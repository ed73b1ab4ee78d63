"""Checkpoints that are at fault are given up, and the work goes on from the one before."""

from __future__ import annotations

import pytest

from support.scheduling import Desk, spec


@pytest.fixture
def desk():
    return Desk()


def two_checkpoints(desk):
    """A job that has left two checkpoints, and is in the queue again."""
    desk.submit("p.a1", spec("p.a1", job_errors=5))
    first = desk.one()
    desk.checkpoint(first, 10.0)
    desk.checkpoint(first, 20.0)
    desk.stop(first)


def test_a_bad_checkpoint_costs_no_try_and_the_one_before_is_given(desk):
    two_checkpoints(desk)
    steps = []
    for _ in range(3):
        found = desk.one()
        steps.append(found.checkpoint.step if found.checkpoint else None)
        if found.checkpoint:
            desk.fail(found, bad_checkpoint=True)
    assert steps == [20.0, 10.0, None]
    row = desk.scheduler.job_row("p.a1")
    assert (row.errors, row.troubles, row.backoff_s) == (0, 0, 0.0)
    assert [ref.step for ref in desk.scheduler.take_dropped()] == [20.0, 10.0]


def test_what_was_given_up_does_not_come_back_after_a_restart(desk):
    two_checkpoints(desk)
    desk.fail(desk.one(), bad_checkpoint=True)
    desk.restart()
    assert desk.one().checkpoint.step == 10.0


def test_a_checkpoint_from_which_a_job_failed_twice_without_coming_further_is_given_up(desk):
    """A damage that nobody notices: the program runs on from it, into an error."""
    two_checkpoints(desk)
    steps = []
    for _ in range(4):
        found = desk.one()
        steps.append(found.checkpoint.step)
        desk.fail(found)
        desk.pass_time(600)
    assert steps == [20.0, 20.0, 10.0, 10.0]
    assert desk.scheduler.job_row("p.a1").errors == 4


def test_a_job_that_came_further_before_it_failed_keeps_its_checkpoint(desk):
    two_checkpoints(desk)
    for step in (30.0, 40.0, 50.0):
        found = desk.one()
        desk.checkpoint(found, step)
        desk.fail(found)
        desk.pass_time(600)
    assert desk.one().checkpoint.step == 50.0


def test_a_failure_without_a_checkpoint_blames_none(desk):
    desk.submit()
    desk.fail(desk.one(), bad_checkpoint=True)
    assert desk.scheduler.job_row("p.a1").errors == 1
