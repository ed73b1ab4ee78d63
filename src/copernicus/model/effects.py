"""What the engine wants done outside: the wanted state of one object, with a version.

Whoever carries effects out is idempotent by (object, version); a lower version than one seen is a
no-op (SEMANTICS 8.1). After a crash the open effects of the state are simply carried out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.model.evaluation import Answer, Start
from copernicus.model.jobs import JobSpec


class DescribeJob(msgspec.Struct, frozen=True, tag="describe"):
    """Run a program function's description; report ``Described``."""

    activation: str
    entry: str
    inputs: dict[str, Any]


class QueueJob(msgspec.Struct, frozen=True, tag="queue"):
    """The job is wanted in the queue (``on_hold``: kept, but offered to nobody: paused)."""

    activation: str
    version: int
    spec: JobSpec
    parent: str | None = None
    on_hold: bool = False


class CancelJob(msgspec.Struct, frozen=True, tag="cancel"):
    """The job is not wanted; ``checkpoint`` asks a running one for a last one. Report
    ``JobStopped``.
    """

    activation: str
    version: int
    checkpoint: bool = True


class Evaluate(msgspec.Struct, frozen=True, tag="evaluate"):
    """The evaluation is wanted, in the state that ``start`` says; report ``Rested``."""

    start: Start


class SendAnswer(msgspec.Struct, frozen=True, tag="answer"):
    """Go on with a resting evaluation (lost if its evaluator is: ``Evaluate`` has all answers)."""

    path: str
    eid: str
    number: int
    answer: Answer


class EndEvaluation(msgspec.Struct, frozen=True, tag="end_evaluation"):
    """The evaluation of this number and all lower ones are not wanted."""

    path: str
    eid: str
    number: int


Effect = DescribeJob | QueueJob | CancelJob | Evaluate | SendAnswer | EndEvaluation
