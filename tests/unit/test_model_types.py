"""Port types: reading hints, holding values against them, saying what is wrong."""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pytest

from copernicus.errors import BadDefinition, BadValue
from copernicus.model.hints import Unit, from_hint
from copernicus.model.types import (
    AnyType,
    EnumType,
    FileType,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    PortType,
    accepts,
    check,
    describe,
    json_schema,
)
from copernicus.model.values import File, digest, files_in, to_plain


@dataclass(frozen=True)
class Settings:
    """A record."""

    nsteps: int
    temperature: Annotated[float, Unit("K")] = 300.0


FILE = {"$file": "ab" * 32, "size": 3, "name": "x.gro"}


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (list[File], "list[File]"),
        (dict[str, float], "dict[str, float]"),
        (int | None, "int | None"),
        (Literal["a", "b"], "'a' | 'b'"),
        (Annotated[float, Unit("kJ/mol")], "float (kJ/mol)"),
        (Settings, "Settings"),
        (Any, "Any"),
    ],
)
def test_a_hint_becomes_a_type_that_travels_and_is_described(hint, words):
    port_type = from_hint(hint)
    assert describe(port_type) == words
    sent = msgspec.json.encode(port_type)
    assert msgspec.json.decode(sent, type=PortType) == port_type


def test_a_hint_that_no_port_can_have_is_refused():
    with pytest.raises(BadDefinition, match="no port can have the type"):
        from_hint(set[int])


@pytest.mark.parametrize(
    ("hint", "given", "plain"),
    [
        (float, 3, 3.0),
        (int, 3.0, 3),
        (list[float], (1, 2), [1.0, 2.0]),
        (File, FILE, FILE),
        (Settings, {"nsteps": 5}, {"nsteps": 5}),
        (int | None, None, None),
        (Literal["x", 2], 2, 2),
        (Any, {"a": [1, None]}, {"a": [1, None]}),
    ],
)
def test_good_values_have_one_plain_form(hint, given, plain):
    assert check(from_hint(hint), given) == plain


@pytest.mark.parametrize(
    ("hint", "given", "words"),
    [
        (list[File], [FILE, 3], r"expected File at run.in.x\[1\], got int 3"),
        (int, 2.5, "expected int at run.in.x, got float 2.5"),
        (int, True, "got bool True"),
        (float, math.nan, "got float nan"),
        (str, None, "got nothing"),
        (Settings, {"nsteps": 1, "steps": 2}, "no member 'steps'"),
        (Settings, {}, "lacks nsteps"),
        (Literal["a"], "b", "expected 'a' at run.in.x, got str 'b'"),
        (Any, {1: 2}, "not JSON"),
        (int, FILE, "got file 'x.gro'"),
    ],
)
def test_wrong_values_are_told_in_one_sentence(hint, given, words):
    with pytest.raises(BadValue, match=words):
        check(from_hint(hint), given, "run.in.x")


@pytest.mark.parametrize(
    ("target", "source", "fits"),
    [
        (FloatType(), IntType(), True),
        (IntType(), FloatType(), False),
        (OptionalType(FileType()), FileType(), True),
        (FileType(), OptionalType(FileType()), False),
        (ListType(AnyType()), ListType(FileType()), True),
        (EnumType(("a", "b")), EnumType(("a",)), True),
        (EnumType(("a",)), EnumType(("a", "b")), False),
        (from_hint(Settings), from_hint(Settings), True),
    ],
)
def test_which_outputs_go_into_which_inputs(target, source, fits):
    assert accepts(target, source) is fits


def test_schemas_name_units_and_members():
    schema = json_schema(from_hint(Settings))
    assert schema["required"] == ["nsteps"]
    assert schema["properties"]["temperature"] == {"type": "number", "unit": "K"}


def test_plain_values_know_their_files_and_digests():
    value = to_plain({"traj": [File("00", 1, "a"), File("11", 2, "b")], "s": Settings(3)})
    assert [file.name for file in files_in(value)] == ["a", "b"]
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    assert digest(1) != digest("1")
