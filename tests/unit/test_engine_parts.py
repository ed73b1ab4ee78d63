"""Setting and clearing parts of inputs: elements, members, members of records in lists."""

from typing import Any

import msgspec
import pytest

from copernicus.errors import BadValue, Conflict, NotFound
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.functions import Port
from copernicus.model.paths import Address, parse, written_step
from copernicus.model.types import (
    AnyType,
    DictType,
    Field,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    RecordType,
    StrType,
)
from copernicus.sdk import Module, Net, workflow
from support.world import World, task_spec

SETTING = RecordType(
    "Setting",
    (Field("name", StrType()), Field("value", OptionalType(FloatType("ps")), required=False)),
)
PORTS = (
    Port("settings", SETTING, required=False, default={"name": "dt", "value": 2.0}),
    Port("table", ListType(SETTING), required=False),
    Port("numbers", ListType(IntType()), required=False, default=[1, 2]),
    Port("words", DictType(ListType(StrType())), required=False),
    Port("free", AnyType(), required=False),
)


@workflow(outputs={"y": Any})
async def melting(net: Net):
    """Writes values with their units."""
    first = net.call("m.hot", key="first", kelvin="25 degC", times=["1 ns", 5])
    net.output(y=first.out.y)


@workflow(outputs={"y": Any})
async def wrong(net: Net):
    """Connects a time to a temperature."""
    source = net.call("m.timed", key="source", x=1)
    net.output(y=net.call("m.hot", key="hot", kelvin=source.out.time, times=[]).out.y)


Module("lib", "1", [melting, wrong])
HOT = task_spec("m.hot", (Port("kelvin", FloatType("K")), Port("times", ListType(IntType("ps")))))
TIMED = msgspec.structs.replace(task_spec("m.timed", "x"), outputs=(Port("time", FloatType("ps")),))


def test_what_a_workflow_writes_with_a_unit_reaches_its_calls_as_a_number():
    world = World(HOT, workflows={"lib.melting": melting})
    world.add("w", "lib.melting")
    world.work(lambda _, inputs: [inputs["kelvin"], inputs["times"]])

    assert world.value("w.out.y") == [298.15, [1000, 5]]
    world.restart()
    world.check()


def test_a_workflow_cannot_connect_ports_of_different_units():
    world = World(HOT, TIMED, workflows={"lib.wrong": wrong})
    world.add("w", "lib.wrong")

    assert world.status("w") == "failed"
    failure = next(e.failure for e in world.journal if isinstance(e, ev.EvaluationEnded))
    assert "takes float (K)" in failure.reason
    assert "gives float (ps)" in failure.reason


@pytest.fixture
def world():
    world = World(task_spec("m.f", PORTS), task_spec("m.one", "x"))
    world.add("f", "m.f")
    yield world
    world.check()


@pytest.mark.parametrize(
    ("target", "value", "port", "after"),
    [
        ("settings.name", "nsteps", "settings", {"name": "nsteps", "value": 2.0}),
        ("settings.value", "1 ns", "settings", {"name": "dt", "value": 1000.0}),
        ("table[0].name", "new", "table", [{"name": "new"}]),
        ("table[+].name", "new", "table", [{"name": "new"}]),
        ("numbers[1]", 5, "numbers", [1, 5]),
        ("numbers[+]", 3, "numbers", [1, 2, 3]),
        ("numbers[2]", 3, "numbers", [1, 2, 3]),
        ("words.a[+]", "b", "words", {"a": ["b"]}),
        ('words["a.b]"]', ["c"], "words", {"a.b]": ["c"]}),
        ("words.gen-seed", [], "words", {"gen-seed": []}),
        ("free.a[0].b", 1, "free", {"a": [{"b": 1}]}),
    ],
)
def test_a_part_is_set_and_the_rest_stays(world, target, value, port, after):
    world.set(f"f.in.{target}", value)

    assert world.value(f"f.in.{port}") == after


def test_a_member_of_a_record_in_a_list_is_set_and_cleared(world):
    world.set("f.in.table", [{"name": "a"}, {"name": "b", "value": 1}])
    world.set("f.in.table[1].value", "0.5 ns")
    world.set("f.in.table[0].name", "c")

    assert world.value("f.in.table") == [{"name": "c"}, {"name": "b", "value": 500.0}]
    world.edit(ed.ClearInput("f.in.table[1].value"))
    assert world.value("f.in.table") == [{"name": "c"}, {"name": "b"}]
    world.edit(ed.ClearInput("f.in.table[0]"))
    assert world.value("f.in.table") == [{"name": "b"}]


def test_members_of_dicts_come_and_go(world):
    world.edit(ed.SetInput("f.in.words.a", ["x"]), ed.SetInput("f.in.words.b", []))
    world.edit(ed.ClearInput("f.in.words.a"))

    assert world.value("f.in.words") == {"b": []}
    world.edit(ed.ClearInput("f.in.words"))
    assert world.value("f.in.words") is None


@pytest.mark.parametrize(
    ("edit", "error", "said"),
    [
        (ed.ClearInput("f.in.settings.name"), BadValue, "lacks name"),
        (ed.ClearInput("f.in.words.a"), NotFound, "no 'a' to remove"),
        (ed.ClearInput("f.in.numbers[2]"), NotFound, "has 2 elements"),
        (ed.SetInput("f.in.numbers[3]", 1), NotFound, "has 2 elements"),
        (ed.SetInput("f.in.numbers.a", 1), BadValue, "is a list"),
        (ed.SetInput("f.in.settings.steps", 1), BadValue, "no member 'steps'"),
        (ed.SetInput("f.in.settings[0]", 1), NotFound, "no place 0 in a record"),
        (ed.SetInput("f.in.settings.value", "5 K"), BadValue, "K is a unit of"),
        (ed.SetInput("g.in.free.a", 1), Conflict, "is connected"),
    ],
)
def test_a_part_that_cannot_be_is_refused_and_nothing_changes(world, edit, error, said):
    world.add("a", "m.one", x=1)
    world.add("g", "m.f", free="a.out.y")
    before = world.state.revision

    with pytest.raises(error, match=said):
        world.edit(edit)
    assert world.state.revision == before


@pytest.mark.parametrize("name", ["a", "gen-seed", "a b", "a]", 'a"b', "0", "", "ü", "a.b", "\n"])
def test_every_name_of_a_member_can_stand_in_a_path(name):
    address = Address("f", "in", "words", (name, 2))

    assert parse(f"f.in.words{written_step(name)}[2]") == address
    assert parse(str(address)) == address


@pytest.mark.parametrize("text", ['f.in.x["+"]', 'f.in.x["]', 'f.in.x["a]', "f.in.x['a']"])
def test_what_is_no_name_of_a_member_is_refused(text):
    with pytest.raises(BadValue):
        parse(text)
