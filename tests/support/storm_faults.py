"""Faults to be put into the engine, one at a time: whoever checks it must find each of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from copernicus.engine import core, declare, effects, firing, telling, workflow
from copernicus.engine.transaction import Step
from copernicus.model import events as ev
from copernicus.model.effects import CancelJob
from copernicus.model.reports import JobEnded
from support import world

_TRUE_JOB_ENDED = core._job_ended


class Fault(NamedTuple):
    """What is wrong, where, and what is there instead; ``alone``: the kind of storm for it."""

    what: str
    module: Any
    name: str
    instead: Callable[..., Any]
    alone: bool = False


def _end_again(step: Step, report: JobEnded) -> None:
    made = step.state.activations.get(report.activation)
    if made is None or not made.outcome or report.failure is not None:
        _TRUE_JOB_ENDED(step, report)
    else:
        step.emit(ev.ActivationEnded(made.id, "succeeded", outputs=report.outputs or {}))


def _no_cancels(state: Any) -> list[Any]:
    return [one for one in effects.open_effects(state) if not isinstance(one, CancelJob)]


FAULTS = (
    Fault("what is stale is answered", workflow, "frozen_before", lambda *_: False),
    Fault("a job ends twice", core, "_job_ended", _end_again),
    Fault("what was not passed is retired", declare, "_passed", lambda *_: True),
    Fault("a start forgets what is stale", core, "_restore_stale", lambda *_: None),
    Fault("a start forgets what is cancelled", world, "open_effects", _no_cancels),
    Fault("who waits for a place is forgotten", core, "resume_backlog", lambda *_: False, True),
    Fault("what moves is passed on to nobody", telling, "_pass_on", lambda *_: None),
    Fault("provisional work goes on", firing, "end_outdated", lambda *_: None),
    Fault("a skip never ends", firing, "_decide_skip", lambda *_: True),
)
