"""What a word on the command line means at a port of a type."""

import pytest

from copernicus.cli.reading import read_word, type_inside
from copernicus.errors import BadValue


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
        ("12", "", 12),
    ],
)
def test_a_word_is_read_by_the_type_of_its_port(word, described, value):
    read = read_word(word, described, "run.in.x")

    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("word", "described", "said"),
    [
        ("abc", "int", "expected int at run.in.x, got 'abc'"),
        ("1.5", "int", "expected int"),
        ("true", "int", "expected int"),
        ("1", "bool", "expected bool"),
        ("fast", "float (K)", "expected float (K)"),
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
        read_word(word, described, "run.in.x")

    assert said in caught.value.message


@pytest.mark.parametrize(
    ("described", "steps", "inner"),
    [
        ("list[File]", (2,), "File"),
        ("list[File]", ("+",), "File"),
        ("list[list[int]] | None", (0, 1), "int"),
        ("dict[str, float]", ("dt",), "float"),
        ("Settings", ("dt",), ""),
        ("int", (), "int"),
    ],
)
def test_the_type_of_a_part_follows_from_the_whole(described, steps, inner):
    assert type_inside(described, steps) == inner
