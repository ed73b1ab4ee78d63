"""What of the sampling is done, running and to come, out of what the server shows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from copernicus.demo.sizing import Plan
from copernicus.protocol import InstanceView, JobView

TELLING_SHARE = 0.05
_NEARLY = 0.9
_ENDED = ("done", "skipped")
_RUNNING = ("running", "stopping")
_CALL = re.compile(r".*/(?P<what>md|surface)-(?P<generation>\d+)(?:-(?P<run>\d+))?$")


@dataclass(frozen=True)
class Running:
    """A simulation under way: its share that is done, its speed (ns/day), seconds left."""

    generation: int
    run: int
    share: float
    rate: float | None
    left_s: float | None


@dataclass(frozen=True)
class Generation:
    """One generation: ``done`` and ``running`` simulations, and the state of its analysis."""

    done: int = 0
    running: int = 0
    queued: int = 0
    analysis: str = ""

    @property
    def total(self) -> int:
        """How many simulations there are in it so far."""
        return self.done + self.running + self.queued

    @property
    def is_over(self) -> bool:
        """Whether it has been analysed."""
        return self.analysis in _ENDED


@dataclass(frozen=True)
class Picture:
    """The project at one moment, ``seconds`` after the demo began."""

    seconds: float
    generations: tuple[Generation, ...]
    running: tuple[Running, ...]
    share: float

    @property
    def over(self) -> int:
        """How many generations have been analysed."""
        return sum(generation.is_over for generation in self.generations)

    @property
    def current(self) -> int:
        """The generation that is worked at, from 0."""
        return min(self.over, len(self.generations) - 1)


@dataclass(frozen=True)
class Known:
    """What has been found in the generations so far."""

    generations: int
    frames: int
    visited: float
    positive_phi: float
    error: float | None


def picture(
    views: Sequence[InstanceView],
    jobs: Sequence[JobView],
    plan: Plan,
    generations: int,
    seconds: float,
) -> Picture:
    """Count instances and jobs by generation.

    Args:
        views: all instances of the project.
        jobs: its jobs.
        plan: what is to be done.
        generations: how many there are to be.
        seconds: since the beginning of the demo.
    """
    working = {job.path: job for job in jobs if job.state in _RUNNING}
    calls = [(match, view) for view in views if (match := _CALL.match(view.path))]
    counted = []
    for number in range(generations):
        states = {"md": list[str](), "surface": list[str]()}
        for match, view in calls:
            if int(match["generation"]) == number:
                state = "running" if view.path in working else view.state
                states[match["what"]].append(state)
        runs = states["md"]
        counted.append(
            Generation(
                done=sum(state in _ENDED for state in runs),
                running=runs.count("running"),
                queued=runs.count("queued"),
                analysis=next(iter(states["surface"]), ""),
            )
        )
    running = tuple(
        _running(match, working[match[0]])
        for match, _ in calls
        if match["what"] == "md" and match[0] in working
    )
    done = sum(g.done for g in counted) + sum(each.share for each in running)
    return Picture(seconds, tuple(counted), running, done / (generations * plan.runs))


def _running(match: re.Match[str], job: JobView) -> Running:
    told = job.progress
    share = told.step / told.total if told and told.step and told.total else 0.0
    return Running(
        generation=int(match["generation"]),
        run=int(match["run"]),
        share=min(share, 1.0),
        rate=told.rate if told else None,
        left_s=told.remaining_s if told else None,
    )


def is_too_much(seen: Picture, left_s: float, limit_s: float) -> bool:
    """Whether the last generation must be left out to be done by ``limit_s``.

    That is decided as late as possible: the machine may become faster again.
    """
    generations = len(seen.generations)
    if seen.share < TELLING_SHARE or generations <= max(seen.over, 1):
        return False
    if seen.seconds > limit_s:
        return True
    each_s = left_s / (1.0 - seen.share) / generations if seen.share < 1.0 else 0.0
    if seen.seconds + left_s - each_s > limit_s:
        return seen.over < generations - 1
    nearly = generations * seen.share - seen.over >= _NEARLY
    return seen.seconds + left_s > limit_s and nearly and seen.over == generations - 2
