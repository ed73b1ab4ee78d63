"""Jobs of peers in the own queue: taken in, looked at, handed back. Every change is one batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from copernicus.model.jobs import CheckpointRef
from copernicus.model.values import File, files_in
from copernicus.protocol import Assignment, Beat, ResultRequest
from copernicus.scheduling.lending import Lent, Told, core_seconds, is_work, taken
from copernicus.scheduling.rows import AttemptRow, JobRow
from copernicus.server.batch import Batch
from copernicus.server.files import hashes_in
from copernicus.server.holdings import take_in_lent
from copernicus.server.peers import LENT, keep_used
from copernicus.server.relay import cache

_FOR_EVER = float("inf")


@dataclass(frozen=True, slots=True)
class Seen:
    """A lent job as it is now."""

    row: JobRow
    attempts: tuple[AttemptRow, ...]
    newest: CheckpointRef | None
    parts: int
    sign: Beat | None
    waited_s: float
    was_told: bool

    @property
    def is_over(self) -> bool:
        """Whether its end is known, and no worker of this server is at it any more."""
        if self.row.state == "cancelled":
            return not any(row.state == "live" for row in self.attempts)
        return self.row.state in ("done", "failed")

    @property
    def may_change(self) -> bool:
        """Whether a worker may still tell more of what it has cost, or has since it was told."""
        return self.was_told or any(row.state != "ended" for row in self.attempts)


def inputs_of(given: Assignment) -> dict[str, int]:
    """The files that an attempt needs, with their sizes."""
    spec, needed = given.spec, {}
    values = [spec.task.inputs if spec.task else None]
    values += [placed.file for placed in (spec.command.files if spec.command else ())]
    found: Iterator[File] = files_in(values)
    for file in found:
        needed[file.sha256] = file.size
    for stored in given.checkpoint.files if given.checkpoint else ():
        needed[stored.sha256] = stored.size
    return needed


def larger_inputs_of(given: Assignment) -> dict[str, int]:
    """Those of them that did not come with it."""
    return {name: size for name, size in inputs_of(given).items() if name not in given.inline}


def take_in(batch: Batch, peer: str, given: Assignment) -> Lent:
    """Queue a peer's attempt here, whose files are here; a second time, nothing changes."""
    lent, row, line = taken(peer, given)
    peers, scheduler = batch.holdings.peers, batch.holdings.scheduler
    # Also what came along this time, and was fetched at another.
    inline = given.inline.keys() - peers.cached.keys()
    cache.note(batch, {key: size for key, size in inputs_of(given).items() if key not in inline})
    known = peers.lent.get(lent.job)
    if known is not None:
        return known
    peers.hold(lent)
    batch.write(LENT.keep(lent.job, lent))
    take_in_lent(scheduler, lent.lent_project)
    scheduler.adopt([row], [], [line] if line is not None else [], batch.now)
    return lent


def look(batch: Batch, lent: Lent) -> Seen | None:
    """A lent job as it is now; ``None`` if it is not here any more."""
    row = batch.job_row(lent.job)
    known = batch.holdings.peers.lent.get(lent.job)
    if row is None or known is None:
        return None
    scheduler = batch.holdings.scheduler
    return Seen(
        row,
        tuple(scheduler.attempt_rows(lent.job)),
        scheduler.newest_checkpoint(lent.job),
        scheduler.parts_of(lent.job),
        scheduler.sign_of(lent.job),
        batch.now - row.queued if row.state == "queued" else 0.0,
        known.told is not None,
    )


def end(batch: Batch, lent: Lent, *, checkpoint: bool) -> None:
    """Have no more of a lent job than its end; with ``checkpoint``, as far as it has come."""
    row = batch.job_row(lent.job)
    if row is None or lent.job not in batch.holdings.peers.lent:
        return
    batch.holdings.scheduler.cancel(lent.job, row.version + 1, checkpoint=checkpoint, now=batch.now)
    ending = msgspec.structs.replace(batch.holdings.peers.lent[lent.job], ending=True)
    batch.holdings.peers.hold(ending)
    batch.write(LENT.keep(lent.job, ending))


def forget(batch: Batch, lent: Lent) -> None:
    """The peer has it, or wants it no more: nothing of it is kept here."""
    peers = batch.holdings.peers
    if not peers.let_go(lent.job):
        return
    batch.write(LENT.drop(lent.job))
    batch.write(lambda tx: tx.forget_job(lent.job))
    batch.holdings.scheduler.forget_line(lent.job)
    if lent.lent_project not in peers.lent_projects():
        batch.write(lambda tx: tx.forget_checkpoints(lent.lent_project))


def tell(batch: Batch, lent: Lent, result: ResultRequest) -> Told:
    """What a job cost that may yet change, as its peer is told; the same however often it is.

    The peer may book what it is told first, and its answer be lost, while here a worker comes back.
    """
    peers = batch.holdings.peers
    known = peers.lent.get(lent.job, lent)
    if known.told is not None:
        return known.told
    told = Told(result.record)
    if lent.job in peers.lent:
        telling = msgspec.structs.replace(known, told=told)
        peers.hold(telling)
        batch.write(LENT.keep(lent.job, telling))
    return told


def delivered(batch: Batch, lent: Lent, result: ResultRequest, *, counts: bool) -> None:
    """The peer has the result; it ``counts`` unless the peer had no use of it."""
    if counts and is_work(result) and lent.job in batch.holdings.peers.lent:
        took = core_seconds(result.record, lent.cores, _FOR_EVER)
        key, used = batch.holdings.peers.use("lent", lent.peer, lent.project, took)
        batch.write(keep_used(key, used))
    forget(batch, lent)


def made_by(result: ResultRequest) -> set[str]:
    """The files that a result names."""
    return set(hashes_in(result))
