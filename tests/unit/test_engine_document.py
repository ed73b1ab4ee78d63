"""A network as a document: told in the same order always, and made again by edits."""

from __future__ import annotations

from itertools import takewhile

import pytest

from copernicus.client.diff import differences
from copernicus.engine.core import fold
from copernicus.engine.document import document_of, edits_between
from copernicus.errors import Conflict
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.functions import Port
from copernicus.model.resources import Resources
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


def work(w: World) -> None:
    w.work(lambda f, i: i["x"] if "x" in i else (i["xs"] if f == "m.pool" else compute(f, i)))


def at(w: World, revision: int):
    def before(event):
        return not (isinstance(event, ev.RevisionMade) and event.number > revision)

    return document_of(fold(list(takewhile(before, w.journal))))


def revert(w: World, revision: int) -> None:
    edits = edits_between(document_of(w.state), at(w, revision))
    w.edit(*edits, reuse=True)
    now, then = document_of(w.state), at(w, revision)
    assert edits_between(now, then) == []
    assert differences(then, now) == []
    w.check()


def grown() -> World:
    w = world()
    w.add("a", "m.one", x=[1, 2, 3], mapped=["x"])
    w.add("b", "m.two", x="a.out.y", z=4)
    w.edit(ed.AddInstance("c", "m.pool", held=False, resources=Resources(cores=3)))
    w.edit(ed.SetInput("c.in.xs[+]", 1), ed.Connect("a.out.y[1]", "c.in.xs[+]"))
    w.add("ad", "w.adaptive", starts=[1, 2], generations=2)
    work(w)
    return w


CHANGES = {
    "remove what others take": [ed.RemoveInstance("a")],
    "remove a workflow": [ed.RemoveInstance("ad")],
    "take an element out": [ed.ClearInput("a.in.x[0]")],
    "set a list anew": [ed.SetInput("a.in.x", [9, 8])],
    "clear": [ed.ClearInput("b.in.z"), ed.ClearInput("c.in.xs")],
    "connect elsewhere": [ed.Connect("a.out.y[2]", "c.in.xs[1]")],
    "rename": [ed.RenameInstance("a", "first")],
    "swap names": [
        ed.RenameInstance("a", "x"),
        ed.RenameInstance("b", "a"),
        ed.RenameInstance("x", "b"),
    ],
    "rename, then remove": [ed.RenameInstance("a", "first"), ed.RemoveInstance("first")],
    "another function": [ed.RemoveInstance("c"), ed.AddInstance("c", "m.one")],
    "other resources": [
        ed.RemoveInstance("c"),
        ed.AddInstance("c", "m.pool", resources=Resources(cores=1)),
    ],
    "hold": [ed.Hold("b"), ed.Hold("ad/model-0")],
    "pin": [ed.SetInput("ad/md-0-0.in.conf", 7)],
    "add": [ed.AddInstance("d", "m.one"), ed.Connect("d.out.y", "b.in.x")],
    "copy": [ed.CopyInstances({"a": "a2", "b": "b2"})],
    "fewer generations": [ed.SetInput("ad.in.generations", 1)],
    "everything": [ed.RemoveInstance(name) for name in ("a", "b", "c", "ad")],
}


@pytest.mark.parametrize("worked", [False, True], ids=["at once", "when it had run"])
@pytest.mark.parametrize("change", CHANGES)
def test_case_7d_a_reverted_change_brings_all_back_without_a_run(change, worked):
    w = grown()
    revision = w.state.revision
    values = {path: w.value(path) for path in ("a.out.y", "b.out.y", "c.out.y", "ad.out.model")}
    w.edit(*CHANGES[change])
    if worked:
        work(w)
    w.starts()
    revert(w, revision)
    work(w)
    assert {path: w.value(path) for path in values} == values
    # A workflow is evaluated again; what it calls has its results.
    assert [path for path in w.starts() if path != "ad"] == []


def test_going_there_and_back_again():
    w = grown()
    first = w.state.revision
    w.edit(ed.RemoveInstance("b"), ed.SetInput("a.in.x[+]", 5))
    second = w.state.revision
    revert(w, first)
    revert(w, second)
    assert "b" not in w.state.instances
    assert len(w.state.instances["a"].inputs["x"].items) == 4


def test_the_empty_network_of_the_beginning():
    w = grown()
    revert(w, 0)
    assert w.state.instances == {}
    revert(w, w.state.revision - 1)
    assert set(document_of(w.state).instances) == {"a", "b", "c", "ad"}


def test_a_rename_that_cannot_be_reverted_is_refused():
    w = world()
    w.edit(ed.AddInstance("old", "w.pair"))
    w.edit(ed.RenameInstance("old", "new"))
    w.edit(ed.SetInput("new.in.conf", 1), ed.Activate("new"))
    length = len(w.journal)
    with pytest.raises(Conflict, match="has begun"):
        w.edit(*edits_between(document_of(w.state), at(w, 1)))
    assert len(w.journal) == length


def test_those_above_come_first_then_the_alphabet():
    w = world()
    w.add("z", "m.one", x=1)
    w.add("b", "m.one", x="z.out.y")
    w.add("c", "m.one", x=1)
    w.add("a", "m.two", x="b.out.y", z="c.out.y")
    assert list(document_of(w.state).instances) == ["z", "b", "c", "a"]
