"""What a word on the command line means at a port of a type."""

import pytest

from copernicus.cli.reading import read_document, read_word, write_toml
from copernicus.errors import BadValue, NotFound
from copernicus.model.types import (
    AnyType,
    DictType,
    Field,
    FileType,
    IntType,
    ListType,
    RecordType,
    StrType,
    type_inside,
)
from copernicus.sdk.type_words import read_type

SETTINGS = RecordType("Settings", (Field("dt", IntType("fs")), Field("mdp", FileType())))


def named(described):
    return SETTINGS if described == "Settings" else read_type(described)


@pytest.mark.parametrize(
    ("word", "described", "value"),
    [
        ("1000", "int", 1000),
        ("1e3", "int", 1000.0),
        ("300", "float (K)", 300),
        ("1000", "str", "1000"),
        ("null", "str", "null"),
        ("null", "str | None", None),
        ("null", "int | None", None),
        ("-5", "int | None", -5),
        ("true", "bool", True),
        ("[1, 2]", "list[int]", [1, 2]),
        ('{"a": 1.5}', "dict[str, float]", {"a": 1.5}),
        ("md", "'md' | 'sd'", "md"),
        ("2", "1 | 2", 2),
        ("a b", "Any", "a b"),
        ("[1]", "Any", [1]),
        ('{"dt": 0.002}', "Settings", {"dt": 0.002}),
        ("12", "Any", 12),
        ("25 degC", "float (K)", "25 degC"),
        ("0.1 ns", "int (ps) | None", "0.1 ns"),
        ("@x", "str", "@x"),
        ("@x", "Any", "@x"),
    ],
)
def test_a_word_is_read_by_the_type_of_its_port(word, described, value):
    read = read_word(word, named(described), "run.in.x")

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("word", "described", "said"),
    [
        ("abc", "int", "expected int at run.in.x, got 'abc'"),
        ("1.5", "int", "expected int"),
        ("true", "int", "expected int"),
        ("1", "bool", "expected bool"),
        ("fast", "float", "expected float at run.in.x"),
        ("25 degC", "float", "expected float at run.in.x, got '25 degC'"),
        ("5", "Settings", "write JSON"),
        ("1,2", "list[int]", "write JSON"),
        ("5", "list[int]", "expected list[int]"),
        ("[1]", "dict[str, int]", "expected dict[str, int]"),
        ("xx", "'md' | 'sd'", "it may be: md, sd"),
        ("a.gro", "File", "cpc set-file run.in.x FILE"),
        ("a.gro", "list[File]", "cpc set-file run.in.x FILE"),
    ],
)
def test_a_word_that_cannot_be_is_refused_with_the_remedy(word, described, said):
    with pytest.raises(BadValue) as caught:
        read_word(word, named(described), "run.in.x")

    assert said in caught.value.message


@pytest.mark.parametrize(
    ("described", "steps", "inner"),
    [
        ("list[File]", (2,), FileType()),
        ("list[File]", ("+",), FileType()),
        ("list[list[int]] | None", (0, 1), IntType()),
        ("dict[str, float (K)]", ("a b",), read_type("float (K)")),
        ("Settings", ("dt",), IntType("fs")),
        ("Settings", ("steps",), None),
        ("int", (0,), None),
        ("Any", ("x", 3), AnyType()),
    ],
)
def test_the_type_of_a_part_follows_from_the_whole(described, steps, inner):
    assert type_inside(named(described), steps) == inner


def test_a_record_comes_from_a_file_and_its_files_lie_beside_it(tmp_path):
    (tmp_path / "s.toml").write_text('dt = "0.002 ps"\nmdp = "md.mdp"\n')
    (tmp_path / "s.json").write_text('[{"dt": 2, "mdp": "/a/md.mdp"}]')

    assert read_document(tmp_path / "s.toml", SETTINGS, "x") == {
        "dt": "0.002 ps",
        "mdp": tmp_path / "md.mdp",
    }
    read = read_word(f"@{tmp_path / 's.json'}", ListType(SETTINGS), "x")
    assert str(read[0]["mdp"]) == "/a/md.mdp"


def test_what_is_no_table_has_one_key_in_toml(tmp_path):
    file = tmp_path / "v.toml"
    file.write_text(write_toml([1, 2], "x"))

    assert read_document(file, ListType(IntType()), "x") == [1, 2]
    file.write_text(write_toml({"a": "b\nc", "d": None}, "x"))
    assert read_document(file, DictType(StrType()), "x") == {"a": "b\nc"}


def test_files_that_cannot_be_read_are_refused_by_name(tmp_path):
    (tmp_path / "broken.toml").write_text("a = ")
    (tmp_path / "other.toml").write_text("a = 1")
    (tmp_path / "latin").write_bytes(b"\xff")

    with pytest.raises(NotFound, match=r"no\.toml"):
        read_document(tmp_path / "no.toml", SETTINGS, "x")
    with pytest.raises(BadValue, match=r"broken\.toml is no TOML"):
        read_document(tmp_path / "broken.toml", SETTINGS, "x")
    with pytest.raises(BadValue, match="must have it as value = "):
        read_document(tmp_path / "other.toml", IntType(), "x")
    with pytest.raises(BadValue, match="Cannot read"):
        read_document(tmp_path / "latin", SETTINGS, "x")
    with pytest.raises(BadValue, match="use --json"):
        write_toml([1, None], "run.out.x")
