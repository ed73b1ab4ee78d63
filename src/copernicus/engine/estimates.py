"""What runs cost, by what earlier ones took: of the same instance, else of the same function."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

from copernicus.engine.instances import Activation
from copernicus.engine.state import ProjectState
from copernicus.protocol import Estimate

_SECONDS_PER_HOUR = 3600.0
_NEWEST = 2000
_ENOUGH = 200

Samples = dict[str, list[float]]


def core_hours(made: Activation) -> float:
    """What all attempts at an activation took together, in core-hours; 0 if nothing is known."""
    seconds = (a.cores * max(0.0, a.ended - a.started) for a in made.attempts if a.started)
    return sum(seconds) / _SECONDS_PER_HOUR


def _succeeded(state: ProjectState) -> Iterator[tuple[Activation, float]]:
    """Those of which it is known how long they ran, the newest first."""
    for made in reversed(state.activations.values()):
        if made.outcome == "succeeded" and (took := core_hours(made)):
            yield made, took


def function_samples(states: Iterable[ProjectState], functions: set[str]) -> Samples:
    """What the newest runs of these functions took in other projects; bounded per project."""
    found: Samples = {}
    for state in states:
        for made, took in islice(_succeeded(state), _NEWEST):
            if made.job is not None and made.job.function in functions:
                found.setdefault(made.job.function, []).append(took)
    return found


class Costs:
    """The samples of one project, by instance and by function, the newest first."""

    def __init__(self, state: ProjectState) -> None:
        self._by_instance: dict[int, list[float]] = {}
        self._by_function: Samples = {}
        for made, took in _succeeded(state):
            if made.job is not None:
                _keep(self._by_instance.setdefault(made.incarnation, []), took)
                _keep(self._by_function.setdefault(made.job.function, []), took)

    def unknown(self, functions: Iterable[str]) -> set[str]:
        """The functions that have never run in this project."""
        return {name for name in functions if name not in self._by_function}

    def of(
        self,
        incarnation: int,
        function: str,
        count: int,
        elsewhere: Mapping[str, Sequence[float]],
    ) -> Estimate:
        """What ``count`` runs of an instance would take."""
        samples: Sequence[float] = (
            self._by_instance.get(incarnation)
            or self._by_function.get(function)
            or elsewhere.get(function, ())
        )
        if not samples:
            return Estimate(unknown=count)
        ordered = sorted(samples)
        low, middle, high = (_quantile(ordered, at) for at in (0.25, 0.5, 0.75))
        return Estimate(middle * count, low * count, high * count)


def _keep(samples: list[float], took: float) -> None:
    if len(samples) < _ENOUGH:
        samples.append(took)


def _quantile(ordered: Sequence[float], at: float) -> float:
    place = at * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def total(estimates: Iterable[Estimate]) -> Estimate:
    """All of them together."""
    every = list(estimates)
    return Estimate(
        core_hours=sum(one.core_hours for one in every),
        low=sum(one.low for one in every),
        high=sum(one.high for one in every),
        unknown=sum(one.unknown for one in every),
    )
