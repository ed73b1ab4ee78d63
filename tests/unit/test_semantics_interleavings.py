"""What happens at an awkward moment: SEMANTICS.md sections 1 to 10 while something is under way."""

import sys

import pytest

from copernicus.engine import views
from copernicus.errors import Conflict
from copernicus.model import edits as ed
from copernicus.model.events import ActivationEnded, Decided, DecisionLapsed
from copernicus.model.functions import Port
from copernicus.model.reports import JobEnded
from copernicus.model.types import AnyType, IntType
from support.workflows import FUNCTIONS, GUIDE, SPECS, adaptive, compute, world
from support.world import World, task_spec

ONE = task_spec("m.one", "x")
TWO = task_spec("m.two", "x z")
LONG = task_spec(
    "m.long", [Port("o", AnyType(), required=False), Port("n", IntType(), on_change="extend")]
)


def project() -> World:
    return World(*SPECS, ONE, TWO, LONG, workflows={f.body.__name__: f for f in FUNCTIONS})


def fed(function: str, port: str, given: object) -> World:
    """A workflow instance ``w`` whose input comes from the task ``u``."""
    w = project()
    w.add("u", "m.one", x=1)
    w.edit(ed.AddInstance("w", function, held=False), ed.Connect("u.out.y", f"w.in.{port}"))
    w.done("u", y=given)
    return w


def decided_on_runs(how: str) -> World:
    w = world(GUIDE["referring"], how=how)
    w.work(lambda _f, _i: 5)
    assert w.status("ref") == "done"
    w.edit(ed.Retry("ref/pre-0"))
    w.done("ref/pre-0", y=99)
    return w


@pytest.mark.parametrize("how", ["at_least", "first", "output"])
def test_rule_5_2_an_answered_decision_lapses_once_when_a_chosen_one_fails_on_new_inputs(how):
    w = decided_on_runs(how)
    w.fails("ref/run-0")
    assert len([e for e in w.journal if isinstance(e, DecisionLapsed)]) == 1
    w.work(lambda _f, _i: 6)
    assert w.status("ref") == "done"
    w.check()


def test_rule_5_2_a_failed_retry_of_a_chosen_one_lapses_nothing_while_its_input_is_stale():
    w = world(GUIDE["referring"], how="at_least")
    w.work(lambda _f, _i: 5)
    w.edit(ed.Retry("ref/run-0"))
    w.fails("ref/run-0")
    w.edit(ed.Retry("ref/pre-0"))
    w.done("ref/pre-0", y=5)
    assert not [e for e in w.journal if isinstance(e, DecisionLapsed)]
    assert w.status("ref") == "done"
    w.check()


def test_rule_5_2_the_first_one_is_chosen_anew_when_it_is_skipped():
    w = world(GUIDE["referring"], how="first")
    w.work(lambda _f, _i: 5)
    w.edit(ed.Skip("ref/run-0"))
    w.work(lambda _f, _i: 5)
    assert [e.reason for e in w.journal if isinstance(e, DecisionLapsed)] == [
        "ref/run-0.y was skipped"
    ]
    assert w.status("ref") == "done"
    w.check()


def test_rule_3_3_the_first_of_nothing_but_holes_fails_the_evaluation():
    w = world(GUIDE["racing"], starts=[0], at_least=1)
    w.edit(ed.Skip("rac/md-0"))
    assert w.status("rac") == "failed"
    assert "was skipped" in w.state.instances["rac"].elements[""].evaluation.failure.reason
    w.check()


def test_rule_5_3_a_settled_outcome_is_another_when_the_inputs_have_changed_by_reference():
    w = world(GUIDE["referring"], how="settle")
    for i in range(3):
        w.done(f"ref/pre-{i}", y=i)
    w.fails("ref/run-0")
    w.done("ref/run-1", y=1)
    w.done("ref/run-2", y=2)
    w.done("ref/end", y=3)
    w.edit(ed.Retry("ref/pre-0"))
    w.done("ref/pre-0", y=99)
    w.done("ref/run-0", y=77)
    assert w.state.activations[w.running("ref/end")].inputs == {"xs": [77, 1, 2]}
    w.done("ref/end", y=4)
    w.edit(ed.Retry("ref/pre-0"))
    w.done("ref/pre-0", y=100)
    w.fails("ref/run-0")
    assert w.state.activations[w.running("ref/end")].inputs == {"xs": ["failed", 1, 2]}
    w.check()


def test_rule_5_1_half_of_nothing_is_decided():
    w = world(GUIDE["halves"], starts=[])
    w.work(lambda _f, _i: 5)
    assert w.status("hal") == "done"
    w.check()


def test_rule_5_1_what_a_replay_has_not_reached_decides_nothing():
    w = world(GUIDE["racing"], starts=[0, 1, 2], at_least=2)
    w.done("rac/md-0", y=10)
    w.set("rac.in.starts", [7, 1, 2])
    w.done("rac/md-1", y=11)
    w.done("rac/md-2", y=12)
    assert not [e for e in w.journal if isinstance(e, Decided) and e.kind == "at_least"]
    w.done("rac/md-0", y=10)
    w.work(lambda _f, _i: 5)
    assert w.status("rac") == "done"
    assert len([e for e in w.journal if isinstance(e, Decided) and e.kind == "at_least"]) == 1
    w.check()


def test_rule_4_3_another_value_that_came_while_the_input_was_stale_is_followed():
    w = fed("w.adaptive", "starts", [1])
    w.set("w.in.generations", 3)
    w.work(compute, limit=2)
    w.edit(ed.Retry("w/model-0"))
    w.edit(ed.Retry("u"))
    w.done("w/model-0", seeds=[55])
    w.done("u", y=[1])
    w.work(compute)
    assert w.value("w.out.model") == [10 * (10 * 56 + 1)]
    w.check()


def test_rule_4_2_what_is_inside_a_nested_workflow_goes_on_when_that_is_declared_again():
    w = world(GUIDE["nested_later"], conf=1)
    w.done("nes/first", y=1)
    w.set("nes.in.conf", 2)
    w.done("nes/inner/a", y=5)
    w.starts()
    w.done("nes/first", y=7)
    assert w.starts() == ["nes/inner/b"]
    w.done("nes/inner/b", y=3)
    assert w.status("nes") == "done"
    w.check()


def test_rule_4_3_what_a_joined_branch_saw_freezes_what_came_of_it():
    w = world(GUIDE["joining"])
    w.done("joi/a", y=1)
    w.edit(ed.Retry("joi/a"))
    w.done("joi/c", y=2)
    assert "joi/d" not in w.state.instances
    w.check()
    w.done("joi/a", y=1)
    assert w.running("joi/d")
    w.check()


def test_rule_4_5_what_hangs_on_a_key_follows_its_new_incarnation():
    w = world(GUIDE["connected"], kind="md")
    w.set("con.in.kind", "sum")
    w.done("con/it", y=3)
    assert w.state.activations[w.running("con/below")].inputs == {"conf": 3}
    w.check()


def test_rule_4_5_a_nested_workflow_comes_back_with_a_result_that_came_late():
    w = world(GUIDE["nested"], n=2)
    first = w.running("nes/s-1/md")
    w.set("nes.in.n", 1)
    assert first in w.cancelled
    w.report(JobEnded(first, outputs={"y": 9}))
    w.set("nes.in.n", 2)
    w.work(lambda _f, _i: 5)
    assert (w.status("nes"), w.value("nes.out.y")) == ("done", [5, 9])
    w.check()


def test_rule_4_5_an_answer_that_waited_for_a_nested_workflow_to_come_back_is_given_once():
    w = world(GUIDE["some_twice"], n=2)
    first = w.running("som/s-1/md")
    w.set("som.in.n", 1)
    w.report(JobEnded(first, outputs={"y": 9}))
    w.set("som.in.n", 2)
    assert w.state.activations[w.running("som/s-1/again")].inputs == {"conf": 9}
    w.work(lambda _f, _i: 5)
    assert w.value("som.out.y") == [5, 5]
    w.check()


def test_rule_4_5_a_branch_whose_spawn_is_passed_is_retired_and_comes_back():
    w = world(GUIDE["sometimes"], on=True)
    w.done("som/before", y=1)
    inside = w.running("som/inside")
    w.set("som.in.on", False)
    assert w.state.instances["som/inside"].retired
    assert inside in w.cancelled
    w.set("som.in.on", True)
    w.work(lambda _f, _i: 5)
    assert w.value("som.out.y") == [5, 5]
    w.check()


def test_rule_3_3_a_retry_takes_a_skip_back():
    w = project()
    w.add("a", "m.one", x=1)
    w.fails("a")
    w.edit(ed.Skip("a"))
    w.edit(ed.Retry("a"))
    w.done("a", y=3)
    assert w.status("a") == "done"
    w.check()


def test_rule_3_3_a_retry_of_all_that_failed_leaves_skips_alone():
    w = project()
    w.add("a", "m.one", mapped=["x"], x=[1, 2])
    w.fails("a[0]")
    w.fails("a[1]")
    w.edit(ed.Skip("a[0]"))
    w.edit(ed.Retry("a", failed=True))
    assert [w.status("a[0]"), w.status("a[1]")] == ["skipped", "queued"]
    w.check()


def test_rule_4_5_an_element_that_left_its_list_over_a_restart_comes_back_and_runs():
    w = project()
    w.add("u", "m.one", x=1)
    w.edit(
        ed.AddInstance("s", "w.single", ("conf",), held=False), ed.Connect("u.out.y", "s.in.conf")
    )
    for given in ([1, 2], [1]):
        if w.state.instances["u"].elements[""].open is None:
            w.edit(ed.Retry("u"))
        w.done("u", y=given)
    w.restart()
    w.edit(ed.Retry("u"))
    w.done("u", y=[1, 2])
    w.work(lambda _f, _i: 5)
    assert w.status("s[1]") == "done"
    w.check()


def test_rule_3_3_a_skipped_workflow_stops_its_jobs_and_they_come_back_with_it():
    w = world(GUIDE["pair"], conf=1)
    run = w.running("pai/a")
    w.edit(ed.Skip("pai"))
    assert run in w.cancelled
    w.check()
    w.set("pai.in.conf", 2)
    assert w.state.activations[w.running("pai/a")].inputs == {"conf": 2}
    w.work(lambda _f, _i: 5)
    assert w.status("pai") == "done"
    w.check()


def test_rule_3_3_a_workflow_skipped_while_its_input_was_stale_goes_on_with_the_equal_one():
    w = fed("w.single", "conf", 1)
    w.edit(ed.Retry("u"))
    w.edit(ed.Skip("w"))
    w.done("u", y=1)
    w.work(lambda _f, _i: 5)
    assert w.status("w") == "done"
    w.check()


def test_rule_2_1_a_newer_version_coalesces_while_a_workflow_runs_and_fires_it_again():
    w = fed("w.following", "conf", 1)
    w.starts()
    for given in (2, 3):
        w.edit(ed.Retry("u"))
        w.done("u", y=given)
    assert w.starts() == ["u", "u"]
    w.done("w/md", y=1)
    assert w.state.activations[w.running("w")].inputs == {"conf": 3}
    w.work(lambda _f, _i: 5)
    assert w.status("w") == "done"
    w.check()


def test_rule_2_1_a_newer_version_of_an_output_goes_out_while_the_workflow_is_stale():
    w = world(GUIDE["two_outputs"])
    w.add("watch", "m.newest", xs="two.out.y")
    w.work(lambda _f, _i: 1)
    w.edit(ed.Retry("two/z"))
    w.edit(ed.Retry("two/y"))
    w.done("two/y", y=2)
    assert w.standing("two.out.y") == "stale"
    assert w.state.activations[w.running("watch")].inputs == {"xs": 2}
    w.check()


def test_rule_3_3_a_hole_in_a_failed_workflow_is_no_value_of_it():
    w = world(adaptive, starts=[1], generations=1)
    w.edit(ed.AddInstance("s", "w.single", ("conf",), held=False))
    w.edit(ed.Connect("ad.out.model", "s.in.conf[+]"))
    w.edit(ed.Skip("ad/model-0"))
    w.edit(ed.Skip("ad/md-0-0"))
    assert (w.status("ad"), w.status("s[0]")) == ("failed", "waiting")
    w.check()


def test_rule_6_1_a_final_output_is_set_only_at_the_end_and_stays():
    w = world(GUIDE["at_the_end"], n=2)
    w.done("at_/0", y=1)
    assert (w.value("at_.out.y"), w.standing("at_.out.y")) == (None, "waiting")
    w.done("at_/1", y=2)
    assert w.value("at_.out.y") == 2
    w.set("at_.in.n", 3)
    assert (w.value("at_.out.y"), w.standing("at_.out.y")) == (2, "stale")
    w.done("at_/2", y=3)
    assert (w.value("at_.out.y"), w.standing("at_.out.y")) == (3, "current")
    w.check()


def test_rule_7_3_a_hole_at_an_optional_input_does_not_keep_from_extending():
    w = project()
    w.add("a", "m.one", x=1)
    w.edit(ed.Skip("a"))
    w.add("md", "m.long", o="a.out.y", n=10)
    first = w.running("md")
    w.set("md.in.n", 20)
    assert w.state.activations[w.running("md")].parent == first
    w.check()


def test_rule_7_3_an_extended_run_finds_its_checkpoints_after_a_rename():
    w = project()
    w.add("md", "m.long", n=10)
    first = w.running("md")
    w.edit(ed.RenameInstance("md", "longer"))
    w.set("longer.in.n", 20)
    made = w.state.activations
    assert made[w.running("longer")].job.checkpoint_key == made[first].job.checkpoint_key
    w.check()


def test_rule_4_1_of_the_design_a_workflow_that_has_begun_keeps_its_name():
    w = world(adaptive, starts=[1], generations=2)
    with pytest.raises(Conflict, match="random seeds"):
        w.edit(ed.RenameInstance("ad", "other"))
    w.edit(ed.AddInstance("held", "w.adaptive"), ed.RenameInstance("held", "other"))
    w.check()


def test_rule_10_1_cancelled_and_removed_at_once_ends_once():
    w = world(GUIDE["pair"], conf=1)
    before = len(w.journal)
    w.edit(ed.Cancel("pai"), ed.RemoveInstance("pai"))
    ends = [e.id for e in w.journal[before:] if isinstance(e, ActivationEnded)]
    assert len(ends) == len(set(ends)) == 1
    w.check()


def calls_of(action) -> int:
    """How many functions are called: a cost that does not depend on the machine."""
    count = 0

    def profile(_frame, event, _arg):
        nonlocal count
        count += event == "call"

    sys.setprofile(profile)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


def zipped(size: int) -> int:
    w = project()
    w.add("a", "m.one", mapped=["x"], x=list(range(size)))
    w.add("b", "m.two", mapped=["x", "z"], x="a.out.y", z=list(range(size)))
    return calls_of(lambda: w.work(lambda _f, _i: 1))


def chained(size: int) -> int:
    edits: list[ed.Edit] = []
    for i in range(size):
        edits.append(ed.AddInstance(f"i{i}", "m.one"))
        edits.append(
            ed.Connect(f"i{i - 1}.out.y", f"i{i}.in.x") if i else ed.SetInput("i0.in.x", 1)
        )
    w = project()
    return calls_of(lambda: w.edit(*edits))


@pytest.mark.parametrize("cost", [zipped, chained])
def test_ten_times_as_much_costs_about_ten_times_as_much(cost):
    assert cost(300) < 14 * cost(30)


def test_rule_6_1_an_output_that_this_evaluation_does_not_set_is_kept_stale():
    w = world(GUIDE["at_the_end"], n=1)
    w.add("below", "m.md", conf="at_.out.y")
    w.done("at_/0", y=1)
    w.done("below", y=2)
    w.set("at_.in.n", 0)
    assert (w.status("at_"), w.value("at_.out.y"), w.standing("at_.out.y")) == ("done", 1, "stale")
    assert views.summary(w.state, w.state.instances["below"]).state == "stale"
    w.check()
    w.set("at_.in.n", 1)
    assert (w.standing("at_.out.y"), w.status("below")) == ("current", "done")
    w.check()
