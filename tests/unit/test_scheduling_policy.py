"""The retry policy: of the function, of the project, and by what was printed."""

from __future__ import annotations

import msgspec
import pytest

from copernicus.errors import BadValue
from copernicus.model.jobs import Failure
from copernicus.model.retries import FailurePattern, ProjectRetries, changed
from copernicus.worker.verdict import judged
from support.scheduling import Desk, spec


@pytest.fixture
def desk():
    return Desk()


def again(desk):
    desk.pass_time(max(0.0, (desk.scheduler.next_wake(desk.now) or desk.now) - desk.now))


def test_what_is_permanent_is_not_tried_again(desk):
    desk.submit()
    desk.fail(desk.one(), verdict="permanent")
    assert desk.state() == "failed"
    assert len(desk.ends["p.a1"][0].attempts) == 1


def test_what_is_transient_does_not_count_as_the_job_s_own_error(desk):
    desk.submit("p.a1", spec(job_errors=0))
    for _ in range(5):
        desk.fail(desk.one(), verdict="transient")
        again(desk)
    row = desk.scheduler.job_row("p.a1")
    assert (row.state, row.errors, row.troubles) == ("queued", 0, 5)


def test_failures_of_machines_come_to_an_end_that_tells_how_many_there_were(desk):
    desk.submit()
    desk.scheduler.set_retries("p", ProjectRetries(troubles=3))
    for _ in range(3):
        desk.fail(desk.one(), "infrastructure")
        again(desk)
    desk.fail(desk.one(), "infrastructure")
    failure = desk.ends["p.a1"][0].failure
    assert failure.reason == (
        "the program failed (the last of 4 failures that were not the job's own)"
    )
    assert "cpc worker list" in failure.remedy


def test_a_project_s_numbers_hold_for_what_is_in_the_queue_already(desk):
    desk.submit()
    desk.fail(desk.one())
    desk.scheduler.set_retries("p", ProjectRetries(job_errors=1, backoff_s=1.0, backoff_max_s=2.0))
    again(desk)
    desk.fail(desk.one())
    assert desk.state() == "failed"


def test_a_project_s_wait_and_its_longest(desk):
    desk.submit()
    desk.scheduler.set_retries("p", ProjectRetries(job_errors=9, backoff_s=1.0, backoff_max_s=3.0))
    waits = []
    for _ in range(4):
        desk.fail(desk.one())
        waits.append(desk.scheduler.job_row("p.a1").backoff_s)
        again(desk)
    assert waits == [1.0, 2.0, 3.0, 3.0]


def test_workers_are_given_the_patterns_of_project_and_function(desk):
    desk.submit("q.a1", spec())
    desk.scheduler.set_retries("q", ProjectRetries(permanent=(FailurePattern((2,)),)))
    assert desk.one().spec.permanent == (FailurePattern((2,)),)


@pytest.mark.parametrize(
    ("code", "log", "verdict"),
    [
        (2, "", "permanent"),
        (1, "disk quota exceeded", ""),
        (3, "some\nCUDA error 700\nmore", "transient"),
        (1, "some\nCUDA error 700\nmore", "transient"),
        (2, "CUDA error 700", "permanent"),
        (4, "no license", ""),
        (5, "no license", "transient"),
    ],
)
def test_verdicts_by_exit_code_and_log(code, log, verdict):
    ruled = {
        "permanent": (FailurePattern((2,)),),
        "transient": (
            FailurePattern(log=r"^CUDA error \d+$"),
            FailurePattern((5, 6), "no license"),
        ),
    }
    job = msgspec.structs.replace(spec(), **ruled)
    assert judged(Failure("it failed", exit_code=code), job, log).verdict == verdict
    lost = Failure("gone", "worker_lost", exit_code=code)
    assert judged(lost, job, log).verdict == ""


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"job_errors": -1}, "job_errors is -1"),
        ({"backoff_max_s": 0}, "backoff_max_s is 0"),
        ({"permanent": [{"log": "("}]}, "no regular expression"),
        ({"transient": [{}]}, "would fit everything"),
        ({"transient": [{"logs": "x"}]}, "logs"),
        ({"tries": 3}, "no 'tries'"),
        ({"job_errors": "many"}, "retries:"),
    ],
)
def test_what_cannot_be_followed_is_refused(fields, message):
    with pytest.raises(BadValue, match=message.replace("(", r"\(")):
        changed(ProjectRetries(), fields)


def test_settings_are_taken_back_one_by_one():
    first = changed(ProjectRetries(), {"job_errors": 5, "permanent": [{"exit_codes": [2]}]})
    assert first.permanent == (FailurePattern((2,)),)
    assert changed(first, {"job_errors": None}) == ProjectRetries(permanent=first.permanent)
    assert changed(first, {"permanent": []}) == ProjectRetries(job_errors=5)
