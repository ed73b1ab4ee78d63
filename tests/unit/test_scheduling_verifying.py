"""Which results of peers are run again, and who is doubted where both runs differ."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from copernicus.errors import BadValue
from copernicus.model.verification import MOST_OPEN, Verification, check_verification
from copernicus.scheduling.verifying import Judgement, Made, choose, chosen, judge

FRACTIONS = st.floats(0.0, 1.0)
PEERS = frozenset({"p1", "p2"})
MADE = Made("x.a1", "mine.echo", ("p1",), repeatable=True)
ALL = Verification(1.0)
PLACES = st.lists(st.sampled_from(["p1", "p2", "w1", "w2"]), unique=True).map(tuple)
VALUES = st.dictionaries(st.sampled_from("ab"), st.integers(0, 2) | st.text(max_size=2))


@given(st.text(max_size=20), st.text(max_size=40), FRACTIONS, FRACTIONS)
def test_what_is_chosen_is_chosen_again_and_for_every_larger_fraction(
    key: str, job: str, one: float, other: float
) -> None:
    less, more = sorted((one, other))
    assert chosen(key, job, less) == chosen(key, job, less)
    assert chosen(key, job, less) <= chosen(key, job, more)
    assert not chosen(key, job, 0.0)
    assert chosen(key, job, 1.0)


@given(st.text(min_size=1, max_size=20), FRACTIONS)
def test_about_the_fraction_of_many_is_chosen(key: str, fraction: float) -> None:
    count = sum(chosen(key, f"p.a{number}", fraction) for number in range(2000))
    assert abs(count / 2000 - fraction) < 0.07


def test_without_the_key_nobody_can_tell_which() -> None:
    jobs = [f"p.a{number}" for number in range(1000)]
    one = {job for job in jobs if chosen("one", job, 0.5)}
    other = {job for job in jobs if chosen("other", job, 0.5)}
    assert len(one & other) < 0.4 * len(jobs)


def test_ten_second_runs_are_open_and_the_next_is_left_out_not_forgotten() -> None:
    found = [choose(ALL, "k", MADE, PEERS, still_open) for still_open in range(12)]
    assert found == ["run"] * 10 + ["left_out"] * 2
    assert MOST_OPEN == 10


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (Verification(0.0), {}),
        (ALL, {"places": ("w1",)}),
        (ALL, {"places": ()}),
        (ALL, {"repeatable": False}),
        (Verification(1.0, of=("mine.echo",)), {"function": "mine.echoes"}),
        (Verification(1.0, of=("mine.other", "echo")), {}),
    ],
)
def test_what_is_not_to_be_verified_is_neither_run_nor_counted(rule, changes) -> None:
    made = msgspec.structs.replace(MADE, **changes)
    assert choose(rule, "k", made, PEERS, 0) == "no"
    assert choose(rule, "k", made, PEERS, MOST_OPEN) == "no"
    assert choose(Verification(1.0, of=("mine.echo",)), "k", MADE, PEERS, 0) == "run"


@given(VALUES, VALUES, PLACES, PLACES)
def test_whoever_is_doubted_is_a_peer_that_made_one_of_two_different_results(
    first: dict, second: dict, made: tuple, again: tuple
) -> None:
    found = judge(first, second, 0.0, (made, again), PEERS)
    if first == second:
        assert found == Judgement("same", tuple(one for one in made if one in PEERS))
    else:
        assert found.verdict == "differed"
        assert set(found.doubted) == {*made, *again} & PEERS
        assert set(found.verified) == set(made) & PEERS


@given(VALUES, PLACES, PLACES)
def test_a_second_run_that_failed_tells_nothing(first: dict, made: tuple, again: tuple) -> None:
    assert judge(first, None, 0.0, (made, again), PEERS) == Judgement("failed")


@given(st.floats(1.0, 1e6), st.floats(1e-9, 0.5))
def test_numbers_may_be_apart_by_the_tolerance_and_no_more(value: float, apart: float) -> None:
    other, places = {"x": value * (1.0 - apart)}, (("p1",), ("w1",))
    assert judge({"x": value}, other, apart * 1.001, places, PEERS).doubted == ()
    assert judge({"x": value}, other, apart * 0.9, places, PEERS).doubted == ("p1",)
    assert judge({"x": value}, {"x": "a"}, 1.0, places, PEERS).doubted == ("p1",)


@pytest.mark.parametrize(
    "rule",
    [
        Verification(-0.1),
        Verification(1.1),
        Verification(float("nan")),
        Verification(0.5, -1.0),
        Verification(0.5, float("inf")),
        Verification(0.5, float("nan")),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused(rule: Verification) -> None:
    with pytest.raises(BadValue, match="give 0"):
        check_verification(rule)


def test_a_rule_names_functions_that_there_are() -> None:
    rule = Verification(0.5, of=("m.known", "m.other"))
    assert check_verification(rule) is check_verification(rule, {"m.known", "m.other"}) is rule
    with pytest.raises(BadValue, match=r"no function 'm.other'.*cpc functions"):
        check_verification(rule, {"m.known"})
