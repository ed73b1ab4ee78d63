"""What must hold of a pool for every demand, every batch system and every whim of its workers."""

from __future__ import annotations

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from copernicus.model.pools import Provision
from copernicus.scheduling.growing import Decision, Situation, Standing, decide, pause_after

PHASES = ("asked", "pending", "starting", "working", "ending")


@st.composite
def provisions(draw):
    most = draw(st.integers(1, 12))
    return Provision(
        "slurm",
        cores=draw(st.integers(1, 8)),
        walltime_s=draw(st.sampled_from([60.0, 600.0, 3600.0])),
        max=most,
        min=draw(st.integers(0, most)),
        idle_s=draw(st.sampled_from([0.0, 10.0, 300.0])),
        max_core_hours=draw(st.sampled_from([0.0, 0.5, 3.0, 100.0])),
    )


@st.composite
def situations(draw):
    asked = draw(provisions())
    standing = tuple(
        Standing(f"a{number}", phase, draw(st.floats(0.0, 1000.0)) if phase == "working" else 0.0)
        for number, phase in enumerate(draw(st.lists(st.sampled_from(PHASES), max_size=asked.max)))
    )
    return Situation(
        asked,
        standing,
        fillable=draw(st.integers(0, 20)),
        spent_core_s=draw(st.floats(0.0, 20_000.0)),
        surplus_s=draw(st.floats(0.0, 1000.0)),
        pause_s=draw(st.sampled_from([-5.0, 0.0, 30.0])),
        scout=draw(st.booleans()),
        leaving=draw(st.booleans()),
    )


def after(now: Situation, decision: Decision) -> Situation:
    """The situation once a decision was carried out, and nothing else has happened."""
    ended = {*decision.cancel, *decision.drain}
    standing = tuple(
        msgspec.structs.replace(one, phase="ending") if one.id in ended else one
        for one in now.standing
    )
    new = tuple(Standing(f"n{number}", "asked") for number in range(decision.start))
    return msgspec.structs.replace(now, standing=standing + new)


@given(situations())
@settings(max_examples=400, deadline=None)
def test_neither_the_number_of_workers_nor_the_cost_is_ever_exceeded(now):
    decision = decide(now)
    then = after(now, decision)
    if decision.start:
        assert len(then.standing) <= now.asked.max
        if now.asked.max_core_hours:
            worst = now.spent_core_s + len(then.standing) * now.asked.core_s
            assert worst <= now.asked.max_core_hours * 3600.0 + 1e-6
        assert now.pause_s <= 0
        assert not now.leaving


@given(situations())
@settings(max_examples=400, deadline=None)
def test_what_was_decided_is_not_decided_again(now):
    """Asked twice about the same demand, it starts nothing twice and cancels nothing twice."""
    first = decide(now)
    second = decide(after(now, first))
    assert second.start == 0 or now.scout, (first, second)
    assert not set(second.cancel) & set(first.cancel)
    assert not set(second.drain) & set(first.drain)


@given(situations())
@settings(max_examples=400, deadline=None)
def test_only_what_can_be_ended_is_ended_and_the_fewest_are_kept(now):
    decision, phase = decide(now), {one.id: one for one in now.standing}
    assert all(phase[one].phase == "working" for one in decision.drain)
    assert all(phase[one].phase in ("pending", "starting") for one in decision.cancel)
    working = sum(one.phase == "working" for one in now.standing)
    if now.leaving:
        assert len(decision.drain) == working
    else:
        assert all(phase[one].idle_s >= now.asked.idle_s for one in decision.drain)
        assert working - len(decision.drain) >= min(working, now.asked.min)


@given(situations())
@settings(max_examples=400, deadline=None)
def test_work_that_could_be_done_starts_a_worker_unless_something_is_said(now):
    decision = decide(now)
    coming = sum(one.phase in ("asked", "pending", "starting") for one in now.standing)
    if now.fillable > coming and not decision.start and not now.leaving:
        assert decision.held_back


@given(st.integers(0, 10_000))
def test_pauses_grow_and_end(failures):
    assert 0.0 <= pause_after(failures) <= pause_after(failures + 1) <= 1800.0
    assert (pause_after(failures) > 0) == (failures > 0)


class PoolLife(RuleBasedStateMachine):
    """A pool in a batch system that starts, delays, kills and times out as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = Provision(
            "slurm", cores=2, max=4, walltime_s=600.0, max_core_hours=2.0, idle_s=30.0
        )
        self.now = 0.0
        self.standing: dict[str, tuple[str, float, float]] = {}  # phase, began, idle since
        self.spent = 0.0
        self.work = 0
        self.surplus_since: float | None = None
        self.number = 0

    @rule(count=st.integers(0, 8))
    def work_changes(self, count: int) -> None:
        self.work = count

    @rule(seconds=st.sampled_from([1.0, 20.0, 100.0, 400.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        for one, (_, began, _) in list(self.standing.items()):
            if began and self.now - began >= self.asked.walltime_s:
                self._end(one, began + self.asked.walltime_s)

    @rule(data=st.data(), phase=st.sampled_from(["pending", "starting", "working"]))
    def the_batch_system_goes_on(self, data, phase: str) -> None:
        moving = [one for one, (at, *_) in self.standing.items() if at not in ("ending", phase)]
        if moving:
            one = data.draw(st.sampled_from(moving))
            _, began, _ = self.standing[one]
            runs = phase in ("starting", "working")
            self.standing[one] = (phase, began or (self.now if runs else 0.0), self.now)

    @rule(data=st.data())
    def one_dies(self, data) -> None:
        if self.standing:
            self._end(data.draw(st.sampled_from(sorted(self.standing))), self.now)

    @rule()
    def it_is_looked_at(self) -> None:
        decision = decide(self._situation())
        self.surplus_since = (self.surplus_since or self.now) if decision.surplus else None
        for one in (*decision.cancel, *decision.drain):
            self._end(one, self.now)
        for _ in range(decision.start):
            self.number += 1
            self.standing[f"a{self.number}"] = ("asked", 0.0, self.now)

    @invariant()
    def within_bounds(self) -> None:
        assert len(self.standing) <= self.asked.max
        taken = self.spent + sum(
            self.asked.cores * (self.now - began) for _, began, _ in self.standing.values() if began
        )
        assert taken <= self.asked.max_core_hours * 3600.0 + 1e-6

    def _situation(self) -> Situation:
        standing = tuple(
            Standing(one, phase, self.now - idle if phase == "working" and not self.work else 0.0)
            for one, (phase, _, idle) in self.standing.items()
        )
        surplus = 0.0 if self.surplus_since is None else self.now - self.surplus_since
        return Situation(self.asked, standing, self.work, self.spent, surplus)

    def _end(self, one: str, at: float) -> None:
        _, began, _ = self.standing.pop(one)
        self.spent += self.asked.cores * (at - began) if began else 0.0


TestPoolLife = PoolLife.TestCase
TestPoolLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
