"""SEMANTICS 9: pauses and budgets."""

from __future__ import annotations

import pytest
from tests.support.world import World, task_spec

from copernicus.errors import BadValue, Conflict
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.jobs import AttemptRecord
from copernicus.model.reports import JobEnded


def mapped(count: int, **limits: float | None) -> World:
    world = World(task_spec("t.double"))
    if limits:
        world.edit(ed.SetBudget(limits))
    world.add("double", "t.double", mapped=["x"], x=list(range(count)))
    return world


def used(hours: float, cores: int = 1) -> tuple[AttemptRecord, ...]:
    return (AttemptRecord(1, "w", cores=cores, started=0.0, ended=hours * 3600),)


def test_case_9a_ten_thousand_elements_trickle_through_a_queue_of_five_thousand() -> None:
    world = mapped(10_000, queued=5_000)
    assert len(world.queue) == 5_000
    widest = 0
    count = 0
    while world.queue:
        widest = max(widest, len(world.queue))
        world.done(next(iter(world.queue)), y=count)
        count += 1
    assert (count, widest) == (10_000, 5_000)
    assert world.standing("double.out.y") == "current"


def test_what_waits_for_a_place_in_the_queue_says_so() -> None:
    world = mapped(3, queued=2)
    assert world.status("double[2]") == "waiting"
    assert "budget" in world.waits_for("double[2]")
    world.done("double[0]", y=1)
    assert world.status("double[2]") == "queued"


def test_places_are_given_in_the_order_of_the_network() -> None:
    world = World(task_spec("t.double"))
    world.edit(ed.SetBudget({"queued": 1}))
    world.add("first", "t.double", mapped=["x"], x=[1, 2])
    world.add("second", "t.double", x=1)
    order = []
    while world.queue:
        activation = next(iter(world.queue))
        order.append(world.state.activations[activation].path)
        world.done(activation, y=0)
    assert order == ["first", "first", "second"]


def test_a_higher_limit_lets_those_that_wait_go() -> None:
    world = mapped(10, queued=2)
    world.edit(ed.SetBudget({"queued": 7}))
    assert len(world.queue) == 7
    world.edit(ed.SetBudget({"queued": None}))
    assert len(world.queue) == 10


def test_a_restart_leaves_what_waits_for_a_place_waiting() -> None:
    world = mapped(10, queued=2)
    world.restart()
    assert len(world.queue) == 2
    assert world.work(lambda _f, inputs: inputs["x"]) == 10
    world.check()


def test_a_rename_does_not_lose_what_waits_for_a_place() -> None:
    world = mapped(5, queued=2)
    world.edit(ed.RenameInstance("double", "twice"))
    assert world.work(lambda _f, inputs: inputs["x"]) == 5


def test_case_9b_a_result_that_would_fire_a_thousand_jobs_past_the_limit_is_accepted() -> None:
    world = World(task_spec("t.list"), task_spec("t.double"))
    world.edit(ed.SetBudget({"queued": 10}))
    world.add("list", "t.list", x=1)
    world.add("double", "t.double", mapped=["x"], x="list.out.y")
    world.done("list", y=list(range(1_000)))
    assert world.standing("list.out.y") == "current"
    assert len(world.queue) == 10
    assert world.work(lambda _f, inputs: inputs["x"]) == 1_000


def test_core_hours_pause_the_project_and_the_result_that_reached_them_counts() -> None:
    world = mapped(3, core_hours=1.0)
    events = world.report(
        JobEnded(world.running("double[0]"), outputs={"y": 1}, attempts=used(0.5, cores=4))
    )
    assert [e.reason for e in events if isinstance(e, ev.PausedSet)]
    assert world.state.paused
    assert "2 core-hours of 1 are used" in world.state.paused_for
    assert "--core-hours 2" in world.state.paused_for
    assert world.value("double.out.y[0]") == 1
    assert world.on_hold


def test_a_spent_budget_is_raised_before_the_project_goes_on() -> None:
    world = mapped(2, core_hours=1.0)
    world.report(JobEnded(world.running("double[0]"), outputs={"y": 1}, attempts=used(2)))
    with pytest.raises(Conflict, match="--core-hours"):
        world.edit(ed.Resume())
    world.edit(ed.SetBudget({"core_hours": 10}), ed.Resume())
    assert not world.state.paused
    assert world.state.paused_for == ""


def test_bytes_of_results_are_counted() -> None:
    world = mapped(2, bytes=1_000)
    file = {"$file": "ab" * 32, "size": 1_500, "name": "a.xtc"}
    world.done("double[0]", y=file)
    assert "1500 bytes of 1000" in world.state.paused_for


def test_instances_are_counted() -> None:
    world = World(task_spec("t.double"))
    world.edit(ed.SetBudget({"instances": 1}))
    world.add("a", "t.double")
    assert not world.state.paused
    world.add("b", "t.double")
    assert "2 instances of 1" in world.state.paused_for
    world.check()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"cores": 3}, "no budget limits 'cores'"),
        ({"bytes": -1}, "negative"),
        ({"queued": 0}, "pause"),
    ],
)
def test_an_impossible_budget_is_refused(limits: dict[str, float | None], said: str) -> None:
    world = World(task_spec("t.double"))
    with pytest.raises(BadValue, match=said):
        world.edit(ed.SetBudget(limits))


def test_a_retry_may_ask_for_other_resources_and_keeps_asking() -> None:
    world = mapped(2)
    world.fails("double[0]")
    world.edit(ed.Retry("double[0]", resources={"memory_mb": 8_000}))
    job = world.queue[world.running("double[0]")].spec
    assert (job.resources.memory_mb, job.resources.cores) == (8_000, 1)
    world.fails("double[0]")
    world.edit(ed.Retry("double[0]", resources={"cores": 4}))
    job = world.queue[world.running("double[0]")].spec
    assert (job.resources.memory_mb, job.resources.cores) == (8_000, 4)
    assert world.queue[world.running("double[1]")].spec.resources.memory_mb == 0
    with pytest.raises(BadValue, match="no resource is called 'ram'"):
        world.edit(ed.Retry("double[0]", resources={"ram": 1}))


def test_a_cancel_that_discards_takes_no_last_checkpoint() -> None:
    world = mapped(2)
    kept, thrown = world.running("double[0]"), world.running("double[1]")
    world.edit(ed.Cancel("double[0]"))
    world.edit(ed.Cancel("double[1]", discard=True))
    assert world.checkpointed == {kept: True, thrown: False}
    world.check()
