"""What of the results of peers is run a second time, and what that tells: decided, not done.

``choose`` decides when a result has come, ``judge`` when its second run has ended. Where two
differ, nobody knows who is right: every peer that made one of the two is doubted.
"""

from __future__ import annotations

import hmac
from collections.abc import Container, Mapping
from typing import Any, Literal

import msgspec

from copernicus.model.comparing import compare, verdict_of
from copernicus.model.verification import MOST_OPEN, Outcome, Verification

_ALL = 2**64

Choice = Literal["no", "run", "left_out"]


class Made(msgspec.Struct, frozen=True):
    """A result that has come; ``places`` are the workers and peers that completed its job.

    ``repeatable``: a run from the start, by one job, must give the same.
    """

    job: str
    function: str
    places: tuple[str, ...]
    repeatable: bool


class Judgement(msgspec.Struct, frozen=True):
    """What a second run has told: the peers ``verified`` by it, those ``doubted`` for it."""

    verdict: Outcome
    verified: tuple[str, ...] = ()
    doubted: tuple[str, ...] = ()


def chosen(key: str, job: str, fraction: float) -> bool:
    """Whether a job is among the ``fraction`` that is verified.

    A job that is chosen is so for every larger fraction, too. Peers know the ids of the jobs that
    they get: without a ``key`` that they do not know, they would lie where nobody looks.
    """
    found = hmac.digest(key.encode(), job.encode(), "sha256")
    return int.from_bytes(found[:8]) < fraction * _ALL


def choose(
    rule: Verification, key: str, made: Made, peers: Container[str], still_open: int
) -> Choice:
    """Whether a result is run again, or would be if not so many second runs were open."""
    if not made.repeatable or (rule.of and made.function not in rule.of):
        return "no"
    if not any(place in peers for place in made.places) or not chosen(key, made.job, rule.fraction):
        return "no"
    return "run" if still_open < MOST_OPEN else "left_out"


def judge(
    first: Mapping[str, Any],
    second: Mapping[str, Any] | None,
    tolerance: float,
    places: tuple[tuple[str, ...], tuple[str, ...]],
    peers: Container[str],
) -> Judgement:
    """Hold the outputs of both runs against each other.

    Args:
        first: what is in use.
        second: what the second run gave; ``None``: it failed, which tells nothing of the first.
        tolerance: how far numbers may be apart, relative to the larger one.
        places: who completed the first run, and who the second one.
        peers: those of them that are peers are in it.
    """
    if second is None:
        return Judgement("failed")
    made_first, made_second = (tuple(one for one in run if one in peers) for run in places)
    if verdict_of(compare(first, second, tolerance)) != "differs":
        return Judgement("same", made_first)
    return Judgement("differed", made_first, tuple(sorted({*made_first, *made_second})))
