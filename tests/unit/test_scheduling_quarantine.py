"""Workers on which everything fails are set aside; jobs that kill workers run alone."""

from __future__ import annotations

import pytest

from copernicus.errors import NotAllowed
from copernicus.protocol import ResultRequest
from copernicus.scheduling.settings import SchedulerSettings
from support.scheduling import Desk, offer, spec


@pytest.fixture
def desk():
    return Desk(SchedulerSettings(quarantine_s=300.0, quarantine_max_s=1000.0))


def fail_on(desk, worker, count, cause="infrastructure", first=1):
    """So many jobs fail there, one after the other."""
    for number in range(first, first + count):
        desk.submit(f"p.a{number}", spec(f"p.a{number}"))
        desk.fail(desk.one(worker), cause, worker=worker)


def test_a_worker_on_which_more_than_three_jobs_failed_is_set_aside(desk):
    fail_on(desk, "w1", 3)
    assert desk.scheduler.aside("w1") is None
    fail_on(desk, "w1", 1, first=4)
    aside = desk.scheduler.aside("w1")
    assert aside.until == desk.now + 300
    assert aside.why == "4 jobs failed there, the last: the program failed"
    desk.pass_time(299)
    assert desk.lease("w1") == []
    assert desk.lease("w2") != []


def test_the_same_job_again_and_again_is_one_failure(desk):
    desk.submit()
    for _ in range(6):
        desk.fail(desk.one("w1"), "infrastructure")
        desk.pass_time(600)
    assert desk.scheduler.aside("w1") is None


def test_failures_that_are_long_ago_do_not_count(desk):
    fail_on(desk, "w1", 3)
    desk.pass_time(601)
    desk.lease("w2", offer(4))
    fail_on(desk, "w1", 1, first=9)
    assert desk.scheduler.aside("w1") is None


def test_a_worker_that_does_some_things_well_is_kept(desk):
    fail_on(desk, "w1", 3)
    desk.submit("p.good", spec("p.good"))
    desk.complete(desk.one("w1"))
    fail_on(desk, "w1", 3, first=5)
    assert desk.scheduler.aside("w1") is None


def test_the_time_aside_doubles_until_something_succeeds(desk):
    fail_on(desk, "w1", 4)
    seconds = []
    for number in (11, 12, 13):
        aside = desk.scheduler.aside("w1")
        seconds.append(aside.until - desk.now)
        desk.pass_time(seconds[-1])
        desk.lease("w2", offer(20))
        for job in (number, number + 100):
            desk.submit(f"p.a{job}", spec(f"p.a{job}"))
        on_trial = desk.lease("w1", offer(4))
        assert len(on_trial) == 1, "one job at a time shows whether it is well again"
        assert desk.lease("w1", offer(3)) == []
        desk.fail(on_trial[0], "infrastructure", worker="w1")
    assert seconds == [300, 600, 1000]
    desk.pass_time(1000)
    desk.complete(desk.lease("w1", offer(1))[0], worker="w1")
    desk.pass_time(1000)
    assert len(desk.lease("w1", offer(2))) == 2


def test_a_restart_ends_no_time_aside_and_no_trial(desk):
    fail_on(desk, "w1", 4)
    aside = desk.scheduler.aside("w1")
    desk.restart()
    assert desk.scheduler.aside("w1") == aside
    assert desk.lease("w1") == []
    desk.pass_time(300)
    desk.restart()
    assert desk.scheduler.aside("w1") is None
    desk.lease("w2", offer(20))
    for job in ("p.b1", "p.b2"):
        desk.submit(job, spec(job))
    (on_trial,) = desk.lease("w1", offer(4))
    desk.fail(on_trial, "infrastructure", worker="w1")
    assert desk.scheduler.aside("w1").until == desk.now + 600
    desk.restart()
    assert desk.scheduler.trust_again("w1")
    desk.save()
    desk.restart()
    assert desk.scheduler.aside("w1") is None
    desk.submit("p.b3", spec("p.b3"))
    assert len(desk.lease("w1", offer(2))) == 2, "no trial any more"


def test_a_clock_that_was_set_back_makes_no_time_aside_longer_than_the_longest(desk):
    fail_on(desk, "w1", 4)
    desk.now -= 1_000_000
    desk.restart()
    assert desk.scheduler.aside("w1").until == desk.now + 1000


def forge(desk, worker, *attempts):
    for attempt in attempts:
        with pytest.raises(NotAllowed):
            desk.scheduler.result(worker, ResultRequest(attempt, 1, "completed"), desk.now)
    desk.save()


def test_fault_37_at_the_third_false_report_a_worker_is_set_aside(desk):
    desk.submit()
    taken = desk.one("w1").attempt
    forge(desk, "thief", taken, "p.a1#2")
    assert desk.scheduler.aside("thief") is None
    forge(desk, "thief", taken)
    assert "never given to it" in desk.scheduler.aside("thief").why
    desk.submit("p.a2", spec("p.a2"))
    assert desk.lease("thief") == []
    desk.restart()
    assert desk.lease("thief") == []
    assert desk.scheduler.aside("w1") is None


def test_false_reports_that_are_long_ago_do_not_count(desk):
    desk.submit()
    taken = desk.one("w1").attempt
    forge(desk, "w2", taken, taken)
    desk.pass_time(601)
    forge(desk, "w2", taken, taken)
    assert desk.scheduler.aside("w2") is None


def test_reports_on_work_that_is_gone_are_made_in_good_faith(desk):
    forge(desk, "w1", *(f"p.gone{n}#1" for n in range(5)))
    assert desk.scheduler.aside("w1") is None


def test_the_end_of_the_time_aside_wakes_who_waits_for_work(desk):
    fail_on(desk, "w1", 4)
    before = desk.scheduler.arrivals
    aside = desk.scheduler.aside("w1")
    for _ in range(20):
        due = desk.scheduler.next_wake(desk.now)
        desk.pass_time(due - desk.now)
        if due == aside.until:
            break
    assert due == aside.until
    assert desk.scheduler.arrivals > before


def test_errors_of_jobs_count_only_where_another_worker_could_have_run_them(desk):
    fail_on(desk, "w1", 8, "job_error")
    assert desk.scheduler.aside("w1") is None
    desk = Desk()
    desk.lease("w2", offer(1))
    fail_on(desk, "w1", 4, "job_error")
    assert desk.scheduler.aside("w1") is not None


def test_a_job_that_fails_elsewhere_too_is_to_blame_itself(desk):
    desk.lease("w2", offer(1))
    fail_on(desk, "w1", 4, "job_error")
    assert desk.scheduler.aside("w1") is not None
    desk.pass_time(5)
    retried = desk.lease("w2", offer(4))
    assert len(retried) == 4
    desk.fail(retried[0], "job_error", worker="w2")
    assert desk.scheduler.aside("w1") is None, "three are left: not enough"
    for found in retried[1:]:
        desk.fail(found, "job_error", worker="w2")
    assert desk.scheduler.aside("w2") is None


def test_what_is_permanent_or_the_checkpoint_s_fault_does_not_count(desk):
    for number in range(6):
        desk.submit(f"p.a{number}", spec(f"p.a{number}"))
        desk.fail(desk.one("w1"), "infrastructure", verdict="permanent")
    assert desk.scheduler.aside("w1") is None


def test_a_person_can_trust_it_again(desk):
    fail_on(desk, "w1", 4)
    assert desk.scheduler.trust_again("w1")
    assert not desk.scheduler.trust_again("w1")
    desk.pass_time(600)
    assert len(desk.lease("w1", offer(4))) == 4


def test_why_a_job_waits_tells_of_it(desk):
    fail_on(desk, "w1", 4)
    desk.submit("p.next")
    said = desk.scheduler.explain("p.next")
    assert said.startswith("no worker with md takes work: host-w1 is set aside for 300 s more (4 ")
    desk.lease("w2", offer(0))
    assert "host-w1 is set aside for 300 s more" in desk.scheduler.explain("p.next")


def lose(desk, times, job="p.a1", worker="w"):
    """The job is lost with its worker, so many times."""
    for number in range(times):
        found = next(a for a in desk.lease(f"{worker}{number}", offer(1)) if a.job == job)
        desk.beat(found, worker=f"{worker}{number}")
        desk.pass_time(121)
        desk.pass_time(10)


def test_a_job_that_loses_its_workers_fails_at_the_fifth_and_waits_longer_each_time(desk):
    desk.submit("p.a1", spec(worker_losses=4))
    waits = []
    for number in range(5):
        found = desk.one(f"w{number}")
        desk.beat(found, worker=f"w{number}")
        desk.pass_time(121)
        row = desk.scheduler.job_row("p.a1")
        waits.append(row.backoff_s)
        if row.state == "queued":
            said = desk.scheduler.explain("p.a1")
            assert f"it has lost {number + 1} worker" in said
            assert "fails at 5" in said
            desk.pass_time(row.backoff_s)
    assert waits[:4] == [0.0, 5.0, 10.0, 20.0]
    assert desk.state() == "failed"
    assert desk.ends["p.a1"][0].failure.cause == "worker_lost"


def test_a_lost_job_does_not_go_back_to_the_worker_that_was_lost(desk):
    desk.submit()
    desk.beat(desk.one("w1"))
    desk.pass_time(121)
    desk.lease("w2", offer(1, program="other"))
    assert desk.scheduler.job_row("p.a1").avoid == ("w1",)
    desk.submit("p.busy", spec("p.busy"))
    desk.pass_time(1)
    assert {found.job for found in desk.lease("w3", offer(1))} == {"p.a1"}


def test_a_job_that_lost_two_workers_runs_alone(desk):
    desk.submit()
    lose(desk, 2)
    for name in ("p.b1", "p.b2"):
        desk.submit(name, spec(name))
    busy = desk.lease("w7", offer(1))
    assert [found.job for found in busy] == ["p.a1"], "it was idle"
    assert desk.lease("w7", offer(3)) == [], "nobody else beside it"
    assert {found.job for found in desk.lease("w8", offer(4))} == {"p.b1", "p.b2"}
    desk.complete(busy[0], worker="w7")
    desk.submit("p.b3", spec("p.b3"))
    assert len(desk.lease("w7", offer(4))) == 1


def test_a_suspect_that_waits_long_gets_a_worker_emptied_for_it(desk):
    desk.submit()
    lose(desk, 2)
    desk.submit("p.b1", spec("p.b1", priority=1))
    (busy,) = desk.lease("w9", offer(1))
    assert busy.job == "p.b1"
    desk.submit("p.b2", spec("p.b2"))
    (second,) = desk.lease("w9", offer(1))
    assert second.job == "p.b2", "the suspect waits for an idle worker"
    row = desk.scheduler.job_row("p.a1")
    while desk.now - row.queued < desk.settings.reserve_after_s:
        desk.pass_time(60)
        desk.beat(busy, worker="w9")
        desk.beat(second, worker="w9")
    desk.submit("p.b3", spec("p.b3"))
    assert desk.lease("w9", offer(2)) == [], "it is being emptied"
    desk.complete(busy, worker="w9")
    assert desk.lease("w9", offer(3)) == []
    desk.complete(second, worker="w9")
    assert [found.job for found in desk.lease("w9", offer(4))] == ["p.a1"]
