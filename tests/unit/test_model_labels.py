"""The language in which jobs ask for labels of workers."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from copernicus.errors import BadDefinition
from copernicus.model.labels import fits_labels, parse_labels, read_labels
from copernicus.model.resources import Resources, check_resources

KTH = ("site=kth", "preemptible", "rack=7", "net=infiniband")


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("", True),
        ("preemptible", True),
        ("!preemptible", False),
        ("not preemptible", False),
        ('site == "kth"', True),
        ("site == kth", True),
        ("site = 'kth'", True),
        ('site != "kth"', False),
        ('nowhere != "kth"', True),
        ('nowhere == ""', False),
        ('site == "kth" && !preemptible', False),
        ('site == "pdc" || preemptible', True),
        ('site == "pdc" || site == "kth" && rack == 8', False),
        ('(site == "pdc" || site == "kth") && rack == 7', True),
        ("!(site == pdc or site == kth)", False),
        ('site in ("pdc", "kth")', True),
        ("site in (pdc)", False),
        ("rack >= 7 and rack < 8", True),
        ("rack > 7", False),
        ("rack <= 6.5", False),
        ("site > 3", False),
        ("!!preemptible", True),
    ],
)
def test_what_an_expression_says_of_a_worker(text, fits):
    assert fits_labels(text, KTH) is fits


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("site ==", "at its end: a value is expected"),
        ("site == && x", "at 9: a value is expected"),
        ("(site", "')' is expected"),
        ("site kth", "at 6: an end, && or || is expected"),
        ("'site' == kth", "at 1: a label's name is expected"),
        ("rack > many", "at 8: a number is expected"),
        ("a ; b", "';' means nothing"),
        ("site in kth", "'(' is expected"),
        ("!" * 60 + "a", "levels deep"),
        ("a && " * 300 + "a", "1000 characters"),
    ],
)
def test_a_wrong_expression_says_where(text, said):
    with pytest.raises(BadDefinition, match=re.escape(said)):
        parse_labels(text)


def test_a_function_with_a_wrong_expression_is_refused():
    with pytest.raises(BadDefinition, match=r"md\.run: labels .*a value is expected"):
        check_resources(Resources(labels="site =="), "md.run")
    with pytest.raises(BadDefinition, match="max_cores = 1 is less than cores = 4"):
        check_resources(Resources(cores=4, max_cores=1), "md.run")


# --- against Python's own and, or, not


NAMES = st.sampled_from(["a", "b", "c"])


def _leaf(name: str) -> tuple[str, str]:
    return name, f"({name!r} in labels)"


TREES = st.recursive(
    NAMES.map(_leaf),
    lambda inner: st.one_of(
        inner.map(lambda x: (f"!({x[0]})", f"(not {x[1]})")),
        st.tuples(inner, inner).map(
            lambda p: (f"({p[0][0]}) && ({p[1][0]})", f"({p[0][1]} and {p[1][1]})")
        ),
        st.tuples(inner, inner)
        .map(lambda p: (f"{p[0][0]} || {p[1][0]}", f"({p[0][1]} or {p[1][1]})"))
        .map(lambda p: (f"({p[0]})", p[1])),
    ),
    max_leaves=8,
)


@given(TREES, st.sets(NAMES))
@settings(max_examples=200, deadline=None)
def test_it_means_what_python_means(tree, labels):
    ours, theirs = tree
    assert parse_labels(ours)(read_labels(labels)) is eval(theirs, {"labels": labels})


@given(st.text(alphabet="ab!&|=()<> 1'\"", max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_text_is_parsed_or_refused(text):
    with contextlib.suppress(BadDefinition):
        parse_labels(text)({})
