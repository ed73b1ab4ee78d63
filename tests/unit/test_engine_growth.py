"""What the engine does for one more of anything does not grow with how many there are.

Counted in calls of the engine's functions, which are the same on every machine.
"""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from copernicus.engine import views
from copernicus.model import edits as ed
from copernicus.model.paths import parse
from copernicus.sdk import Module, Net, workflow
from support.workflows import SPECS, adaptive, compute, world
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


@pytest.mark.parametrize(
    "look",
    [
        views.instances,
        views.project_states,
        lambda state: views.summary(state, state.instances["a"]),
        lambda state: views.value(state, parse("b.in.x[5]")),
        lambda state: views.value(state, parse("a.in.x[5]")),
        lambda state: views.value(state, parse("b.out.y[5]")),
    ],
)
def test_looking_costs_the_same_however_many_elements_there_are(look):
    few, many = (elements(count).state for count in (300, 1000))
    look(few), look(many)
    assert calls(lambda: look(few)) == calls(lambda: look(many))


def test_a_page_of_elements_costs_the_same_however_many_there_are():
    def look(count):
        w = elements(count)
        w.set("a.in.x[+]", 7)
        views.instance(w.state, "b", 10, 20)
        return calls(lambda: views.instance(w.state, "b", 10, 20))

    assert look(100) == look(1000)


@workflow(outputs={"ys": list[Any]})
async def handing(net: Net, starts: list[Any]):
    """Hands the elements of its input on, by reference."""
    runs = [net.call("m.md", key=i, conf=net.inputs.starts[i]) for i in range(len(starts))]
    net.output(ys=net.collect([run.out.y for run in runs]))


@workflow(outputs={"ys": list[Any]})
async def copying(net: Net, starts: list[Any]):
    """Hands the elements of its input on, as values."""
    runs = [net.call("m.md", key=i, conf=start) for i, start in enumerate(starts)]
    net.output(ys=net.collect([run.out.y for run in runs]))


@workflow(outputs={"y": Any, "seen": Any})
async def deciding(net: Net, starts: list[Any], at_least: int | None, tolerate: int | None):
    """Goes on with a part of what it asked for: takes it, and looks at it."""
    runs = [net.call("m.md", key=i, conf=start) for i, start in enumerate(starts)]
    enough = net.collect([run.out.y for run in runs], at_least=at_least, tolerate=tolerate)
    net.output(y=net.call("m.sum", key="sum", xs=enough).out.y)
    net.output(seen=await enough)


FUNCTIONS = {"handing": handing, "copying": copying, "deciding": deciding}
Module("growth", "1", list(FUNCTIONS.values()))


def handed_on():
    return World(*SPECS, workflows={f"growth.{name}": one for name, one in FUNCTIONS.items()})


def work_from_the_end(w):
    """The last that was begun ends first."""
    while w.queue:
        activation = list(w.queue)[-1]
        made = w.state.activations[activation]
        function = w.state.instances[made.path].function
        w.done(activation, y=compute(function, made.inputs))


def grows_linearly(run):
    """What another hundred cost is twice what another fifty did."""
    first, second, third = (calls(lambda n=n: run(n)) for n in (50, 100, 200))
    return third - second == pytest.approx(2 * (second - first), rel=0.05)


@pytest.mark.parametrize("function", ["growth.handing", "growth.copying"])
def test_a_workflow_that_takes_a_mapped_output_costs_the_same_for_each_element(function):
    def run(count):
        w = handed_on()
        w.add("up", "m.md", conf=list(range(count)), mapped=["conf"])
        w.add("ad", function, starts="up.out.y")
        w.work(model)
        assert w.status("ad") == "done"

    assert grows_linearly(run)


@pytest.mark.parametrize("function", ["growth.handing", "growth.copying"])
def test_a_workflow_that_takes_the_list_of_another_costs_the_same_for_each_element(function):
    def run(count):
        w = handed_on()
        w.add("first", "growth.copying", starts=list(range(count)))
        w.add("second", function, starts="first.out.ys")
        w.work(model)
        assert w.status("second") == "done"

    assert grows_linearly(run)


@pytest.mark.parametrize("end", [lambda w: w.work(compute), work_from_the_end])
@pytest.mark.parametrize(
    "needs",
    [
        lambda count: {"at_least": count - count // 10},
        lambda count: {"at_least": count // 10},
        lambda _count: {"tolerate": 1},
        lambda _count: {},
    ],
)
def test_a_list_costs_the_same_for_each_item_in_whatever_order_they_end(needs, end):
    def run(count):
        w = handed_on()
        w.add("ad", "growth.deciding", starts=list(range(count)), **needs(count))
        end(w)
        assert w.status("ad") == "done"

    assert grows_linearly(run)


@pytest.mark.parametrize("made_by", ["m.list", "growth.copying"])
def test_a_mapping_over_a_list_that_is_one_output_costs_the_same_for_each_element(made_by):
    def run(count):
        w = handed_on()
        w.catalog["m.list"] = task_spec("m.list", "starts", "ys")
        w.add("up", made_by, starts=list(range(1, count + 1)))
        w.add("b", "m.md", conf="up.out.ys", mapped=["conf"])
        w.work(lambda _f, given: given.get("conf") or {"ys": given["starts"]})
        assert w.status("b[0]") == "done"

    assert grows_linearly(run)


def test_what_all_elements_take_is_not_gone_through_for_each():
    def run(count):
        w = World(ONE, task_spec("m.two", "x pool"))
        w.add("up", "m.one", x=list(range(count)), mapped=["x"])
        w.add("b", "m.two", x=list(range(count)), pool="up.out.y", mapped=["x"])
        w.work(lambda _function, inputs: inputs["x"])
        assert w.status("b[0]") == "done"

    assert grows_linearly(run)


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
