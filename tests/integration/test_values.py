"""Any value of any type, set in every way, comes back equal, also after a restart of the server."""

import itertools
import json
import math
import tomllib

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, example, given, settings

from copernicus import Client
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.jobs import Command, Line
from copernicus.model.resources import ProgramNeed
from copernicus.model.types import (
    AnyType,
    BoolType,
    DictType,
    EnumType,
    Field,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    RecordType,
    StrType,
    check,
)
from copernicus.server.embedded import EmbeddedServer
from support.cli_world import PASSWORD, Terminal

names = st.sampled_from(["a", "b_2", "nsteps"])
words = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e300, 1e300) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


def values_of(port_type):
    match port_type:
        case BoolType():
            return st.booleans()
        case IntType():
            return st.integers(-(2**63), 2**63 - 1)
        case FloatType():
            return st.floats(allow_nan=False, allow_infinity=False)
        case StrType():
            return words | st.sampled_from(
                ["null", "12", "/etc/passwd", "@x", "--json", "-1", "[1"]
            )
        case AnyType():
            return json_values
        case EnumType(choices=choices):
            return st.sampled_from(choices)
        case ListType(item=item):
            return st.lists(values_of(item), max_size=3)
        case DictType(value=value):
            return st.dictionaries(words, values_of(value), max_size=3)
        case OptionalType(item=item):
            return st.none() | values_of(item)
        case RecordType(fields=fields):
            needed = {f.name: values_of(f.type) for f in fields if f.required}
            others = {f.name: values_of(f.type) for f in fields if not f.required}
            return st.fixed_dictionaries(needed, optional=others)
    raise AssertionError(port_type)


def records(inner):
    field = st.builds(Field, names, inner, st.booleans())
    fields = st.lists(field, min_size=1, max_size=3, unique_by=lambda f: f.name)
    return fields.map(lambda found: RecordType("Record", tuple(found)))


plain_types = st.sampled_from(
    [
        BoolType(),
        IntType(),
        IntType("ps"),
        FloatType(),
        FloatType("kJ/mol"),
        StrType(),
        AnyType(),
        EnumType(("md", "2", 3)),
    ]
)
types = st.recursive(
    plain_types | plain_types.map(OptionalType),
    lambda inner: inner.map(ListType) | inner.map(DictType) | records(inner),
    max_leaves=4,
)
typed = types.flatmap(lambda kind: st.tuples(st.just(kind), values_of(kind)))


def taking(name, port_type):
    """A function with one input."""
    return FunctionSpec(
        name=name,
        version="1",
        kind="program",
        inputs=(Port("x", port_type, required=False),),
        outputs=(),
        program=ProgramNeed("nothing"),
        template=Command(lines=(Line(("{program}",)),), outputs=()),
    )


def word_for(port_type, value):
    """How a value is written on the command line; None where it cannot be."""
    inner = port_type.item if isinstance(port_type, OptionalType) else port_type
    if isinstance(inner, StrType) and value is not None:
        return None if value == "null" and inner is not port_type else value
    if isinstance(inner, EnumType) and value is not None:
        return str(value)
    if isinstance(inner, FloatType) and inner.unit and value is not None:
        return f"{value!r} {inner.unit}"
    return json.dumps(value)


def has_toml_in(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is not None and all(map(has_toml_in, inner))


@pytest.mark.timeout(240)
def test_any_value_set_in_any_way_comes_back_equal_also_after_a_restart(tmp_path):
    _, server = EmbeddedServer.make(tmp_path / "s", PASSWORD)
    kept, number = {}, itertools.count()
    with server:
        cpc = Terminal(tmp_path / "ann").login(server)
        cpc("project", "create", "values")
        with Client(config=cpc.config) as client:
            project = client.project()

            @settings(
                max_examples=30,
                derandomize=True,
                deadline=None,
                report_multiple_bugs=False,
                suppress_health_check=list(HealthCheck),
                database=None,
            )
            @given(typed)
            @example((OptionalType(BoolType()), None))
            def every_way(made):
                kept.update(_in_every_way(cpc, project, next(number), *made))

            every_way()
    with EmbeddedServer(tmp_path / "s"):
        cpc.login(server)
        with Client(config=cpc.config) as client:
            project = client.project("values")
            for path, value in kept.items():
                assert same(project.get(path), value), path


def _in_every_way(cpc, project, number, port_type, value):
    path = f"f{number}.in.x"
    with project.transaction():
        project.define(taking(f"t.f{number}", port_type))
        project.add(f"f{number}", f"t.f{number}")
    plain = check(port_type, value)

    project.set(path, value)
    assert same(project.get(path), plain)
    word = word_for(port_type, value)
    if word is not None:
        project.unset(path)
        cpc("set", path, "--", word)
        assert same(project.get(path), plain), word
    project.unset(path)
    cpc("set", path, "--json-file", cpc.file("v.json", json.dumps(value)))
    assert same(cpc("get", path, "--json").data["value"], plain)
    if has_toml_in(value) and (isinstance(value, dict) or not isinstance(port_type, AnyType)):
        text = cpc("get", path, "--toml").out
        read = tomllib.loads(text)
        assert same(read if isinstance(value, dict) else read["value"], plain)
        project.unset(path)
        cpc("set", path, "--toml", cpc.file("v.toml", text.encode()))
        assert same(project.get(path), plain)
    return {path: plain}


def same(one, other):
    """Equal, to the last digit and the sign of nothing, in value and type."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other
