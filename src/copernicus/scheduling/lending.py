"""What a server lends to its peers: which peer is asked for whom, and what is passed on.

A server with an idle worker asks its peers for work with that worker's offer. What a peer gives
becomes a job of the own queue, below everything of one's own: leases, lost workers, checkpoints and
retries are the queue's business as ever. All that is said to the peer follows from the job's rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from copernicus.model.jobs import AttemptRecord, CheckpointRef, JobSpec
from copernicus.model.resources import Offer
from copernicus.model.retries import ProjectRetries
from copernicus.model.shares import ProjectShare
from copernicus.protocol import Ahead, Assignment, CheckpointRequest, ResultRequest
from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow

HOP_LIMIT = 4
"""How many servers a job, or an offer, may have passed."""

Outcome = Literal["completed", "failed", "stopped"]

PREFIX = "lent-"
"""What the id of a lent project begins with: those of a server's own are ULIDs."""

STALE_S = 2.0
"""How long what was given ahead may wait for a worker: several times what one asks for at once."""

LENT_SHARE = ProjectShare(priority=-1_000_000_000)
"""Whatever is of this server goes first."""

LENT_RETRIES = ProjectRetries(job_errors=0, memory_growths=0, troubles=2, backoff_s=0.5)
"""What is the job's own fault is for its own server to judge."""


class Told(msgspec.Struct, frozen=True):
    """What a peer was told first of what a job has cost, if anything; more may come."""

    record: AttemptRecord | None


class Lent(msgspec.Struct, frozen=True, omit_defaults=True):
    """An attempt of a peer's job, and the job of the own queue that carries it out.

    ``project`` is the id at the peer, ``job`` that of the own queue. ``via`` are the servers that
    the job has passed, the project's own first. ``ending``: no more is wanted than its end.
    ``ahead``: it was given to follow what runs here, not for a free core.
    """

    job: str
    peer: str
    attempt: str
    project: str
    via: tuple[str, ...]
    cores: int
    heartbeat_s: float
    ending: bool = False
    told: Told | None = None
    ahead: bool = False

    @property
    def lent_project(self) -> str:
        """The project under which the own queue has it."""
        return self.job.partition(".")[0]


class Idle(msgspec.Struct, frozen=True):
    """A worker for which there is nothing in the own queue: its offer, and whom it has passed.

    ``ahead`` is what it would have to follow what it then runs: jobs that it has found to be short.
    """

    worker: str
    offer: Offer
    via: tuple[str, ...] = ()
    ahead: tuple[Ahead, ...] = ()


class Lender(msgspec.Struct, frozen=True):
    """A peer that may be asked: the higher ``priority`` first. ``room``: cores that it may have."""

    peer: str
    priority: int = 0
    room: int | None = None


class Ask(msgspec.Struct, frozen=True):
    """Ask this peer for work, with this offer."""

    peer: str
    offer: Offer
    via: tuple[str, ...]
    ahead: tuple[Ahead, ...] = ()


def plan(own: str, idle: Sequence[Idle], lenders: Iterable[Lender], most: int) -> list[list[Ask]]:
    """Whom to ask for each kind of idle worker, in order; at most so many kinds.

    Nobody is asked for a worker that came by way of it, nor with an offer that has passed the
    limit, nor for more cores than it may have.
    """
    ordered = sorted(lenders, key=lambda each: (-each.priority, each.peer))
    found: list[list[Ask]] = []
    seen: set[tuple[Offer, tuple[str, ...]]] = set()
    for one in idle:
        via = (*one.via, own)
        offer = msgspec.structs.replace(one.offer, projects=(), notice="")
        if own in one.via or len(via) > HOP_LIMIT or offer.cores < 1 or (offer, via) in seen:
            continue
        seen.add((offer, via))
        ahead = one.ahead if one.via else stocked(one.ahead)
        asks = []
        for lender in ordered:
            smaller, more = within(lender.room, offer, ahead)
            if lender.peer not in via and smaller.cores > 0:
                asks.append(Ask(lender.peer, smaller, via, more))
        if asks and len(found) < most:
            found.append(asks)
    return found


def within(
    room: int | None, offer: Offer, ahead: tuple[Ahead, ...]
) -> tuple[Offer, tuple[Ahead, ...]]:
    """What may be asked for where no more than so many cores are left (``None``: any number).

    Nothing ahead: that has no cores of its own by which it could be counted.
    """
    if room is None:
        return offer, ahead
    return msgspec.structs.replace(offer, cores=min(offer.cores, room)), ()


def stocked(ahead: Iterable[Ahead]) -> tuple[Ahead, ...]:
    """What a worker asks for ahead, and the same again: that is here when it asks the next time."""
    return tuple(Ahead(one.function, 2 * one.count) for one in ahead)


def patience_of(lent: Lent, usual_s: float) -> float:
    """For how long a peer's job may wait here for a worker before it goes back.

    What was given ahead was to be begun at once: then it is not short, or of no use here.
    """
    return min(usual_s, STALE_S) if lent.ahead else usual_s


def may_pass(own: str, via: Sequence[str]) -> bool:
    """Whether a job that has passed these servers may come here: no loop, not too far."""
    return own not in via and 0 < len(via) <= HOP_LIMIT


def refused_to(peer: str, lent: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The projects lent here (by id, with what they passed) of which a peer gets nothing."""
    return tuple(sorted(name for name, via in lent.items() if peer in via or len(via) >= HOP_LIMIT))


def lent_project(peer: str, project: str, via: Sequence[str]) -> str:
    """The project under which the own queue has a peer's jobs that came this way."""
    whole = "\n".join((peer, project, *via))
    return PREFIX + hashlib.sha256(whole.encode()).hexdigest()[:24]


def lent_job(peer: str, given: Assignment) -> str:
    """The id of the job in the own queue: the same for the same attempt."""
    tail = given.attempt.rpartition(".")[2].replace("#", "-")
    return f"{lent_project(peer, given.project, given.via)}.{tail}"


def lent_of(peer: str, given: Assignment) -> Lent:
    """What is kept of a peer's attempt."""
    job = lent_job(peer, given)
    cores, heartbeat_s = given.cores, given.heartbeat_s
    return Lent(
        job, peer, given.attempt, given.project, given.via, cores, heartbeat_s, ahead=given.ahead
    )


def taken(peer: str, given: Assignment) -> tuple[Lent, JobRow, CheckpointRow | None]:
    """What the own queue takes in for a peer's attempt."""
    lent = lent_of(peer, given)
    name = lent.lent_project
    resources = msgspec.structs.replace(
        given.spec.resources, cores=given.cores, max_cores=given.cores
    )
    spec = msgspec.structs.replace(given.spec, resources=resources)
    row = JobRow(lent.job, name, 1, "queued", 0, spec, losses=given.losses)
    line = None
    if spec.command is not None and spec.command.checkpoint is not None:
        refs = () if given.checkpoint is None else (_first(given.checkpoint, spec),)
        line = CheckpointRow(name, spec.checkpoint_key, refs, given.part - 1)
    return lent, row, line


def _first(given: CheckpointRef, spec: JobSpec) -> CheckpointRef:
    return msgspec.structs.replace(given, key=spec.checkpoint_key)


def is_new(ref: CheckpointRef | None, row: JobRow, sent: int) -> bool:
    """Whether a checkpoint was made here, and after the one that was sent."""
    return ref is not None and ref.job == row.id and ref.index > sent


def checkpoint_of(lent: Lent, ref: CheckpointRef, seq: int, parts: int) -> CheckpointRequest:
    """A checkpoint made here, as the peer is told of it; ``parts`` have been begun by now."""
    return CheckpointRequest(lent.attempt, seq, ref.key, ref.files, ref.step, parts)


def result_of(
    lent: Lent,
    row: JobRow,
    attempts: Sequence[AttemptRow],
    last: CheckpointRequest | None,
    seq: int,
) -> ResultRequest:
    """How a lent job ended, as the peer is told of it; ``last`` is its last checkpoint."""
    outcome: Outcome = "stopped"
    if row.state == "done":
        outcome = "completed"
    elif row.state == "failed":
        outcome = "failed"
    return ResultRequest(
        lent.attempt,
        seq,
        outcome,
        outputs=(row.outputs or {}) if outcome == "completed" else {},
        failure=row.failure if outcome == "failed" else None,
        checkpoint=None if outcome == "failed" else last,
        record=record_of(lent, attempts, outcome),
        losses=row.losses,
    )


def record_of(lent: Lent, attempts: Sequence[AttemptRow], outcome: str) -> AttemptRecord | None:
    """All attempts here as the one that they are for the peer: their time is added up.

    Where one was held to be lost and went on beside the next, the time counts once: for the peer
    it is one attempt, and none takes longer than it was held.
    """
    heard = [row for row in attempts if row.heard]
    if not heard:
        return None
    last = heard[-1]
    spent = [row for row in heard if row.ended]
    took = sum(max(0.0, row.ended - row.started) for row in spent)
    if spent:
        first, end = min(row.started for row in spent), max(row.ended for row in spent)
        took = min(took, max(0.0, end - first))
    return AttemptRecord(
        number=last.number,
        worker=last.worker,
        host=last.host,
        program_version=last.program_version,
        cores=lent.cores,
        started=last.ended - took,
        ended=last.ended,
        outcome=outcome,
        exit_code=last.exit_code,
        series=last.series,
        log=last.log,
        peak_memory_mb=max(row.peak_memory_mb for row in heard),
        rate=last.rate,
        rate_unit=last.rate_unit,
    )


def is_work(result: ResultRequest) -> bool:
    """Whether a result belongs in the books of both sides: not if no worker had begun."""
    return result.outcome != "stopped" or result.record is not None


def core_seconds(record: AttemptRecord | None, granted_cores: int, held_s: float) -> float:
    """What an attempt cost, by its record; never more than the time for which it was held."""
    if record is None:
        return 0.0
    took = record.ended - record.started
    return granted_cores * min(max(0.0, took), max(0.0, held_s))
