"""What storms must have met: every rule of the engine that one could forget to bring about.

Storms of a kind that are long enough fail if they have not met all of ``WANTED``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from copernicus.model import edits as ed
from copernicus.model import events as ev

# What storms that have two stories do not bring about.
PLACE = "waited for a place in the queue"
WANTED: dict[str, tuple[str, ...]] = {
    "edits": tuple(f"edit {kind.__name__}" for kind in get_args(ed.Edit) if kind is not ed.Define),
    "mapping, elements by identity (3.1, 3.2)": (
        *("mapped run", "zipped run", "ItemAppended", "ItemReplaced", "ItemRemoved"),
    ),
    "holes (3.3)": ("ElementSkipped", "SkipEnded", "run with something left out"),
    "failures and retries (1.4)": ("failed run", "cancelled run", "RetryAsked"),
    "changes under way (7.1 to 7.3)": (
        *("stopped run", "superseded run", "extending run", "ReplacementWanted"),
        *("ResultKept", "discarded run"),
    ),
    "results that come back": ("ActivationReused", "run answered from the cache", "revert"),
    "values that move (2.1, 2.2)": (
        *("PartialMade", "PartialEnded", "provisional run", "decided latest", "decided peek"),
    ),
    "programs": ("DescribedJob",),
    "branches (4.1)": ("spawned branch", "waited for a branch"),
    "replays (4.4)": ("replay", "EvaluationEnded", "failed evaluation"),
    "retirement (4.5)": ("InstanceRetired", "came back after it was retired"),
    "decisions (5)": (
        *("decided first", "decided at_least", "decided tolerate", "decided settle"),
        *("DecisionLapsed", "DecisionReopened"),
    ),
    "outputs (6.1)": ("OutputBound",),
    "pauses and budgets (9)": (*("paused by a user", "paused by the budget", "resumed", PLACE),),
    "pins (10.2)": ("PinSet", "PinRemoved"),
    "versions (DESIGN 4.7)": (
        *("another version", "CodeChanged", "departure from history", "InstanceUpgraded"),
    ),
    "moving between servers": ("ProjectLoaded",),
}


def missing(met: dict[str, int], *, alone: bool) -> list[str]:
    """What of all that is wanted has not been met."""
    wanted = [name for names in WANTED.values() for name in names]
    return [name for name in wanted if not met.get(name) and (alone or name != PLACE)]


def names_of(event: ev.Event) -> Iterator[str]:
    """What an event is an example of."""
    yield type(event).__name__
    match event:
        case ev.ActivationOpened():
            yield from _run(event)
        case ev.ActivationEnded(outcome=outcome):
            yield f"{outcome} run"
            if event.reused:
                yield "run answered from the cache"
            if event.discard:
                yield "discarded run"
        case ev.JobMade(spec=spec) if spec.command is not None:
            yield "DescribedJob"
        case ev.EvaluationStarted(number=number) if number > 1:
            yield "replay"
        case ev.EvaluationEnded(failure=failure) if failure is not None:
            yield "failed evaluation"
        case ev.SegmentCommitted():
            if event.spawned:
                yield "spawned branch"
            if event.waits is not None and event.waits.kind == "branch":
                yield "waited for a branch"
        case ev.Decided(kind=kind):
            yield f"decided {kind}"
        case ev.CodeChanged(departure=departure) if departure is not None:
            yield "departure from history"
        case ev.PausedSet(paused=paused, reason=reason):
            by = "by the budget" if reason else "by a user"
            yield f"paused {by}" if paused else "resumed"
        case ev.RevisionMade(reuse=True):
            yield "revert"


def _run(event: ev.ActivationOpened) -> Iterator[str]:
    if event.eid:
        yield "mapped run"
    if "|" in event.eid:
        yield "zipped run"
    if event.parent:
        yield "extending run"
    if event.left_out:
        yield "run with something left out"
    if event.provisional:
        yield "provisional run"
