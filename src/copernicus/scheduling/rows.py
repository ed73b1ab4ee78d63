"""What the scheduler knows, as rows to be stored: whole, by key, before anybody is answered.

A row is frozen: the scheduler replaces it and hands the new one out, so a row may be written by
another thread. Together the rows are everything that ``Scheduler.restore`` needs.
Times are seconds of the ``now`` that the scheduler is given (epoch at the server's start plus
monotonic time since); no stored time is ever compared with a later clock.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.model.jobs import CheckpointRef, Failure, JobSpec
from copernicus.model.reports import JobEnded, JobStopped, PartialGiven, PartialWithdrawn

JobState = Literal["queued", "leased", "done", "failed", "cancelled"]
AttemptState = Literal["live", "lost", "ended"]
Wish = Literal["go", "stop", "discard"]

SUSPECT_LOSSES = 2
"""A job that has lost so many workers is suspected of it: one loss may be chance."""

LOG_KEPT = 8192
"""How much is kept of what an attempt printed, in characters."""

SERIES = "series:"
"""What the name of a series begins with where outputs stand beside it."""

ENDED: frozenset[str] = frozenset({"done", "failed", "cancelled"})


class JobRow(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A job. Key: ``id``.

    ``version`` is the highest one seen of its effect; ``spec`` is missing only where a job was
    cancelled before it was submitted. ``order`` is its place in the queue (FIFO). ``attempts`` is
    the highest attempt number ever granted, ``checkpoints`` the highest checkpoint index.
    ``errors``, ``losses``, ``growths`` and ``troubles`` count what went wrong, by cause;
    ``memory_mb`` is what it asks for after it grew (0: as in the spec). ``backoff_s`` is how long
    it waits before it is offered again, ``avoid`` the workers that failed it. ``digest`` is that
    of ``outputs``; a cancelled job has both if its result came late. ``priority`` is the one that
    a user has set (``None``: as in the spec). ``barred`` are workers that never get it.
    """

    id: str
    project: str
    version: int
    state: JobState
    order: int
    spec: JobSpec | None = None
    parent: str | None = None
    on_hold: bool = False
    submitted: float = 0.0
    queued: float = 0.0
    attempts: int = 0
    checkpoints: int = 0
    errors: int = 0
    losses: int = 0
    growths: int = 0
    troubles: int = 0
    memory_mb: int = 0
    backoff_s: float = 0.0
    avoid: tuple[str, ...] = ()
    last_failure: Failure | None = None
    outputs: dict[str, Any] | None = None
    failure: Failure | None = None
    digest: str = ""
    checkpoint: CheckpointRef | None = None
    priority: int | None = None
    barred: tuple[str, ...] = ()

    @property
    def activation(self) -> str:
        """The activation (unique in the project) whose job this is."""
        return activation_of(self.id)


class Given(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a running attempt has given of one output: its value ``at`` some time, and ``step``."""

    value: Any
    at: float
    step: float | None = None


class AttemptRow(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One attempt. Key: ``job`` and ``number``.

    ``live``: its lease runs. ``lost``: its lease is over, but it may still report. ``ended``: it
    has reported, or its worker was revoked. ``seq`` is that of its last accepted checkpoint.
    ``directive`` is what its heartbeats are answered. ``heard``: its worker has sent anything.
    One granted ahead has no ``cores`` of its own: it follows one that has.
    ``partial`` is what it has given while it is live, the newest of each port, ``partial_seq`` the
    number of the last of it, and ``told`` whether the engine knows of it. ``series`` and ``log``
    (its end) come with its end, as do ``peak_memory_mb`` (all its processes together) and ``rate``.
    ``kind`` is that of the worker's processors.
    ``base`` names the checkpoint that it went on from.
    ``outcome`` says how it ended: completed, failed, stopped, lost, discarded, superseded, revoked.
    """

    job: str
    number: int
    worker: str
    request: str
    state: AttemptState
    host: str = ""
    program_version: str = ""
    cores: int = 1
    memory_mb: int = 0
    gpus: int = 0
    part: int = 1
    granted: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    heard: bool = False
    directive: Wish = "go"
    seq: int = -1
    outcome: str = ""
    exit_code: int | None = None
    checkpoint: CheckpointRef | None = None
    partial: dict[str, Given] = {}
    partial_seq: int = -1
    told: bool = False
    series: dict[str, Any] = {}
    log: str = ""
    base: str = ""
    kind: str = ""
    disk_mb: int = 0
    peak_memory_mb: int = 0
    rate: float | None = None
    rate_unit: str = ""

    @property
    def id(self) -> str:
        """The attempt's id on the wire."""
        return attempt_id(self.job, self.number)


class CheckpointRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """The checkpoints of one line of work. Key: ``project`` and ``key``.

    ``refs``: those kept, oldest first. ``started``: how many attempts ever started this work.
    """

    project: str
    key: str
    refs: tuple[CheckpointRef, ...] = ()
    started: int = 0


class Note(msgspec.Struct, frozen=True):
    """What the engine of ``project`` must be told, in the transaction that stores the rows."""

    project: str
    job: str
    report: JobEnded | JobStopped | PartialGiven | PartialWithdrawn


Row = JobRow | AttemptRow | CheckpointRow


def is_suspect(row: JobRow) -> bool:
    """Whether a job has lost so many workers that it runs alone from now on."""
    return row.losses >= SUSPECT_LOSSES


def priority_of(row: JobRow) -> int:
    """The priority of a job: what a user has set, else what its function asks for."""
    if row.priority is not None:
        return row.priority
    return row.spec.resources.priority if row.spec else 0


def attempt_id(job: str, number: int) -> str:
    """The id on the wire of attempt ``number`` of a job."""
    return f"{job}#{number}"


def job_of_attempt(attempt: str) -> tuple[str, int] | None:
    """The job and number in an attempt's id; ``None`` if it is none."""
    job, mark, number = attempt.rpartition("#")
    return (job, int(number)) if mark and number.isascii() and number.isdigit() else None


def activation_of(job: str) -> str:
    """The activation whose job this is: what follows the project in the id."""
    return job.rpartition(".")[2]


def project_of(job: str) -> str:
    """The project whose job this is: what stands before the activation in the id."""
    return job.rpartition(".")[0]


def last_of(log: str, most: int = LOG_KEPT) -> str:
    """The last whole lines of a log, of at most so many characters."""
    return log if len(log) <= most else log[-most:].partition("\n")[2]
