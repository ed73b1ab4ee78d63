"""A shadow is a copy: nothing that the engine changes in place belongs to both."""

from __future__ import annotations

import dataclasses

import msgspec
import pytest

from copernicus.engine.instances import Activation
from copernicus.engine.shadow import SHARED, Shadow, copy_state
from copernicus.engine.state import field_types
from copernicus.model import edits as ed
from copernicus.model.functions import Port
from copernicus.model.types import AnyType
from support.workflows import GUIDE, compute, world
from support.world import World, task_spec


def busy_world():
    """Something of everything: lists, branches, decisions, answers, failures, work under way."""
    w = world(GUIDE["adaptive"], starts=[1, 2], generations=3)
    w.add("md", "m.md", conf=[1, 2, 3], mapped=["conf"])
    w.add("sum", "m.sum", xs="md.out.y")
    w.add("two", "w.two_branches")
    w.add("rac", "w.racing", starts=[1, 2], at_least=1)
    w.work(compute, limit=9)
    w.edit(ed.RemoveInstance("sum"))
    return w


def held_in_place(one, seen):
    """Every container and object inside ``one`` that could be changed in place, with its path."""
    kind = type(one)
    if kind in SHARED:
        if kind is Activation and one.outcome and one.partial is None:
            return
        names = [name for name in field_types(kind) if name not in SHARED[kind]]
        inside = [(f".{name}", getattr(one, name)) for name in names]
        if kind.__name__ == "ProjectState":
            inside.append((".activations", one.activations))
    elif kind is dict:
        inside = [(f"[{key!r}]", value) for key, value in one.items()]
    elif kind in (list, tuple):
        inside = [(f"[{place}]", value) for place, value in enumerate(one)]
    else:
        frozen = not dataclasses.is_dataclass(one) or one.__dataclass_params__.frozen
        frozen = frozen and (not isinstance(one, msgspec.Struct) or one.__struct_config__.frozen)
        assert frozen, f"is {kind} changed in place? see SHARED"
        inside = []
    if kind not in (tuple, str) and (kind in SHARED or kind in (dict, list, set)):
        seen[id(one)] = one
    for _, value in inside:
        held_in_place(value, seen)


def test_nothing_that_is_changed_in_place_belongs_to_both():
    state = busy_world().state
    copied = copy_state(state)
    mine, theirs = {}, {}
    held_in_place(state, mine)
    held_in_place(copied, theirs)
    assert len(mine) > 100
    both = [mine[one] for one in mine.keys() & theirs.keys()]
    assert both == []


def test_a_copy_tells_the_same_story():
    w = busy_world()
    copied = copy_state(w.state)
    assert copied.facts() == w.state.facts()
    assert copied == w.state


@pytest.mark.parametrize(
    "edit",
    [
        ed.SetInput("ad.in.generations", 1),
        ed.SetInput("md.in.conf[+]", 9),
        ed.ClearInput("md.in.conf[0]"),
        ed.RemoveInstance("md"),
        ed.RenameInstance("md", "other"),
        ed.Cancel("two"),
        ed.Skip("md[1]"),
        ed.Pause(),
    ],
)
def test_an_edit_of_the_shadow_leaves_the_project_alone(edit):
    w = busy_world()
    before = copy_state(w.state)
    shadow = Shadow(copy_state(w.state), w.catalog)
    shadow.edit([edit], "ann")
    assert shadow.state.facts() != before.facts()
    assert w.state == before
    w.check()


def test_what_a_shadow_withdraws_stays_in_the_project():
    """A provisional version is taken from an activation that has ended."""
    streaming = task_spec("m.watch", [Port("x", AnyType(), streaming=True)])
    w = World(task_spec("m.one", "x"), streaming)
    w.add("run", "m.one", x=1)
    w.add("watch", "m.watch", x="run.out.y")
    w.so_far("run", y="a")
    w.done("watch", y="seen a")
    before = copy_state(w.state)
    shadow = Shadow(copy_state(w.state), w.catalog)
    shadow.edit([ed.Cancel("run")], "ann")
    given = before.instances["watch"].elements[""].partial
    assert given is not None
    assert shadow.state.activations[given].partial is None
    assert w.state == before
    w.check()
