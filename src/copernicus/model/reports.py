"""What the outside tells the engine: jobs that ended, evaluations that came to rest."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.model.evaluation import Rest
from copernicus.model.jobs import AttemptRecord, CheckpointRef, Command, Failure


class Described(msgspec.Struct, frozen=True, tag="described", omit_defaults=True):
    """A program function was evaluated for an activation: its command, or why there is none."""

    activation: str
    command: Command | None = None
    failure: Failure | None = None


class JobEnded(msgspec.Struct, frozen=True, tag="job_ended", omit_defaults=True):
    """A job has its one end: outputs, or the failure that automatic retries did not cure."""

    activation: str
    outputs: dict[str, Any] | None = None
    failure: Failure | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    checkpoint: CheckpointRef | None = None


class JobStopped(msgspec.Struct, frozen=True, tag="job_stopped", omit_defaults=True):
    """A cancel was carried out: the queue has forgotten the job (version of the effect)."""

    activation: str
    version: int


class PartialGiven(msgspec.Struct, frozen=True, tag="partial_given"):
    """What a running attempt has made so far: plain values of output ports.

    It takes the place of what came before it: ``sequence`` grows within an attempt.
    """

    activation: str
    attempt: int
    sequence: int
    outputs: dict[str, Any]


class PartialWithdrawn(msgspec.Struct, frozen=True, tag="partial_withdrawn"):
    """The attempt ended or was lost: what it had given so far is no more."""

    activation: str
    attempt: int


class Rested(msgspec.Struct, frozen=True, tag="rested"):
    """An evaluation came to rest."""

    rest: Rest


class EvaluationBroke(msgspec.Struct, frozen=True, tag="evaluation_broke"):
    """An evaluator died, hung or ran out of memory too often on this evaluation."""

    path: str
    eid: str
    number: int
    failure: Failure


Report = (
    Described | JobEnded | JobStopped | PartialGiven | PartialWithdrawn | Rested | EvaluationBroke
)
