"""What the engine does for one more of anything does not grow with how many there are.

Counted in calls of the engine's functions, which are the same on every machine.
"""

import sys
from collections.abc import Callable

import pytest

from copernicus.engine import views
from copernicus.model import edits as ed
from support.workflows import adaptive, compute, world
from support.world import World, task_spec

ONE = task_spec("m.one", "x")


def calls(act: Callable[[], object]) -> int:
    """How many functions of the engine are called."""
    count = 0

    def note(frame, event, _argument):
        nonlocal count
        count += event == "call" and "/engine/" in frame.f_code.co_filename

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(before)
    return count


def model(function, inputs):
    if function == "m.model":
        return {"seeds": [x % 7 for x in inputs["xs"]]}
    return compute(function, inputs)


def loop(generations):
    def run():
        w = world(adaptive, starts=[1, 2], generations=generations)
        w.work(model)
        assert w.status("ad") == "done"

    return run


def test_a_generation_costs_the_same_however_many_there_were():
    first, second, third = (calls(loop(generations)) for generations in (20, 40, 80))
    assert third - second == pytest.approx(2 * (second - first), rel=0.02)


def test_a_retired_generation_comes_back_for_the_same():
    def there_and_back(generations):
        w = world(adaptive, starts=[1, 2], generations=generations)
        w.work(model)
        w.set("ad.in.generations", 1)
        w.set("ad.in.generations", generations)
        assert w.status("ad") == "done"

    first, second, third = (calls(lambda g=g: there_and_back(g)) for g in (10, 20, 40))
    assert third - second == pytest.approx(2 * (second - first), rel=0.05)


def test_a_call_costs_the_same_however_many_are_made_at_once():
    def wide(count):
        w = world(adaptive, starts=list(range(count)), generations=1)
        w.work(model)

    first, second, third = (calls(lambda n=n: wide(n)) for n in (50, 100, 200))
    assert third - second == pytest.approx(2 * (second - first), rel=0.05)


def elements(count):
    w = World(ONE)
    w.add("a", "m.one", x=list(range(count)), mapped=["x"])
    w.edit(ed.AddInstance("b", "m.one", ("x",), held=False), ed.Connect("a.out.y", "b.in.x"))
    w.work(lambda _function, inputs: inputs["x"])
    return w


def append_and_run(w):
    w.set("a.in.x[+]", 7)
    w.work(lambda _function, inputs: inputs["x"])
    assert w.status("b[50]") == "done"


def test_one_more_element_costs_the_same_however_many_there_are():
    few, many = (elements(count) for count in (50, 500))
    assert calls(lambda: append_and_run(few)) == calls(lambda: append_and_run(many))


def test_a_page_of_elements_costs_little_more_where_there_are_many():
    def look(w):
        return calls(lambda: views.instance(w.state, "b", 10, 20))

    # What is left is to count the states: a word for each.
    assert look(elements(1000)) - look(elements(100)) < 15 * 900


def test_an_element_that_comes_back_with_its_former_identity_is_there_again():
    w = World(ONE)
    w.add("a", "m.one", x=[1, 2], mapped=["x"])
    w.work(lambda _function, inputs: inputs["x"])
    w.edit(ed.RemoveInstance("a"))
    w.edit(ed.AddInstance("a", "m.one", ("x",), held=False))
    w.set("a.in.x", [])
    for value in (1, 2):
        w.set("a.in.x[+]", value)
    w.work(lambda _function, inputs: inputs["x"])
    w.check()
    assert w.value("a.out.y") == [1, 2]
