"""The cases of SEMANTICS.md sections 1, 2 (Latest), 3, 7, 8, 9 and 10, by their numbers."""

import pytest

from copernicus.engine.core import open_effects, submit_edits
from copernicus.errors import BadValue, Conflict, NotFound
from copernicus.model import edits as ed
from copernicus.model.effects import CancelJob, QueueJob
from copernicus.model.functions import Port
from copernicus.model.reports import JobEnded, JobStopped
from copernicus.model.types import AnyType, IntType, ListType
from support.world import World, task_spec

ONE = task_spec("m.one", "x")
TWO = task_spec("m.two", "x z")
LIST = task_spec("m.pool", [Port("xs", ListType(AnyType()))])
LATEST = task_spec("m.newest", [Port("xs", ListType(AnyType()), latest=True)])
LONG = task_spec("m.md", [Port("tpr", AnyType()), Port("nsteps", IntType(), on_change="extend")])
STOPS = task_spec("m.stops", [Port("x", AnyType(), on_change="cancel")])


def world() -> World:
    return World(ONE, TWO, LIST, LATEST, LONG, STOPS)


def test_case_1a_a_diamond_fires_once_on_consistent_inputs():
    w = world()
    w.add("a", "m.one", x=1)
    w.add("b", "m.one", x=1)
    w.add("c", "m.two", x="a.out.y", z="b.out.y")
    w.done("a", y=10)
    w.done("b", y=20)
    assert w.starts() == ["a", "b", "c"]
    w.done("c", y=30)
    w.edit(ed.SetInput("a.in.x", 2), ed.SetInput("b.in.x", 2))
    w.done("b", y=21)
    assert w.standing("c.out.y") == "stale"
    assert w.starts() == ["a", "b"]
    w.done("a", y=11)
    assert w.starts() == ["c"]
    made = w.state.activations[w.running("c")]
    assert made.inputs == {"x": 11, "z": 21}
    w.check()


def test_case_1a_with_a_short_and_a_long_way():
    w = world()
    w.add("x", "m.one", x=1)
    w.add("a", "m.one", x="x.out.y")
    w.add("c", "m.two", x="x.out.y", z="a.out.y")
    w.work(lambda _f, i: i["x"])
    w.starts()
    w.set("x.in.x", 2)
    w.work(lambda _f, i: i["x"])
    assert w.starts() == ["x", "a", "c"]
    w.check()


def test_case_1b_set_away_and_back_while_held_fires_nothing():
    w = world()
    w.add("a", "m.one", x="A")
    w.done("a", y=1)
    w.starts()
    w.edit(ed.Hold("a"))
    w.set("a.in.x", "B")
    assert w.standing("a.out.y") == "stale"
    w.set("a.in.x", "A")
    w.edit(ed.Activate("a"))
    assert w.starts() == []
    assert w.standing("a.out.y") == "current"
    w.check()


def test_case_1c_back_at_the_last_success_is_current_and_the_failure_is_not_tried_again():
    w = world()
    w.add("a", "m.one", x="A")
    w.done("a", y=1)
    w.set("a.in.x", "B")
    w.fails("a")
    assert w.status("a") == "failed"
    w.starts()
    w.set("a.in.x", "A")
    assert (w.standing("a.out.y"), w.starts()) == ("current", [])
    w.set("a.in.x", "B")
    assert (w.status("a"), w.starts()) == ("failed", [])
    w.edit(ed.Retry("a"))
    assert w.starts() == ["a"]
    w.check()


def test_case_1d_a_failed_retry_of_a_success_leaves_it_current():
    w = world()
    w.add("a", "m.one", x="A")
    w.done("a", y=1)
    w.edit(ed.Retry("a"))
    assert w.standing("a.out.y") == "stale"
    w.fails("a", "no luck")
    assert (w.standing("a.out.y"), w.value("a.out.y")) == ("current", 1)
    w.check()


def test_rule_1_1_an_equal_value_makes_no_event_but_the_revision():
    w = world()
    w.add("a", "m.one", x=1)
    w.done("a", y=1)
    w.starts()
    assert len(w.set("a.in.x", 1)) == 1
    assert w.starts() == []


def test_rule_1_3_an_equal_result_fires_nothing_below():
    w = world()
    w.add("a", "m.one", x=1)
    w.add("b", "m.one", x="a.out.y")
    w.work(lambda _f, _i: "same")
    w.starts()
    w.set("a.in.x", 2)
    w.done("a", y="same")
    assert w.starts() == ["a"]
    assert w.standing("b.out.y") == "current"
    w.check()


def test_rule_1_4_a_cancelled_one_is_failed_by_name_and_is_not_retried():
    w = world()
    w.add("a", "m.one", x=1)
    activation = w.running("a")
    w.edit(ed.Cancel("a"), author="bob")
    assert w.status("a") == "failed"
    assert w.state.activations[activation].failure.reason == "cancelled by bob"
    assert w.cancelled == [activation]
    assert w.starts() == ["a"]
    w.check()


def test_case_2a_latest_fires_again_and_again_while_an_ordinary_one_waits():
    w = world()
    w.add("run", "m.one", mapped=["x"], x=[1, 2, 3])
    w.add("all", "m.pool", xs="run.out.y")
    w.add("new", "m.newest", xs="run.out.y")
    assert w.starts() == ["run", "run", "run"]
    w.done("run[0]", y=10)
    assert w.starts() == ["new"]
    w.done("run[1]", y=20)
    assert w.starts() == []  # it coalesces while it runs
    w.done("new", y="first")
    assert w.starts() == ["new"]
    assert w.state.activations[w.running("new")].inputs == {"xs": [10, 20]}
    w.done("new", y="second")
    assert w.standing("new.out.y") == "current"
    w.edit(ed.SetInput("run.in.x[+]", 4))
    w.done("run[2]", y=30)
    assert w.standing("all.out.y") == "waiting"
    w.done("run[3]", y=40)
    assert w.starts() == ["run", "new", "all"]
    w.done("new", y="third")
    w.done("new", y="fourth")
    w.edit(ed.Hold("new"), ed.SetInput("run.in.x[+]", 5))
    w.done("run[4]", y=50)
    assert w.standing("new.out.y") == "current"  # a later version makes nothing stale
    w.check()


def test_case_3a_remove_one_of_a_hundred_retires_one_and_runs_none():
    w = world()
    w.add("run", "m.one", mapped=["x"], x=list(range(100)))
    w.work(lambda _f, i: i["x"] * 10)
    w.starts()
    w.edit(ed.ClearInput("run.in.x[2]"))
    assert w.starts() == []
    assert w.value("run.out.y") == [i * 10 for i in range(100) if i != 2]
    assert w.standing("run.out.y") == "current"
    w.check()


def test_case_3b_append_one_runs_one():
    w = world()
    w.add("run", "m.one", mapped=["x"], x=[1, 2])
    w.work(lambda _f, i: i["x"])
    w.starts()
    w.edit(ed.SetInput("run.in.x[+]", 3))
    assert w.starts() == ["run"]
    assert w.standing("run.out.y") == "waiting"
    w.work(lambda _f, i: i["x"])
    assert w.value("run.out.y") == [1, 2, 3]
    w.check()


def test_case_3c_a_skipped_element_leaves_pairs_rightly_paired():
    w = world()
    w.add("run", "m.one", mapped=["x"], x=list(range(10)))
    labels = [f"label{i}" for i in range(10)]
    w.add("pair", "m.two", mapped=["x", "z"], x="run.out.y", z=labels)
    w.add("pool", "m.pool", xs="pair.out.y")
    w.edit(ed.Skip("run[3]"))
    w.work(lambda f, i: i["xs"] if f == "m.pool" else [i["x"], i.get("z")])
    expected = [[[i, None], f"label{i}"] for i in range(10) if i != 3]
    assert w.value("pool.out.y") == expected
    made = w.state.activations[w.state.instances["pool"].elements[""].success]
    assert made.left_out == {"xs": ("pair[3]: skipped with its input",)}
    w.check()


def test_case_3d_a_skip_goes_down_and_siblings_go_on():
    w = world()
    w.add("a", "m.one", mapped=["x"], x=[1, 2])
    w.add("b", "m.one", mapped=["x"], x="a.out.y")
    w.add("c", "m.pool", xs="b.out.y")
    w.fails("a[0]")
    w.edit(ed.Skip("a[0]"))
    assert w.status("b[0]") == "skipped"
    w.work(lambda f, i: i["xs"] if f == "m.pool" else i["x"])
    assert w.value("c.out.y") == [2]
    w.check()


def test_rule_3_3_a_skip_ends_when_the_inputs_change():
    w = world()
    w.add("a", "m.one", x=1)
    w.edit(ed.Skip("a"))
    assert w.status("a") == "skipped"
    w.starts()
    w.set("a.in.x", 2)
    assert w.starts() == ["a"]


def test_rule_3_2_lists_of_different_length_wait_and_say_so():
    w = world()
    w.add("p", "m.two", mapped=["x", "z"], x=[1, 2], z=["a"])
    assert w.starts() == []
    assert "x has 2, z has 1" in w.state.instances["p"].shape_problem
    w.edit(ed.SetInput("p.in.z[+]", "b"))
    assert w.starts() == ["p", "p"]


def test_case_7a_extended_while_the_finished_part_is_being_delivered():
    w = world()
    w.add("md", "m.md", tpr="t", nsteps=1000)
    first = w.running("md")
    w.set("md.in.nsteps", 2000)
    second = w.running("md")
    assert w.state.activations[second].parent == first
    assert w.queue[second].spec.checkpoint_key == w.state.activations[first].job.checkpoint_key
    w.report(JobEnded(first, outputs={"y": "part"}))
    assert (w.value("md.out.y"), w.standing("md.out.y")) == ("part", "stale")
    w.done(second, y="whole")
    assert (w.value("md.out.y"), w.standing("md.out.y")) == ("whole", "current")
    w.check()


def test_case_7b_lowered_again_gives_the_shorter_one():
    w = world()
    w.add("md", "m.md", tpr="t", nsteps=1000)
    w.done("md", y=1000)
    w.set("md.in.nsteps", 2000)
    second = w.running("md")
    w.set("md.in.nsteps", 1000)
    assert (w.value("md.out.y"), w.standing("md.out.y")) == (1000, "current")
    assert second in w.cancelled
    w.check()


def test_case_7c_a_failed_extension_leaves_the_parents_version():
    w = world()
    w.add("md", "m.md", tpr="t", nsteps=1000)
    w.done("md", y=1000)
    w.set("md.in.nsteps", 2000)
    w.fails("md", "blew up")
    assert (w.value("md.out.y"), w.standing("md.out.y")) == (1000, "stale")
    assert w.status("md") == "failed"
    w.check()


def test_rule_7_1_finish_lets_it_end_and_fires_again():
    w = world()
    w.add("a", "m.one", x=1)
    first = w.running("a")
    w.set("a.in.x", 2)
    w.set("a.in.x", 3)
    assert w.running("a") == first
    assert w.idle_cancels == [first]
    w.done(first, y=1)
    assert w.state.activations[w.running("a")].inputs == {"x": 3}
    w.check()


def test_rule_5_3_of_the_design_a_job_still_queued_is_replaced():
    w = world()
    w.add("a", "m.one", x=1)
    first = w.running("a")
    w.set("a.in.x", 2)
    w.queue.pop(first)
    w.report(JobStopped(first, 2))
    assert w.state.activations[first].outcome == "stopped"
    assert w.state.activations[w.running("a")].inputs == {"x": 2}
    w.check()


def test_rule_7_1_cancel_stops_and_fires_anew_at_once():
    w = world()
    w.add("a", "m.stops", x=1)
    first = w.running("a")
    w.set("a.in.x", 2)
    assert w.running("a") != first
    assert w.cancelled == [first]


def test_rule_7_2_a_late_result_of_a_stopped_generation_is_used_if_wanted_again():
    w = world()
    w.add("a", "m.stops", x=1)
    first = w.running("a")
    w.set("a.in.x", 2)
    w.report(JobEnded(first, outputs={"y": "late"}))
    w.done("a", y="two")
    w.starts()
    w.set("a.in.x", 1)
    assert (w.value("a.out.y"), w.standing("a.out.y"), w.starts()) == ("late", "current", [])
    w.check()


def test_case_8a_submit_and_cancel_open_at_a_crash_the_cancel_has_the_higher_version():
    w = world()
    w.add("a", "m.stops", x=1)
    first = w.running("a")
    w.journal.extend(submit_edits(w.state, [ed.SetInput("a.in.x", 2)], "ann", w.catalog))
    effects = list(open_effects(w.state))
    of_first = [e for e in effects if getattr(e, "activation", "") == first]
    assert of_first == [CancelJob(first, 2)]
    queued = [e for e in effects if isinstance(e, QueueJob)]
    assert all(e.version < 2 for e in queued)
    w.check()


def test_rule_9_1_paused_results_are_taken_and_decided_at_resume():
    w = world()
    w.add("a", "m.one", x=1)
    w.add("b", "m.one", x="a.out.y")
    w.edit(ed.Pause())
    assert w.on_hold
    w.done("a", y=5)
    assert w.starts() == ["a"]
    w.check()
    w.edit(ed.Resume())
    assert w.starts() == ["b"]
    w.check()


def test_rule_10_1_revisions_count_edits_and_positions_count_everything():
    w = world()
    w.add("a", "m.one", x=1)
    w.done("a", y=1)
    assert w.state.revision == 1
    assert w.state.position == len(w.journal)


@pytest.mark.parametrize(
    ("edit", "error", "words"),
    [
        (ed.SetInput("nope.in.x", 1), NotFound, "no instance 'nope'"),
        (ed.SetInput("a.in.q", 1), NotFound, "no input 'q'; it has: x"),
        (ed.SetInput("a.out.y", 1), BadValue, "no input"),
        (ed.SetInput("md.in.nsteps", "many"), BadValue, "expected int at md.in.nsteps"),
        (ed.Connect("a.out.y", "a.in.x"), Conflict, "cycle: a -> a"),
        (ed.Connect("b.out.y", "a.in.x"), Conflict, "cycle"),
        (ed.AddInstance("z", "m.nothing"), NotFound, "no function"),
        (ed.AddInstance("a", "m.one"), Conflict, "already"),
        (ed.AddInstance("2x", "m.one"), BadValue, "no name"),
        (ed.Retry("a"), Conflict, "running"),
        (ed.Resume(), Conflict, "not paused"),
        (ed.ClearInput("a.in.x[0]"), NotFound, "there is no 0 to remove"),
    ],
)
def test_bad_edits_say_why_and_change_nothing(edit, error, words):
    w = world()
    w.add("a", "m.one", x=1)
    w.add("b", "m.one", x="a.out.y")
    w.add("md", "m.md", tpr="t")
    before = w.state.facts()
    with pytest.raises(error, match=words):
        w.edit(ed.SetInput("a.in.x", 99), edit)
    assert w.state.facts() == before
    w.check()


def test_rename_keeps_results_and_connections():
    w = world()
    w.add("a", "m.one", x=1)
    w.add("b", "m.one", x="a.out.y")
    w.work(lambda _f, i: i["x"])
    w.starts()
    w.edit(ed.RenameInstance("a", "first"))
    assert (w.starts(), w.standing("b.out.y"), w.value("first.out.y")) == ([], "current", 1)
    w.set("first.in.x", 2)
    w.work(lambda _f, i: i["x"])
    assert w.value("b.out.y") == 2
    w.check()


def test_removing_an_instance_stops_its_work_and_clears_what_hung_on_it():
    w = world()
    w.add("a", "m.one", x=1)
    w.add("b", "m.pool", xs=[1])
    w.edit(ed.Connect("a.out.y", "b.in.xs[+]"))
    running = w.running("a")
    w.edit(ed.RemoveInstance("a"))
    assert running in w.cancelled
    assert w.value("b.in.xs") == [1]
    w.check()


def test_rule_3_1_a_list_set_as_a_whole_keeps_the_identities_of_what_stays():
    w = world()
    w.add("run", "m.one", mapped=["x"], x=[1, 2, 3])
    w.work(lambda _f, i: i["x"])
    w.starts()
    w.set("run.in.x", [3, 1, 2, 4])
    assert [w.state.activations[w.running("run[3]")].inputs] == [{"x": 4}]
    assert w.starts() == ["run"]
    w.work(lambda _f, i: i["x"])
    assert w.value("run.out.y") == [3, 1, 2, 4]
    w.check()


def test_rule_3_1_a_changed_place_keeps_its_identity_and_extends():
    w = world()
    w.add("md", "m.md", mapped=["nsteps"], tpr="t", nsteps=[10, 20])
    w.work(lambda _f, i: i["nsteps"])
    done = w.state.instances["md"].listed()
    parents = [element.success for element in done]
    w.set("md.in.nsteps", [10, 50])
    assert w.state.activations[w.running("md[1]")].parent == parents[1]
    w.check()


def test_a_held_instance_is_not_retried_but_says_what_to_do():
    w = world()
    w.add("a", "m.one", x=1)
    w.done("a", y=1)
    w.edit(ed.Hold("a"))
    with pytest.raises(Conflict, match="a is held: cpc activate a first"):
        w.edit(ed.Retry("a"))


def test_rule_1_3_a_late_result_of_other_inputs_does_not_keep_the_last_success_from_being_current():
    w = world()
    w.add("s", "m.stops", x=1)
    w.done("s", y=10)
    w.set("s.in.x", 2)
    late = w.running("s")
    w.set("s.in.x", 3)
    w.set("s.in.x", 1)
    w.done(late, y=20)
    assert (w.status("s"), w.value("s.out.y")) == ("done", 10)
    w.check()
