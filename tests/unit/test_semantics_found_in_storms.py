"""What random storms have found (``tests/property``), each by itself and small."""

import pytest

from copernicus.engine.core import fold
from copernicus.engine.document import document_of, edits_between
from copernicus.errors import UserError
from copernicus.evaluator.runner import Evaluation
from copernicus.model import edits as ed
from copernicus.model.reports import Rested
from support.workflows import FUNCTIONS, GUIDE, SPECS, compute, world
from support.world import World, check_same, task_spec

ONE = task_spec("m.one", "x")


def test_rule_3_1_an_element_that_left_its_list_as_a_hole_is_no_hole_any_more():
    w = World(ONE)
    w.add("skipped", "m.one")
    w.edit(ed.AddInstance("f", "m.one", ("x",)), ed.Connect("skipped.out.y", "f.in.x[0]"))
    w.edit(ed.Skip("skipped"))
    w.add("a", "m.one", x="f.out.y[0]")
    assert w.status("a") == "skipped"
    w.edit(ed.ClearInput("f.in.x[0]"))
    assert w.status("a") == "waiting"
    w.check()


def test_rule_5_2_reopening_a_decision_that_is_not_in_use_replays_nothing():
    w = world(GUIDE["referring"], how="first")
    w.work(compute)
    w.set("ref.in.how", "at_least")
    w.work(compute)
    number = w.state.instances["ref"].elements[""].evaluation.number
    w.edit(ed.Reopen("ref", "root:a0"))
    w.edit(ed.Retry("ref/run-0"))
    w.work(compute)
    assert w.state.instances["ref"].elements[""].evaluation.number == number
    assert w.status("ref") == "done"
    w.check()


def test_pins_and_holds_inside_do_not_come_back_with_an_instance_that_was_removed():
    w = world(GUIDE["wandering"], late=False)
    then = document_of(w.state)
    w.set("wan/early.in.conf", 7)
    w.edit(ed.Hold("wan/mover"))
    w.edit(ed.RemoveInstance("wan"))
    w.edit(*edits_between(document_of(w.state), then), reuse=True)
    assert edits_between(document_of(w.state), then) == []
    assert w.state.instances["wan/early"].inputs["conf"].value == 1
    assert not w.state.instances["wan/mover"].held
    w.check()


def test_rule_9_2_a_workflow_needs_no_place_in_the_queue():
    w = World(*SPECS, workflows={f.body.__name__: f for f in FUNCTIONS})
    w.limit = 1
    w.edit(ed.SetBudget({"queued": 1}))
    w.add("s", "w.single", mapped=["conf"], conf=[1, 2, 3])
    assert len(w.queue) == 1
    assert {path for path, _ in w.evaluations} == {"s"}
    assert len(w.evaluations) == 3
    w.work(compute)
    assert w.status("s[2]") == "done"
    w.check()


def test_rule_2_2_a_job_that_runs_already_is_streamed_once_an_output_is_bound_to_it():
    w = world(GUIDE["bound_later"])
    w.add("watch", "m.watch", xs="bou.out.y")
    run = w.running("bou/run")
    assert run not in w.streams
    w.done("bou/first", y=1)
    assert w.streams[run] == ("y",)
    w.so_far("bou/run", y=5)
    assert w.state.activations[w.running("watch")].inputs == {"xs": 5}
    w.check()


def test_rule_9_2_a_refused_transaction_lets_nobody_lose_his_place_in_the_queue():
    w = World(ONE)
    w.edit(ed.SetBudget({"queued": 1}))
    w.add("a", "m.one", mapped=["x"], x=[1, 2, 3])
    with pytest.raises(UserError):
        w.edit(ed.RenameInstance("a", "b"), ed.Pause(), ed.Pause())
    with pytest.raises(UserError):
        w.edit(ed.RemoveInstance("a"), ed.Pause(), ed.Pause())
    assert "budget" in w.waits_for("a[1]")
    assert w.work(lambda _f, inputs: inputs["x"]) == 3
    w.check()


def test_rule_4_6_a_rest_of_an_instance_that_was_removed_is_none_of_the_next_of_that_name():
    w = World(*SPECS, workflows={f.body.__name__: f for f in FUNCTIONS})
    w.rests_lost = True
    w.add("it", "w.single", conf=1)
    late = w.evaluations["it", ""].start
    w.edit(ed.RemoveInstance("it"))
    w.add("it", "w.pair", conf=1)
    assert w.report(Rested(Evaluation(late, GUIDE["single"]).run())) == []
    w.rests_lost = False
    w.evict("it")
    assert {path for path in w.state.instances if "/" in path} == {"it/a", "it/b"}
    w.check()


def test_rule_4_3_what_went_stale_is_stale_for_one_who_reads_the_journal_in_parts():
    w = world(GUIDE["wandering"], late=True)
    w.add("u", "m.model", xs=[1])
    w.edit(ed.Connect("u.out.seeds", "wan/early.in.conf"))
    w.done("wan/early", y=5)
    assert w.standing("wan/early.out.y") == "stale"
    position, earlier = len(w.journal), fold(w.journal)
    w.set("wan/early.in.conf", 1)
    assert "wan/mover" in w.state.instances
    w.edit(ed.Connect("u.out.seeds", "wan/early.in.conf"))
    assert w.state.instances["wan"].elements[""].evaluation.stale == {("root", 0)}
    check_same(fold(w.journal[position:], earlier), w.state)
