"""Paths and keys."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from copernicus.errors import BadValue
from copernicus.model.paths import child, key_name, parse


@pytest.mark.parametrize(
    "text",
    [
        "run.in.conf[+]",
        "run.in.conf[0]",
        "fe/coulomb.out.delta_f",
        "prep.in.settings.nsteps",
        "a.in.table[2].name",
        "run",
        "run[3]",
        "fe@e1/md-0-3.out.x",
        "run.out",
    ],
)
def test_a_path_is_written_as_it_was_read(text):
    assert str(parse(text)) == text


@pytest.mark.parametrize("text", ["", "run.sideways.x", "run.in.x[a]", "run in", "run.in.x[-1]"])
def test_what_is_no_path_is_refused(text):
    with pytest.raises(BadValue):
        parse(text)


part = st.one_of(st.integers(-9, 99), st.text("ab01-_~/. é", max_size=4))
keys = st.one_of(part, st.lists(part, min_size=1, max_size=3).map(tuple))


def whole(key):
    return key if isinstance(key, tuple) else (key,)


@given(keys, keys)
def test_different_keys_have_different_names(a, b):
    assert (key_name(a) == key_name(b)) == (
        [(type(x), x) for x in whole(a)] == [(type(x), x) for x in whole(b)]
    )


@given(keys)
def test_a_key_is_one_name_of_a_path(key):
    path = child("fe", "e1", key_name(key))
    assert path.count("/") == 1
    assert parse(f"{path}.out.x").instance == path


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("run.nsteps", "for an input write run.in.nsteps, for an output run.out.nsteps"),
        ("fe/md.conf[2]", "for an input write fe/md.in.conf[2]"),
        ("run[3].in.conf", "the position comes last, as in run.in.conf[3]"),
        ("run..x", "write for example run.in.conf[0]"),
    ],
)
def test_a_path_that_is_nearly_one_says_what_is_missing(text, hint):
    with pytest.raises(BadValue) as refused:
        parse(text)
    assert hint in refused.value.message


def test_an_output_of_an_element_is_an_element_of_the_output():
    assert parse("run[3].out.xtc") == parse("run.out.xtc[3]")
    assert parse("run[3].out.logs[1]") == parse("run.out.logs[3][1]")
