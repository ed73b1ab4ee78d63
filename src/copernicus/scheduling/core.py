"""The state of the scheduler and its elementary transitions; each leaves every index consistent."""

from __future__ import annotations

import msgspec

from copernicus.model.jobs import CheckpointRef, Failure, JobSpec
from copernicus.model.reports import JobEnded, JobStopped, PartialWithdrawn
from copernicus.model.resources import Offer
from copernicus.model.retries import ProjectRetries
from copernicus.protocol import CheckpointRequest
from copernicus.scheduling import checkpoints, retry
from copernicus.scheduling.book import Book, resumable
from copernicus.scheduling.leases import Leases
from copernicus.scheduling.matching import Kinds, Market, Reservations
from copernicus.scheduling.quarantine import Quarantine
from copernicus.scheduling.queue import Queue, needs_of
from copernicus.scheduling.rates import Rates
from copernicus.scheduling.room import Room, total_room
from copernicus.scheduling.rows import (
    ENDED,
    SERIES,
    AttemptRow,
    CheckpointRow,
    JobRow,
    Note,
    is_suspect,
    last_of,
)
from copernicus.scheduling.settings import SchedulerSettings
from copernicus.scheduling.shares import Shares
from copernicus.scheduling.wishes import Wishes
from copernicus.scheduling.workers import Workers


class Core:
    """Rows, queue, leases, workers."""

    def __init__(self, settings: SchedulerSettings) -> None:
        self.settings = settings
        self.book = Book(settings.keep_ended)
        self.queue = Queue(self.book.jobs.order)
        self.leases = Leases(settings.lease_s, settings.requests_kept)
        self.workers = Workers()
        self.reservations = Reservations()
        self.wishes = Wishes()
        self.quarantine = Quarantine(settings)
        self.workers.aside = self.quarantine.aside
        self.retries: dict[str, ProjectRetries] = {}
        self.shares = Shares()
        self.rates = Rates()
        self.on_hold: set[str] = set()
        self.children: dict[str, set[str]] = {}
        self.suspects: dict[str, None] = {}
        self.closed = ""
        self.now = 0.0
        self.attempt_base = 0
        self.market = Market(
            queue=self.queue,
            jobs=self.book.jobs,
            load=self.book.load,
            workers=self.workers,
            reservations=self.reservations,
            total_of=self.total_of,
            settings=settings,
            on_hold=self.on_hold,
            shares=self.shares,
            rates=self.rates,
            hopes={},
            kinds=Kinds(),
        )

    def total_of(self, worker: str, offer: Offer) -> Room:
        """What a worker would have free if its attempts ended.

        What a peer holds runs on other workers than the one that it offers.
        """
        if self.workers.is_peer(worker):
            return Room(offer)
        return total_room(offer, list(self.book.held_by.get(worker, {}).values()))

    def advance(self, now: float) -> None:
        """Let time pass: leases and back-offs that are over by now."""
        if now == self.now:
            return
        self.now = max(self.now, now)
        for attempt in self.leases.expired(self.now):
            row = self.book.attempt(attempt)
            if row and row.state == "live":
                self.lose(row)
            else:
                self.leases.end(attempt)
        for job in self.queue.ready(self.now):
            self.place(self.book.jobs[job])
        if self.quarantine.over(self.now):
            self.queue.arrivals += 1

    def place(self, row: JobRow) -> None:
        """Put a job where it belongs in the queue; take it out if it is not queued."""
        if is_suspect(row) and row.state == "queued":
            self.suspects[row.id] = None
        else:
            self.suspects.pop(row.id, None)
        if row.state != "queued":
            self.queue.remove(row.id)
            self.reservations.release(row.id)
        elif row.on_hold or self.waits_for_checkpoint_of(row):
            self.queue.set_aside(row.id)
        elif row.queued + row.backoff_s > self.now:
            self.queue.wait(row.id, row.queued + row.backoff_s)
        else:
            self.queue.offer(row)

    def waits_for_checkpoint_of(self, row: JobRow) -> str | None:
        """The job whose live attempt may still give the checkpoint from which this one goes on."""
        return row.parent if row.parent is not None and self.book.live(row.parent) else None

    def put_job(self, row: JobRow) -> JobRow:
        """Replace a job's row and put it where it then belongs."""
        self.book.put(row)
        self.place(row)
        if row.parent is not None:
            if row.state == "queued":
                self.children.setdefault(row.parent, set()).add(row.id)
            else:
                self._orphan(row.parent, row.id)
        return row

    def _orphan(self, parent: str, job: str) -> None:
        children = self.children.get(parent, set())
        children.discard(job)
        if not children:
            self.children.pop(parent, None)

    def requeue(self, row: JobRow) -> JobRow:
        """Put a job back, to wait for its back-off from now on."""
        return self.put_job(msgspec.structs.replace(row, state="queued", queued=self.now))

    def close_attempt(self, row: AttemptRow, *, ended: bool, outcome: str) -> AttemptRow:
        """The lease of an attempt is over: it ``ended``, or it may still report."""
        lease = self.leases.get(row.id)
        log = lease.log_tail if lease else row.log
        self.leases.end(row.id)
        new = self.book.change_attempt(
            self._withdraw(row, outcome),
            state="ended" if ended else "lost",
            outcome=outcome,
            ended=self.now,
            log=last_of(log),
        )
        for child in tuple(self.children.get(row.job, ())):
            self.place(self.book.jobs[child])
        return new

    def _withdraw(self, row: AttemptRow, outcome: str) -> AttemptRow:
        """What an attempt has given so far is no more; its result, if any, is told instead."""
        if row.told and outcome != "completed":
            job = self.book.jobs[row.job]
            report = PartialWithdrawn(job.activation, row.number)
            self.book.notes.append(Note(job.project, job.id, report))
        # A table is no guess at a result: what it showed did happen.
        series = {
            name.removeprefix(SERIES): given.value
            for name, given in row.partial.items()
            if name.startswith(SERIES)
        }
        return msgspec.structs.replace(row, partial={}, told=False, series=row.series or series)

    def hear(self, row: AttemptRow) -> AttemptRow:
        """The attempt has certainly started: its worker speaks of it."""
        if row.heard:
            return row
        job = self.book.jobs[row.job]
        if resumable(job.spec):
            assert job.spec is not None
            line = self.line(job.project, job.spec.checkpoint_key)
            self.book.put(msgspec.structs.replace(line, started=line.started + 1))
        return self.book.change_attempt(row, heard=True, started=self.now)

    def lose(self, row: AttemptRow) -> None:
        """No sign of life for a lease time: the job goes back, or is given up."""
        self.close_attempt(row, ended=False, outcome="lost")
        job = self.book.jobs[row.job]
        if job.state != "leased":
            self.place(job)
        elif not row.heard:
            self.requeue(msgspec.structs.replace(job, backoff_s=0.0))
        else:
            failure = Failure(
                f"{self.name(row)} was lost while it ran the job",
                cause="worker_lost",
                worker=row.worker,
                remedy="see whether the job kills its worker: memory, disk, or the program itself",
            )
            spec = self.by_project(job)
            self.settle(retry.after_loss(job, failure, row.worker, self.settings, spec))

    def by_project(self, row: JobRow) -> JobSpec:
        """What a job is, with the retries that its project wants."""
        assert row.spec is not None
        return retry.by_project(row.spec, self.retries.get(row.project))

    def note_losses(self, row: AttemptRow, losses: int) -> None:
        """A peer says how many workers a job has lost in all: they count as if lost here."""
        job = self.book.jobs[row.job]
        if losses > job.losses and job.state == "leased":
            self.book.change(job, losses=losses)

    def note_failure(self, row: AttemptRow, failure: Failure) -> None:
        """A worker reported a failure: it is set aside if everything fails there."""
        job, worker = self.book.jobs[row.job], row.worker
        avoiding = msgspec.structs.replace(job, avoid=retry.avoiding(job, worker), queued=self.now)
        others = self.market.must_avoid(needs_of(avoiding), avoiding, worker, self.now)
        if self.quarantine.failed(worker, row.job, failure, self.now, has_others=others):
            self.reservations.release_worker(worker)

    def name(self, row: AttemptRow) -> str:
        """How to name an attempt's worker to a person."""
        return row.host or row.worker

    def settle(self, row: JobRow) -> None:
        """Carry out what ``retry`` decided: back to the queue, or the end."""
        if row.state == "queued":
            self.requeue(row)
        else:
            self.end_job(row)

    def end_job(self, row: JobRow) -> None:
        """The job has its one end; the engine is told."""
        self.wishes.forget(row.id)
        self.put_job(msgspec.structs.replace(row, checkpoint=row.checkpoint or self.newest(row)))
        self.note_end(self.book.jobs[row.id])

    def note_end(self, row: JobRow) -> None:
        """Tell the engine of a job's end; telling it again does no harm."""
        report = JobEnded(
            activation=row.activation,
            outputs=row.outputs,
            failure=None if row.outputs is not None else row.failure,
            attempts=self.book.records(row.id),
            checkpoint=row.checkpoint,
        )
        self.book.notes.append(Note(row.project, row.id, report))

    def note_stop(self, row: JobRow) -> None:
        """Tell the engine that a cancel was carried out."""
        report = JobStopped(row.activation, row.version)
        self.book.notes.append(Note(row.project, row.id, report))

    def line(self, project: str, key: str) -> CheckpointRow:
        """The checkpoints of a line of work, empty if there are none."""
        return self.book.checkpoints.get((project, key)) or CheckpointRow(project, key)

    def newest(self, row: JobRow) -> CheckpointRef | None:
        """The checkpoint from which a job would go on now."""
        if row.spec is None or row.spec.command is None or row.spec.command.checkpoint is None:
            return None
        refs = self.line(row.project, row.spec.checkpoint_key).refs
        return checkpoints.choose(refs, row.spec.command.checkpoint.limit)

    def kept(self, ref: CheckpointRef | None, row: JobRow) -> CheckpointRef | None:
        """The checkpoint if it is kept: newer ones of its line may have taken its place."""
        if ref is None or row.spec is None:
            return None
        return ref if ref in self.line(row.project, row.spec.checkpoint_key).refs else None

    def may_add_checkpoint(self, row: AttemptRow) -> bool:
        """Whether the attempt is the one whose checkpoints count: the newest, not yet ended."""
        job = self.book.jobs[row.job]
        return (
            resumable(job.spec)
            and row.number == job.attempts
            and row.state != "ended"
            and row.outcome in ("", "lost")
            and job.state not in ("done", "failed")
        )

    def add_checkpoint(self, row: AttemptRow, request: CheckpointRequest) -> AttemptRow:
        """Enter a checkpoint into the index; one that came before it (``seq``) changes nothing."""
        job = self.book.jobs[row.job]
        if job.spec is None or request.seq <= row.seq or request.key != job.spec.checkpoint_key:
            return row
        ref = CheckpointRef(
            key=request.key,
            job=row.job,
            attempt=row.number,
            index=job.checkpoints + 1,
            files=request.files,
            step=request.step,
        )
        line = self.line(job.project, request.key)
        kept, dropped = checkpoints.keep(line.refs, ref)
        started = max(line.started, request.part)
        self.book.put(msgspec.structs.replace(line, refs=kept, started=started))
        self.book.dropped.extend(dropped)
        self.book.change(job, checkpoints=ref.index)
        return self.book.change_attempt(row, seq=request.seq, checkpoint=ref)

    def can_revive(self, row: AttemptRow) -> bool:
        """Whether an attempt may have its lease back: nobody else was given its job."""
        job = self.book.jobs[row.job]
        return (
            row.state == "lost"
            and row.outcome == "lost"
            and row.number == job.attempts
            and (job.state == "queued" or (job.state == "cancelled" and not job.digest))
        )

    def revive(self, row: AttemptRow) -> AttemptRow:
        """Give an attempt its lease back; its worker was not lost after all."""
        job = self.book.jobs[row.job]
        row = self.book.change_attempt(row, state="live", outcome="", ended=0.0)
        self.leases.start(row.id, self.now)
        if job.state == "queued":
            self.put_job(
                msgspec.structs.replace(
                    job, state="leased", losses=max(0, job.losses - int(row.heard))
                )
            )
        return row

    def forget_old(self) -> None:
        """Bound the memory that ended jobs take."""
        for job in self.book.forget_old():
            self.wishes.forget(job)

    def is_ended(self, job: str) -> bool:
        """Whether the job is known and needs no attempt any more."""
        row = self.book.jobs.get(job)
        return row is not None and row.state in ENDED
