"""The machine port, ``/v1/work/*`` (msgpack): leases, heartbeats, checkpoints, results."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.model.jobs import AttemptRecord, CheckpointRef, Failure, JobSpec, StoredFile
from copernicus.model.resources import Offer
from copernicus.protocol.common import ErrorBody


class Ahead(msgspec.Struct, frozen=True):
    """Up to ``count`` more jobs of a function whose jobs end sooner than a request takes."""

    function: str
    count: int


class LeaseRequest(msgspec.Struct, frozen=True):
    """Work, please. The same ``request_id`` gets the same answer; waits up to ``wait_s``.

    ``protocol`` is what the worker speaks: the server may be another one since it joined.

    ``ahead`` asks for more than the offer holds: the worker starts these one after the other when
    those before them have ended, and hands back what does not come to it soon.

    ``via`` are the ids of the servers that this offer has passed, the worker's own first.
    """

    request_id: str
    offer: Offer
    wait_s: float = 30.0
    ahead: tuple[Ahead, ...] = ()
    protocol: int = 1
    via: tuple[str, ...] = ()


class Assignment(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt, granted to this worker. ``cores`` is what it may use; ``spec`` what to run.

    Input files of the spec, and the files of ``checkpoint``, may be fetched while it is held.
    ``inline`` holds small input blobs by SHA-256, to save round trips. ``ahead``: it was not asked
    for a free core, but to follow what runs.

    A peer is also told the ids of the servers that the job has passed (``via``, the project's own
    first), and how many workers it has lost already.
    """

    attempt: str
    job: str
    number: int
    project: str
    spec: JobSpec
    cores: int
    lease_s: float
    heartbeat_s: float
    checkpoint: CheckpointRef | None = None
    part: int = 1
    checkpoint_interval_s: float = 300.0
    inline: dict[str, bytes] = {}
    via: tuple[str, ...] = ()
    losses: int = 0
    ahead: bool = False


class LeaseReply(msgspec.Struct, frozen=True):
    """The attempts granted; none if nothing fits within the wait. ``drain``: as of heartbeats."""

    assignments: tuple[Assignment, ...] = ()
    drain: bool = False


class ProgressReport(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a job is: step of total, and how fast (``unit``, e.g. ns/day)."""

    step: float | None = None
    total: float | None = None
    rate: float | None = None
    unit: str = ""
    remaining_s: float | None = None
    stage: str = ""


class Beat(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sign of life of one attempt; ``seq`` grows with everything an attempt sends.

    ``log_end`` counts the bytes that its programs have printed in all: ``log_tail`` ends there.
    A peer tells how many workers the job has lost by now (``losses``), those before it included,
    and whether any has ``begun`` it: until then it holds the attempt, and no more.
    """

    attempt: str
    seq: int
    progress: ProgressReport | None = None
    log_tail: str | None = None
    log_end: int = 0
    losses: int = 0
    begun: bool = True


class HeartbeatRequest(msgspec.Struct, frozen=True):
    """All attempts that the worker holds, in one request; what it has free, for the picture."""

    beats: tuple[Beat, ...]
    offer: Offer | None = None


class Share(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is wanted of a running attempt: ``PartialRequest`` brings it.

    ``regular``: these, every ``interval_s``. ``once``: these, one time for every new number
    ``wish``. A name is that of an output port, or ``series:NAME``. ``watched``: somebody reads the
    log as it grows: beat often, with all of its end.
    """

    regular: tuple[str, ...] = ()
    interval_s: float = 60.0
    once: tuple[str, ...] = ()
    wish: int = 0
    watched: bool = False


class Directive(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the worker is to do with an attempt.

    ``go``: nothing special. ``stop``: last checkpoint, upload, end. ``discard``: end at once, it
    is nobody's. ``checkpoint``: one now, and go on. ``share``: what to tell of it before its end;
    none: nothing (more).
    """

    attempt: str
    action: Literal["go", "stop", "discard", "checkpoint"]
    share: Share | None = None


class HeartbeatReply(msgspec.Struct, frozen=True):
    """Directives, one per beat; ``drain``: take no more work, finish, exit."""

    directives: tuple[Directive, ...]
    drain: bool = False


class CheckpointRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """A checkpoint whose blobs are uploaded already. ``key`` must be that of the job's spec.

    ``part``, from a peer: how many parts of this work have been begun by then.
    """

    attempt: str
    seq: int
    key: str
    files: tuple[StoredFile, ...]
    step: float | None = None
    part: int = 0


class PartialRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a running attempt has made so far; the blobs are uploaded already.

    ``outputs`` by port (or ``series:NAME``): what has nothing yet is not among them. ``step`` was
    certainly reached. ``wish`` is that of the newest ``Share`` that it answers.
    """

    attempt: str
    seq: int
    outputs: dict[str, Any]
    step: float | None = None
    wish: int = 0


class ResultRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an attempt ended. ``inline`` carries small new blobs; larger ones are uploaded before.

    A peer tells how many workers the job has lost (``losses``), as with its signs of life.
    ``completed``: outputs by port, plain values. ``failed``: why. ``stopped``: handed back
    (directive, drain, wall time); ``checkpoint`` is the last one, of a completed attempt too.
    """

    attempt: str
    seq: int
    outcome: Literal["completed", "failed", "stopped"]
    outputs: dict[str, Any] = {}
    failure: Failure | None = None
    checkpoint: CheckpointRequest | None = None
    record: AttemptRecord | None = None
    inline: dict[str, bytes] = {}
    losses: int = 0


class ResultReply(msgspec.Struct, frozen=True):
    """``accepted``, ``already`` (delivered before), or ``superseded`` (forget it)."""

    verdict: Literal["accepted", "already", "superseded"]


class ResultsRequest(msgspec.Struct, frozen=True, omit_defaults=True):
    """Several results at once; each is taken or refused by itself.

    ``lease`` asks for work besides, also for what these results make ready. It does not wait.
    """

    results: tuple[ResultRequest, ...]
    lease: LeaseRequest | None = None


class ResultOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of one of several results: its verdict, or why it was refused."""

    verdict: Literal["accepted", "already", "superseded"] | None = None
    error: ErrorBody | None = None


class ResultsReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """One outcome per result, in their order.

    ``lease`` answers the request for work; without it (a server of the version before, or one that
    refuses) nothing was granted, and the request for work has to be made by itself.
    """

    outcomes: tuple[ResultOutcome, ...]
    lease: LeaseReply | None = None
