"""Editing a running network: what was removed comes back, copies, borders, conflicts (10)."""

from __future__ import annotations

import pytest

from copernicus.engine.touches import clashes
from copernicus.errors import BadValue, Conflict, NotFound
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.functions import Port
from copernicus.model.network import Collect, Item, Literal, OutRef
from copernicus.model.reports import JobEnded
from copernicus.model.types import AnyType, ListType
from support.workflows import FUNCTIONS, SPECS, compute
from support.world import World, task_spec

TASKS = (
    task_spec("m.one", "x"),
    task_spec("m.two", "x z"),
    task_spec("m.pool", [Port("xs", ListType(AnyType()))]),
)


def world() -> World:
    return World(*SPECS, *TASKS, workflows={f.body.__name__: f for f in FUNCTIONS})


def same(_function, inputs):
    return inputs["x"]


# --- what was removed comes back -------------------------------------------------------------


def test_what_was_removed_and_placed_again_has_its_result():
    w = world()
    w.add("a", "m.one", x=1)
    w.done("a", y=10)
    w.edit(ed.RemoveInstance("a"))
    w.starts()
    w.add("a", "m.one", x=1)
    assert (w.starts(), w.status("a"), w.value("a.out.y")) == ([], "done", 10)
    w.set("a.in.x", 2)
    assert w.starts() == ["a"]
    w.check()


def test_with_other_inputs_it_runs():
    w = world()
    w.add("a", "m.one", x=1)
    w.done("a", y=10)
    w.edit(ed.RemoveInstance("a"))
    w.starts()
    w.add("a", "m.one", x=2)
    assert w.starts() == ["a"]


def test_another_function_under_the_name_does_not_get_the_results():
    w = world()
    w.add("a", "m.one", x=1)
    w.done("a", y=10)
    w.edit(ed.RemoveInstance("a"))
    w.add("a", "m.newest", xs=[1])
    w.edit(ed.RemoveInstance("a"))
    w.starts()
    w.add("a", "m.one", x=1)
    assert (w.starts(), w.value("a.out.y")) == ([], 10)
    w.check()


def test_case_7d_what_ran_when_it_was_removed_continues_from_its_checkpoints():
    w = world()
    w.add("a", "m.one", x=[1, 2, 3], mapped=["x"])
    keys = [job.spec.checkpoint_key for job in w.queue.values()]
    w.edit(ed.RemoveInstance("a"))
    assert w.queue == {}
    w.add("a", "m.one", x=[1, 2, 3], mapped=["x"])
    assert [job.spec.checkpoint_key for job in w.queue.values()] == keys
    w.check()


def test_a_late_result_of_what_was_removed_is_there_when_it_comes_back():
    w = world()
    w.add("a", "m.one", x=1)
    running = w.running("a")
    w.edit(ed.RemoveInstance("a"))
    w.report(JobEnded(running, outputs={"y": 5}))
    w.starts()
    w.add("a", "m.one", x=1)
    assert (w.starts(), w.value("a.out.y")) == ([], 5)
    w.check()


def test_elements_of_a_list_set_again_are_the_old_ones():
    w = world()
    w.add("a", "m.one", x=[1, 2, 3], mapped=["x"])
    w.work(same)
    w.edit(ed.RemoveInstance("a"))
    w.starts()
    w.edit(ed.AddInstance("a", "m.one", ("x",), held=False))
    for value in (3, 1, 4):
        w.set("a.in.x[+]", value)
    assert [w.status(f"a[{i}]") for i in range(3)] == ["done", "done", "queued"]
    assert len(w.starts()) == 1
    w.check()


def test_a_workflow_comes_back_with_all_that_is_inside():
    w = world()
    w.add("ad", "w.adaptive", starts=[1, 2], generations=2)
    w.work(compute)
    before = w.value("ad.out.model")
    w.edit(ed.RemoveInstance("ad"))
    w.starts()
    w.restart()
    w.add("ad", "w.adaptive", starts=[1, 2], generations=2)
    assert (w.starts(), w.status("ad"), w.value("ad.out.model")) == ([], "done", before)
    w.set("ad.in.generations", 3)
    w.work(compute)
    assert w.value("ad.out.model") == [2110, 3110]
    assert not any("-0-" in path for path in w.starts())
    w.check()


def test_a_workflow_removed_half_way_goes_on_where_it_was():
    w = world()
    w.add("ad", "w.adaptive", starts=[1, 2], generations=2)
    w.work(compute, limit=3)
    w.edit(ed.RemoveInstance("ad"))
    assert w.queue == {}
    w.starts()
    w.add("ad", "w.adaptive", starts=[1, 2], generations=2)
    w.work(compute)
    assert sorted(w.starts()) == ["ad", "ad/md-1-0", "ad/md-1-1", "ad/model-1"]
    assert w.value("ad.out.model") == [210, 310]
    w.check()


def test_it_comes_back_under_the_name_that_it_had_before():
    w = world()
    w.add("a", "m.one", x=1)
    w.done("a", y=10)
    incarnation = w.state.instances["a"].incarnation
    w.edit(ed.RenameInstance("a", "b"))
    w.edit(ed.RemoveInstance("b"))
    w.starts()
    w.edit(
        ed.AddInstance("a", "m.one", held=False, incarnation=incarnation), ed.SetInput("a.in.x", 1)
    )
    assert (w.starts(), w.value("a.out.y")) == ([], 10)
    w.check()


def test_a_refused_return_leaves_it_removed():
    w = world()
    w.add("ad", "w.adaptive", starts=[1, 2], generations=2)
    w.work(compute)
    w.edit(ed.RemoveInstance("ad"))
    before = w.state.facts()["removed"]
    with pytest.raises(NotFound):
        w.edit(ed.AddInstance("ad", "w.adaptive"), ed.SetInput("ad.in.none", 1))
    assert w.state.facts()["removed"] == before
    assert "ad" not in w.state.instances
    w.check()


# --- copies ----------------------------------------------------------------------------------


def test_a_copy_has_the_inputs_but_runs_by_itself():
    w = world()
    w.add("a", "m.one", x=1)
    w.done("a", y=10)
    w.edit(ed.CopyInstances({"a": "b"}))
    assert (w.status("b"), w.state.instances["b"].inputs) == ("held", {"x": Literal(1)})
    w.edit(ed.Activate("b"))
    w.done("b", y=11)
    assert (w.value("a.out.y"), w.value("b.out.y")) == (10, 11)
    w.check()


def test_connections_among_the_copied_go_to_the_copies_others_stay():
    w = world()
    w.add("src", "m.one", x=1)
    w.add("a", "m.one", x="src.out.y")
    w.add("b", "m.two", x="a.out.y", z="src.out.y")
    w.edit(ed.CopyInstances({"a": "a2", "b": "b2"}, held=False))
    inputs = w.state.instances["b2"].inputs
    assert (inputs["x"].path, inputs["z"].path) == ("a2", "src")
    assert w.state.instances["a2"].inputs["x"].path == "src"
    w.work(lambda _f, i: i["x"])
    assert w.status("b2") == "done"
    w.check()


def test_a_copy_out_of_a_workflow_takes_what_the_workflow_takes():
    w = world()
    w.add("p", "w.pair", conf=1)
    w.edit(ed.CopyInstances({"p/a": "mine", "p/b": "next"}))
    assert w.state.instances["mine"].inputs["conf"] == Literal(1)
    assert w.state.instances["next"].inputs["conf"] == OutRef("mine", "y")
    w.check()


@pytest.mark.parametrize(
    ("names", "error"),
    [
        ({"a": "a"}, Conflict),
        ({"a": "c", "b": "c"}, BadValue),
        ({"none": "c"}, NotFound),
        ({}, BadValue),
    ],
)
def test_a_copy_that_cannot_be_is_refused(names, error):
    w = world()
    w.add("a", "m.one", x=1)
    w.add("b", "m.one", x=1)
    with pytest.raises(error):
        w.edit(ed.CopyInstances(names))
    assert set(w.state.instances) == {"a", "b"}


# --- inside workflows ------------------------------------------------------------------------


def test_a_part_of_a_workflow_can_be_held_and_activated():
    w = world()
    w.add("ad", "w.adaptive", starts=[1, 2], generations=2)
    w.edit(ed.Hold("ad/model-0"))
    w.work(compute)
    assert w.status("ad/model-0") == "held"
    assert "ad/md-1-0" not in w.state.instances
    w.edit(ed.Activate("ad/model-0"))
    w.work(compute)
    assert w.status("ad") == "done"
    w.check()


def test_an_output_inside_a_workflow_feeds_the_top_level():
    w = world()
    w.add("ad", "w.adaptive", starts=[1, 2], generations=2)
    w.add("look", "m.one", x="ad/md-0-0.out.y")
    assert w.standing("look.in.x") == "waiting"
    w.work(lambda f, i: same(f, i) if f == "m.one" else compute(f, i))
    assert w.value("look.out.y") == 2
    w.set("ad.in.starts", [5, 2])
    w.work(lambda f, i: same(f, i) if f == "m.one" else compute(f, i))
    assert w.value("look.out.y") == 6
    w.check()


def test_a_connection_from_inside_back_into_the_workflow_is_a_cycle():
    w = world()
    w.add("p", "w.pair", conf=1)
    w.add("a", "m.one", x="p/a.out.y")
    with pytest.raises(Conflict, match="cycle"):
        w.edit(ed.Connect("a.out.y", "p.in.conf"))
    w.check()


def test_a_pin_that_leads_a_workflow_back_into_itself_is_a_cycle():
    w = world()
    w.add("p", "w.pair", conf=1)
    w.add("a", "m.one", x="p.out.y")
    with pytest.raises(Conflict, match="cycle"):
        w.edit(ed.Connect("a.out.y", "p/b.in.conf"))
    w.check()


def test_a_pin_on_what_is_removed_is_taken_away():
    w = world()
    w.add("a", "m.one", x=5)
    w.add("p", "w.pair", conf=1)
    w.edit(ed.Connect("a.out.y", "p/b.in.conf"))
    w.edit(ed.RemoveInstance("a"))
    w.work(compute)
    assert w.value("p.out.y") == 3
    w.check()


# --- connecting ------------------------------------------------------------------------------


def test_an_identical_connection_or_activation_makes_no_revision():
    w = world()
    w.add("a", "m.one", x=1)
    w.add("b", "m.one", x="a.out.y")
    revision, length = w.state.revision, len(w.journal)
    w.edit(ed.Connect("a.out.y", "b.in.x"))
    w.edit(ed.Activate("b"), ed.Activate())
    w.edit(ed.RenameInstance("b", "b"))
    assert (w.state.revision, len(w.journal)) == (revision, length)


def test_swapped_ends_are_told():
    w = world()
    w.add("a", "m.one", x=1)
    w.add("b", "m.one")
    with pytest.raises(BadValue, match=r"cpc connect a\.out\.y b\.in\.x"):
        w.edit(ed.Connect("b.in.x", "a.out.y"))


def test_an_element_of_what_is_placed_in_the_same_transaction_is_connected():
    w = world()
    w.edit(
        ed.AddInstance("a", "m.one", ("x",), held=False),
        ed.SetInput("a.in.x", [1, 2]),
        ed.AddInstance("b", "m.one", ("x",), held=False),
        ed.Connect("a.out.y", "b.in.x"),
        ed.AddInstance("c", "m.pool", held=False),
        ed.Connect("b.out.y[1]", "c.in.xs[+]"),
        ed.Connect("a.out.y[0]", "c.in.xs[+]"),
    )
    w.work(lambda _f, i: i["x"] if "x" in i else i["xs"])
    assert w.value("c.out.y") == [2, 1]
    w.edit(ed.Connect("a.out.y[1]", "c.in.xs[0]"))
    w.work(lambda _f, i: i["xs"])
    assert w.value("c.out.y") == [2, 1]
    w.check()


def test_a_source_of_a_document_keeps_identities():
    w = world()
    w.add("a", "m.one", x=[1, 2, 3], mapped=["x"])
    w.work(same)
    before = w.state.instances["a"].inputs["x"]
    w.edit(ed.ClearInput("a.in.x[1]"))
    w.starts()
    w.edit(ed.SetSource("a", "x", before))
    assert (w.starts(), w.value("a.out.y")) == ([], [1, 2, 3])
    w.check()


@pytest.mark.parametrize(
    "source",
    [
        OutRef("none", "y"),
        OutRef("a", "none"),
        Collect((Item("e1", Literal(1)), Item("e1", Literal(2)))),
        Collect((Item("", Literal(1)),), at_least=1),
    ],
)
def test_a_source_that_cannot_be_is_refused(source):
    w = world()
    w.add("a", "m.one", x=1)
    w.add("p", "m.pool")
    length = len(w.journal)
    with pytest.raises((BadValue, NotFound)):
        w.edit(ed.SetSource("p", "xs", source))
    assert len(w.journal) == length


# --- conflicts (10.1) ------------------------------------------------------------------------


def prepared() -> World:
    w = world()
    w.add("a", "m.one", x=[1, 2, 3], mapped=["x"])
    w.add("b", "m.two", x=1, z=2)
    return w


MINE = {
    "set": ed.SetInput("b.in.x", 9),
    "element": ed.SetInput("a.in.x[1]", 9),
    "next": ed.SetInput("a.in.x[3]", 9),
    "append": ed.SetInput("a.in.x[+]", 9),
    "whole": ed.SetInput("a.in.x", [9]),
    "hold": ed.Hold("b"),
    "remove": ed.RemoveInstance("b"),
    "rename": ed.RenameInstance("b", "c"),
    "add": ed.AddInstance("c", "m.one"),
    "connect": ed.Connect("a.out.y[0]", "b.in.z"),
}


@pytest.mark.parametrize(
    ("mine", "theirs", "path"),
    [
        ("set", ed.SetInput("b.in.x", 5), "b.in.x"),
        ("set", ed.SetInput("b.in.z", 5), ""),
        ("set", ed.Hold("b"), ""),
        ("set", ed.RenameInstance("b", "d"), "b"),
        ("element", ed.SetInput("a.in.x[1]", 5), "a.in.x[1]"),
        ("element", ed.SetInput("a.in.x[0]", 5), ""),
        ("element", ed.SetInput("a.in.x[+]", 5), ""),
        ("element", ed.ClearInput("a.in.x[0]"), "a.in.x"),
        ("append", ed.SetInput("a.in.x[+]", 5), ""),
        ("next", ed.SetInput("a.in.x[+]", 5), "a.in.x[3]"),
        ("append", ed.SetInput("a.in.x", [5]), "a.in.x"),
        ("whole", ed.SetInput("a.in.x[+]", 5), "a.in.x[3]"),
        ("hold", ed.Hold("b"), "b held"),
        ("hold", ed.SetInput("b.in.x", 5), ""),
        ("remove", ed.SetInput("b.in.x", 5), "b.in.x"),
        ("rename", ed.AddInstance("c", "m.one"), "c"),
        ("add", ed.AddInstance("c", "m.one"), "c"),
        ("add", ed.AddInstance("d", "m.one"), ""),
        ("connect", ed.SetInput("b.in.z", 5), "b.in.z"),
        ("connect", ed.RenameInstance("a", "d"), "a"),
    ],
)
def test_a_conflict_is_of_a_path(mine, theirs, path):
    w = prepared()
    base = w.state.revision
    w.edit(theirs, author="bob")
    found = clashes(w.state, [MINE[mine]], base)
    assert [c.path for c in found] == ([path] if path else [])
    assert all(c.touch == (base + 1, "bob") for c in found)
    assert clashes(w.state, [MINE[mine]], base + 1) == []


def test_what_the_engine_does_by_itself_is_no_conflict():
    w = world()
    w.add("ad", "w.adaptive", starts=[1], generations=1)
    base = w.state.revision
    w.work(compute)
    assert clashes(w.state, [ed.SetInput("ad.in.generations", 2)], base) == []
    assert any(isinstance(event, ev.InputSet) and "/" in event.path for event in w.journal)


def test_what_the_transaction_placed_itself_is_no_conflict():
    w = prepared()
    w.edit(ed.AddInstance("c", "m.one"))
    w.edit(ed.RemoveInstance("c"))
    edits = [ed.AddInstance("c", "m.one"), ed.SetInput("c.in.x", 1)]
    assert [c.path for c in clashes(w.state, edits, w.state.revision - 2)] == ["c"]
