"""Lending: whom a server asks for which worker, and two queues that lend to one another."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copernicus.model.jobs import AttemptRecord
from copernicus.protocol import Ahead, Beat, LeaseRequest
from copernicus.scheduling.lending import (
    HOP_LIMIT,
    LENT_RETRIES,
    LENT_SHARE,
    STALE_S,
    Idle,
    Lender,
    Lent,
    checkpoint_of,
    core_seconds,
    may_pass,
    patience_of,
    plan,
    record_of,
    refused_to,
    result_of,
    taken,
)
from copernicus.scheduling.rows import AttemptRow
from copernicus.scheduling.settings import SchedulerSettings
from copernicus.scheduling.workers import WorkerInfo
from support.scheduling import Desk, offer, spec

SERVERS = st.sampled_from("abcdefg")
VIAS = st.lists(SERVERS, max_size=6, unique=True).map(tuple)
AHEAD = st.lists(st.builds(Ahead, st.sampled_from("fgh"), st.integers(1, 9)), max_size=2)
IDLE = st.builds(Idle, st.text(max_size=3), st.integers(0, 8).map(offer), VIAS, AHEAD.map(tuple))
LENDERS = st.builds(Lender, SERVERS, st.integers(-2, 2), st.none() | st.integers(0, 6))
PEERS = st.lists(LENDERS, max_size=6, unique_by=lambda one: one.peer)


@given(
    SERVERS,
    st.lists(IDLE, max_size=8),
    st.lists(LENDERS, max_size=6, unique_by=lambda one: one.peer),
    st.integers(0, 5),
)
def test_nobody_is_asked_twice_in_a_row_of_servers_nor_for_more_than_they_may_have(
    own, idle, lenders, most
):
    rooms = {one.peer: one.room for one in lenders}
    priorities = {one.peer: one.priority for one in lenders}
    found = plan(own, idle, lenders, most)
    assert len(found) <= most
    for asks in found:
        for ask in asks:
            assert ask.via[-1] == own
            assert ask.peer not in ask.via
            assert len(set(ask.via)) == len(ask.via) <= HOP_LIMIT
            assert ask.offer.cores > 0
            room = rooms[ask.peer]
            assert room is None or ask.offer.cores <= room
        order = [priorities[ask.peer] for ask in asks]
        assert order == sorted(order, reverse=True)


@given(SERVERS, IDLE, st.lists(LENDERS, max_size=6, unique_by=lambda one: one.peer))
def test_short_jobs_are_asked_for_ahead_but_not_of_who_limits_cores(own, one, lenders):
    rooms = {each.peer: each.room for each in lenders}
    # What a peer asks for it has doubled itself.
    times = 1 if one.via else 2
    wanted = [(each.function, times * each.count) for each in one.ahead]
    for ask in [ask for asks in plan(own, [one], lenders, 1) for ask in asks]:
        if rooms[ask.peer] is not None:
            assert ask.ahead == ()
        else:
            assert [(each.function, each.count) for each in ask.ahead] == wanted


@given(st.booleans(), st.floats(0.1, 100.0))
def test_what_came_ahead_waits_no_longer_than_other_jobs(ahead, usual):
    lent = Lent("lent-x.a1-1", "peer", "p.a1#1", "p", ("peer",), 1, 10.0, ahead=ahead)
    assert patience_of(lent, usual) == (min(usual, STALE_S) if ahead else usual)


@given(SERVERS, st.dictionaries(st.text(min_size=1, max_size=3), VIAS, max_size=5))
def test_a_job_may_come_in_just_where_it_is_not_refused(peer, lent):
    refused = refused_to(peer, lent)
    for name, via in lent.items():
        here = "z"
        passed = (*via, here)
        assert (name in refused) == (not may_pass(peer, passed))


class Hop:
    """A queue that works for another one, message by message, as the relay does."""

    def __init__(self, name: str, above: Desk, via: tuple[str, ...], lease_s: float = 10.0) -> None:
        self.desk = Desk(SchedulerSettings(lease_s=lease_s))
        self.desk.now = above.now
        self.name, self.above, self.via = name, above, via
        self.lent: Lent | None = None
        self.seq = 0

    def borrow(self) -> None:
        asked = LeaseRequest(f"{self.name}{self.above.now}", offer())
        info = WorkerInfo(self.name, self.name, peer=True)
        (given_,) = self.above.scheduler.lease(info, asked, self.above.now)
        self.above.save()
        losses = self.above.scheduler.job_row(given_.job).losses
        given_ = msgspec.structs.replace(given_, via=self.via, losses=losses)
        self.lent, row, line = taken("above", given_)
        scheduler = self.desk.scheduler
        scheduler.set_share(self.lent.lent_project, LENT_SHARE)
        scheduler.set_retries(self.lent.lent_project, LENT_RETRIES)
        scheduler.adopt([row], [], [line] if line else [], self.desk.now)
        self.desk.save()

    def pass_on(self) -> None:
        """A sign of life, the newest checkpoint, and the end if there is one."""
        assert self.lent is not None
        scheduler, job = self.desk.scheduler, self.lent.job
        row = scheduler.job_row(job)
        self.seq += 2
        beat = Beat(self.lent.attempt, self.seq, losses=row.losses)
        self.above.scheduler.heartbeat(self.name, [beat], self.above.now)
        newest, last = scheduler.newest_checkpoint(job), None
        if newest is not None and newest.job == job:
            last = checkpoint_of(self.lent, newest, self.seq - 1, scheduler.parts_of(job))
        if row.state in ("done", "failed"):
            attempts = scheduler.attempt_rows(job)
            self.seq += 1
            made = result_of(self.lent, row, attempts, last, self.seq)
            self.above.scheduler.result(self.name, made, self.above.now)
        elif last is not None:
            self.above.scheduler.checkpoint(self.name, last, self.above.now)
        self.above.save()

    def lose_a_worker(self, worker: str) -> None:
        given_ = self.desk.one(worker)
        self.desk.beat(given_, worker)
        self.desk.now += 11.0
        self.desk.scheduler.tick(self.desk.now)
        self.desk.save()


def test_case_11a_a_poison_job_lent_over_two_hops_kills_at_most_its_bound_of_workers() -> None:
    top = Desk(SchedulerSettings(lease_s=1e6, avoid_s=0.0, backoff_max_s=1.0))
    job = top.submit("p.a1", spec(key="k", worker_losses=3))
    killed = 0
    while top.scheduler.job_row(job).state not in ("done", "failed"):
        middle = Hop("middle", top, ("top",), lease_s=1e6)
        middle.borrow()
        far = Hop("far", middle.desk, ("top", "mid"))
        far.borrow()
        for _ in range(2):
            if far.desk.scheduler.job_row(far.lent.job).state != "queued":
                break
            far.lose_a_worker(f"w{killed}")
            killed += 1
            far.pass_on()
            middle.pass_on()
            far.desk.now += 4000.0
            far.desk.scheduler.tick(far.desk.now)
        # What is left of the two servers is forgotten: the job goes back as after a long silence.
        top.now += 1e4
        if top.scheduler.job_row(job).state == "leased":
            top.scheduler.take_back("middle", top.now)
            top.save()
    assert top.scheduler.job_row(job).state == "failed"
    assert killed == 4
    (end,) = top.ends[job]
    assert end.failure.cause == "worker_lost"


def test_another_worker_of_the_peer_goes_on_and_parts_never_collide() -> None:
    top = Desk(SchedulerSettings(lease_s=1e6))
    job = top.submit("p.a1", spec(key="k"))
    hop = Hop("hop", top, ("top",))
    hop.borrow()
    first = hop.desk.one("w1")
    assert first.part == 1
    hop.desk.checkpoint(first, 10.0, "w1")
    hop.pass_on()
    hop.desk.now += 11.0
    hop.desk.scheduler.tick(hop.desk.now)
    second = hop.desk.one("w2")
    assert (second.part, second.checkpoint.step) == (2, 10.0)
    hop.desk.checkpoint(second, 20.0, "w2")
    hop.pass_on()
    (attempt,) = top.scheduler.attempt_rows(job)
    assert (attempt.state, attempt.checkpoint.step) == ("live", 20.0)
    top.scheduler.take_back("hop", top.now)
    top.save()
    again = top.one("w9")
    assert (again.part, again.checkpoint.step) == (3, 20.0)


def test_a_failure_of_the_job_itself_is_its_own_servers_business() -> None:
    top = Desk(SchedulerSettings(lease_s=1e6))
    job = top.submit("p.a1", spec(key="k", job_errors=2))
    hop = Hop("hop", top, ("top",))
    hop.borrow()
    hop.desk.fail(hop.desk.one("w1"), "job_error", "w1")
    assert hop.desk.scheduler.job_row(hop.lent.job).state == "failed"
    hop.pass_on()
    row = top.scheduler.job_row(job)
    assert (row.state, row.errors, row.last_failure.reason) == ("queued", 1, "the program failed")


@pytest.mark.parametrize(("begun", "losses"), [(False, 0), (True, 1)])
def test_a_job_is_lost_with_its_peer_only_if_a_worker_there_had_begun_it(begun, losses) -> None:
    top = Desk(SchedulerSettings(lease_s=10.0))
    job = top.submit("p.a1", spec(key="k"))
    hop = Hop("hop", top, ("top",))
    hop.borrow()
    top.now += 6.0
    beat = Beat(hop.lent.attempt, 1, begun=begun)
    top.scheduler.heartbeat("hop", [beat], top.now)
    # The lease goes on either way.
    top.now += 6.0
    top.scheduler.tick(top.now)
    assert top.scheduler.job_row(job).state == "leased"
    top.now += 6.0
    top.scheduler.tick(top.now)
    row = top.scheduler.job_row(job)
    assert (row.state, row.losses, row.backoff_s) == ("queued", losses, 0.0)


def test_own_work_goes_first() -> None:
    top = Desk(SchedulerSettings(lease_s=1e6))
    top.submit("p.a1", spec(key="k", priority=1_000_000))
    hop = Hop("hop", top, ("top",))
    hop.borrow()
    hop.desk.submit("own.a1", spec(key="o", priority=-5))
    assert hop.desk.one("w1").project == "own"
    assert hop.desk.one("w2").project == hop.lent.lent_project


def test_a_wide_job_is_not_kept_for_a_peer_that_offers_its_workers_one_by_one() -> None:
    top = Desk(SchedulerSettings(lease_s=1e6, reserve_after_s=10.0))
    top.submit("p.a1", spec(key="wide", cores=8))
    top.submit("p.a2", spec(key="n1"))
    top.submit("p.a3", spec(key="n2"))
    top.submit("p.a4", spec(key="n3"))
    peer = WorkerInfo("peer", "peer", peer=True)
    for number in range(3):
        top.now += 100.0
        asked = LeaseRequest(f"r{number}", offer(4, max_jobs=1))
        (found,) = top.scheduler.lease(peer, asked, top.now)
        assert found.job == f"p.a{number + 2}"
        top.save()


def test_nobody_is_charged_for_more_than_the_time_they_had_it() -> None:
    assert core_seconds(None, 4, 10.0) == 0.0
    record = result_record(100.0)
    assert core_seconds(record, 4, 1e9) == 400.0
    assert core_seconds(record, 4, 50.0) == 200.0
    assert core_seconds(result_record(-5.0), 4, 50.0) == 0.0


def test_attempts_that_overlap_take_no_longer_than_all_of_them_together() -> None:
    """Else the lender, who bounds the time by that of its lease, has other books."""

    def heard(number: int, started: float, ended: float) -> AttemptRow:
        return AttemptRow(
            "l.a1", number, "w", "", "ended", started=started, ended=ended, heard=True
        )

    lent = Lent("l.a1", "peer", "p.a1#1", "p", ("peer",), 2, 1.0)
    after = record_of(lent, [heard(1, 100.0, 110.0), heard(2, 150.0, 170.0)], "completed")
    beside = record_of(lent, [heard(1, 100.0, 160.0), heard(2, 130.0, 170.0)], "completed")
    assert after is not None
    assert beside is not None
    assert core_seconds(after, 2, 1e9) == 2 * 30.0
    assert core_seconds(beside, 2, 1e9) == 2 * 70.0


def result_record(took: float) -> AttemptRecord:
    return AttemptRecord(1, "w", started=1000.0, ended=1000.0 + took)


def test_a_job_that_is_here_already_is_taken_over_to_the_end_of_the_queue():
    desk = Desk()
    for job in ("p.a1", "p.a2", "p.a3"):
        desk.submit(job, spec(key=job))
    row = desk.scheduler.job_row("p.a1")
    desk.scheduler.adopt([row], [], [], desk.now)
    desk.save()
    assert [desk.one(f"w{number}").job for number in range(3)] == ["p.a2", "p.a3", "p.a1"]
