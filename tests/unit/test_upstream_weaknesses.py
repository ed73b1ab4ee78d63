"""What was broken in the first Copernicus, one test each: the rules of the engine.

Its weaknesses are those that reading and running gromacs/copernicus 2.1 has shown. Those that need
a server are in tests/e2e/test_upstream_regressions.py.
"""

import sys
from typing import Any

import pytest

from copernicus.errors import BadValue, Conflict
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.functions import Port
from copernicus.model.types import Field, FloatType, ListType, RecordType, StrType
from copernicus.sdk import Module, Net, workflow
from support.world import World, task_spec

SETTING = RecordType(
    "Setting", (Field("name", StrType()), Field("value", StrType(), required=False))
)
SPECS = (
    task_spec("m.md", "conf"),
    task_spec("m.settings", [Port("settings", ListType(SETTING))]),
    task_spec("m.number", [Port("x", FloatType())]),
)


@workflow(outputs={"ys": list[Any]})
async def grompps(net: Net, confs: list[Any], shared: Any = 0):
    """Hands its inputs on to calls inside it."""
    runs = [net.call("m.md", key=("md", i), conf=[c, shared]) for i, c in enumerate(confs)]
    net.output(ys=net.collect([run.out.y for run in runs]))


@workflow(outputs={"y": Any})
async def outer(net: Net, confs: list[Any]):
    """Hands its input on to a workflow inside it."""
    inner = net.call("lib.grompps", key="inner", confs=confs)
    net.output(y=inner.out.ys)


Module("lib", "1", [grompps, outer])


@pytest.fixture
def world():
    made = World(*SPECS, workflows={"lib.grompps": grompps, "lib.outer": outer})
    yield made
    made.check()


def passed_on(function, inputs):
    return next(iter(inputs.values()))


def test_a_set_on_an_input_that_is_handed_on_into_a_sub_network_arrives(world):
    world.add("w", "lib.outer", confs=["a", "b"])
    world.work(passed_on)
    assert world.value("w.out.y") == [["a", 0], ["b", 0]]
    world.starts()

    world.set("w.in.confs[0]", "changed")
    world.work(passed_on)
    assert world.value("w.out.y") == [["changed", 0], ["b", 0]]
    assert [path for path in world.starts() if "md-" in path] == ["w/inner/md-0"]


def test_a_set_on_a_member_of_a_record_in_a_list_arrives(world):
    world.add("g", "m.settings", settings=[])
    world.work(passed_on)
    world.edit(
        ed.SetInput("g.in.settings[0].name", "nsteps"),
        ed.SetInput("g.in.settings[0].value", "500"),
    )
    world.work(passed_on)
    assert world.value("g.out.y") == [{"name": "nsteps", "value": "500"}]

    world.set("g.in.settings[0].value", "600")
    world.work(passed_on)
    assert world.value("g.out.y") == [{"name": "nsteps", "value": "600"}]


def test_setting_an_equal_value_fires_nothing(world):
    world.add("w", "lib.grompps", confs=["a", "b"])
    world.add("g", "m.settings", settings=[{"name": "dt"}])
    world.work(passed_on)
    world.starts()

    world.set("w.in.confs", ["a", "b"])
    world.set("w.in.confs[1]", "b")
    world.set("w.in.shared", 0)
    world.set("g.in.settings[0].name", "dt")
    assert world.starts() == []
    assert not world.queue
    assert world.standing("w.out.ys") == "current"


def test_a_transaction_with_one_wrong_edit_does_nothing_at_all(world):
    world.add("a", "m.number", x=1.0)
    before, events = world.state.revision, len(world.journal)
    with pytest.raises(BadValue, match="expected float"):
        world.edit(ed.SetInput("a.in.x", 2.0), ed.SetInput("a.in.x", "three"))
    assert (world.state.revision, len(world.journal)) == (before, events)
    assert world.value("a.in.x") == 1.0


def test_a_cycle_is_refused(world):
    world.add("a", "m.md", conf=1)
    world.add("b", "m.md", conf="a.out.y")
    with pytest.raises(Conflict, match="cycle"):
        world.edit(ed.Connect("b.out.y", "a.in.conf"))


@pytest.mark.parametrize("name", ["1x", "in put", "", "a.b", "a[0]", "../x"])
def test_a_name_that_no_path_can_have_is_refused(world, name):
    with pytest.raises((BadValue, Conflict)):
        world.edit(ed.AddInstance(name, "m.md"))


def test_instances_and_connections_can_be_removed(world):
    world.add("a", "m.md", conf=1)
    world.add("b", "m.md", conf="a.out.y")
    world.edit(ed.RemoveInstance("a"))
    assert set(world.state.instances) == {"b"}
    assert world.standing("b.in.conf") == "unset"


def test_replaced_outputs_stay_in_the_history(world):
    world.add("a", "m.md", conf="first")
    world.work(passed_on)
    world.set("a.in.conf", "second")
    world.work(passed_on)

    assert world.value("a.out.y") == "second"
    outputs = [made.outputs for made in world.state.activations.values() if made.path == "a"]
    assert outputs == [{"y": "first"}, {"y": "second"}]
    told = [e.outputs for e in world.journal if isinstance(e, ev.ActivationEnded)]
    assert told == outputs


def test_numbers_keep_every_digit(world):
    numbers = [0.123456789012345678, 1 / 3, 5e-324, 1.7976931348623157e308, -0.1]
    for number in numbers:
        world.add(f"a{numbers.index(number)}", "m.number", x=number)
    world.work(passed_on)
    world.restart()
    assert [world.value(f"a{i}.out.y") for i in range(len(numbers))] == numbers


def _calls(count, build):
    """How many Python functions are called while ``count`` simulations are made and done."""
    world = World(*SPECS, workflows={"lib.grompps": grompps})
    called = 0

    def tell(frame, event, argument):
        nonlocal called
        called += event == "call"

    sys.setprofile(tell)
    try:
        build(world, count)
        world.work(passed_on)
    finally:
        sys.setprofile(None)
    assert sum(isinstance(e, ev.ActivationEnded) for e in world.journal) >= count
    return called


def _mapped(world, count):
    world.add("run", "m.md", conf=list(range(count)), mapped=["conf"])
    world.add("end", "m.settings", settings=[])


def _declared(world, count):
    world.add("w", "lib.grompps", confs=list(range(count)))


@pytest.mark.parametrize("build", [_mapped, _declared])
def test_fan_out_is_linear(build):
    _calls(10, build)
    small, large = _calls(150, build), _calls(600, build)
    # Four times the work; a quadratic engine would take sixteen times the steps.
    assert large < 5 * small
