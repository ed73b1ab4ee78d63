"""What the engine wants done outside: the wanted state of one object, with a version.

Whoever carries effects out is idempotent by (object, version); a lower version than one seen is a
no-op (SEMANTICS 8.1). After a crash the open effects of the state are simply carried out.
"""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.model.evaluation import Answer, Start
from copernicus.model.jobs import JobSpec
from copernicus.model.retries import ProjectRetries


class DescribeJob(msgspec.Struct, frozen=True, tag="describe"):
    """Run a program function's description; report ``Described``."""

    activation: str
    entry: str
    inputs: dict[str, Any]


class QueueJob(msgspec.Struct, frozen=True, tag="queue"):
    """The job is wanted in the queue (``on_hold``: kept, but offered to nobody: paused).

    ``parent`` is the activation that this one extends.
    """

    activation: str
    version: int
    spec: JobSpec
    parent: str | None = None
    on_hold: bool = False


class CancelJob(msgspec.Struct, frozen=True, tag="cancel"):
    """The job is not wanted; ``checkpoint`` asks a running one for a last one.

    Report ``JobStopped``. With ``only_idle`` it is cancelled only if it has neither started nor
    a checkpoint (its inputs changed: DESIGN 5.3); otherwise nothing happens and nothing is told.
    """

    activation: str
    version: int
    checkpoint: bool = True
    only_idle: bool = False


class HoldQueue(msgspec.Struct, frozen=True, tag="hold_queue"):
    """Offer this project's queued jobs to nobody (paused), or offer them again."""

    on_hold: bool


class RetryBy(msgspec.Struct, frozen=True, tag="retry_by"):
    """Try failed jobs of this project again by these rules."""

    retries: ProjectRetries


class StreamJob(msgspec.Struct, frozen=True, tag="stream"):
    """While the job runs, these output ports are wanted as they are so far, regularly.

    Report ``PartialGiven``. No ports: no more of it.
    """

    activation: str
    version: int
    ports: tuple[str, ...]


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


Effect = (
    DescribeJob
    | QueueJob
    | CancelJob
    | HoldQueue
    | RetryBy
    | StreamJob
    | Evaluate
    | SendAnswer
    | EndEvaluation
)
