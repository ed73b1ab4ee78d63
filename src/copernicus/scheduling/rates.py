"""How fast jobs really run by their number of cores; from it, how many cores a job is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

_LAST = 20
"""A mean follows the last so many runs."""


class RateKey(NamedTuple):
    """What is compared: runs of a function in a project, with a program, on a kind of machine."""

    project: str
    function: str
    program: str
    kind: str


class Rate(msgspec.Struct, frozen=True):
    """The mean rate (``unit``, such as ns/day) of so many ``runs``."""

    mean: float
    runs: int = 1
    unit: str = ""


class RateRow(msgspec.Struct, frozen=True):
    """What was measured, by number of cores. Key: ``key``."""

    key: RateKey
    rates: dict[int, Rate]


class Choice(NamedTuple):
    """Start with so many cores, and take no more than ``most`` where others are idle."""

    cores: int
    most: int


class Rates:
    """All measured rates, and which of them are to be stored."""

    def __init__(self) -> None:
        self._rates: dict[RateKey, dict[int, Rate]] = {}
        self._changed: dict[RateKey, None] = {}

    def restore(self, row: RateRow) -> None:
        """Take over what was stored."""
        self._rates[row.key] = dict(row.rates)

    def note(self, key: RateKey, cores: int, rate: float, unit: str) -> None:
        """One more run was measured; other units begin anew."""
        measured = self._rates.setdefault(key, {})
        before = measured.get(cores)
        if before is None or before.unit != unit:
            measured[cores] = Rate(rate, 1, unit)
        else:
            count = min(before.runs, _LAST - 1)
            mean = (before.mean * count + rate) / (count + 1)
            measured[cores] = Rate(mean, before.runs + 1, unit)
        self._changed[key] = None

    def of(self, key: RateKey) -> Mapping[int, Rate]:
        """What was measured, by number of cores."""
        return self._rates.get(key, {})

    def choose(self, key: RateKey, least: int, most: int, efficient: float) -> Choice | None:
        """How many cores of a range; None as long as no two numbers in it were measured."""
        if key not in self._rates:
            return None
        return choose(self._rates[key], least, most, efficient)

    def take(self) -> list[RateRow]:
        """The rows changed since the last call."""
        rows = [RateRow(key, dict(self._rates[key])) for key in self._changed]
        self._changed.clear()
        return rows


def choose(measured: Mapping[int, Rate], least: int, most: int, efficient: float) -> Choice | None:
    """The most cores that keep ``efficient`` of the best rate per core, and the fastest number.

    None as long as no two numbers of cores in the range were measured.
    """
    known = {cores: rate.mean for cores, rate in measured.items() if least <= cores <= most}
    if len(known) < 2:
        return None
    best = max(rate / cores for cores, rate in known.items())
    kept = max(cores for cores, rate in known.items() if rate / cores >= efficient * best)
    fastest = min(known, key=lambda cores: (-known[cores], cores))
    still_rising = fastest == max(known)
    return Choice(kept, most if still_rising else max(kept, fastest))
