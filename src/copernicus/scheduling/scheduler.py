"""The scheduler: which job runs where, under which lease, and what becomes of it.

It is pure: no clock, no disk. ``now`` (seconds, see ``rows``) comes with every call. After each
call the runtime stores ``take_records`` and passes on ``take_notes`` in one transaction, and only
then answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from copernicus.errors import Conflict
from copernicus.model.jobs import CheckpointRef, JobSpec
from copernicus.model.pools import Provision
from copernicus.model.resources import Offer
from copernicus.model.retries import ProjectRetries
from copernicus.model.shares import PoolRules, ProjectShare
from copernicus.protocol import (
    Assignment,
    Beat,
    CheckpointRequest,
    Directive,
    LeaseRequest,
    PartialRequest,
    ResultRequest,
)
from copernicus.scheduling import explain, granting, invariants, messages, wanted, withdrawing
from copernicus.scheduling.core import Core
from copernicus.scheduling.demand import Known, fillable
from copernicus.scheduling.quarantine import Aside, QuarantineRow
from copernicus.scheduling.rates import RateRow
from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow, Note, Row
from copernicus.scheduling.settings import SchedulerSettings
from copernicus.scheduling.shown import Shown
from copernicus.scheduling.workers import WorkerInfo


class Scheduler(Shown):
    """The queue of one server.

    Ended jobs are forgotten after a while (``SchedulerSettings.keep_ended``). Before ``submit``,
    ``cancel``, ``checkpoint`` or ``result`` for a job that it does not know (``knows``), the
    runtime looks into the store and gives what is there to ``restore_job``.
    """

    def __init__(self, settings: SchedulerSettings | None = None) -> None:
        self._core = Core(settings or SchedulerSettings())
        self._order = 1

    # --- recovery -------------------------------------------------------------------------------

    def restore(
        self,
        jobs: Iterable[JobRow],
        attempts: Iterable[AttemptRow],
        checkpoints: Iterable[CheckpointRow],
        now: float,
        attempt_base: int = 0,
    ) -> None:
        """Take over what was stored: every live lease, every back-off begins again in full.

        All jobs that have not ended must be among ``jobs``; of those that have, as many as one
        likes. Projects that are paused are put on hold anew by ``set_on_hold``. Only attempt
        numbers above ``attempt_base`` are granted from now on (after an old backup was put back).
        """
        self._core.now = now
        self._core.attempt_base = attempt_base
        for line in checkpoints:
            self._core.book.put(line, store=False)
        by_job: dict[str, list[AttemptRow]] = {}
        for attempt in attempts:
            by_job.setdefault(attempt.job, []).append(attempt)
        for row in jobs:
            self._enter(row, by_job.get(row.id, ()))
        self._core.book.jobs.sort()
        for job in tuple(self._core.book.jobs):
            self._settle(job)
        self._core.forget_old()

    def restore_job(self, row: JobRow, attempts: Iterable[AttemptRow]) -> None:
        """Take one job, forgotten because it had ended, back into memory; known ones stay."""
        if not self.knows(row.id):
            self._enter(row, attempts)
            self._settle(row.id)

    def adopt(
        self,
        jobs: Iterable[JobRow],
        attempts: Iterable[AttemptRow],
        checkpoints: Iterable[CheckpointRow],
        now: float,
    ) -> None:
        """Take over a project's work from another server: queued here, at the queue's end.

        No attempt may be live: whoever holds one there reports to that server only.
        """
        core = self._core
        core.advance(now)
        for line in checkpoints:
            core.book.put(line)
        rows = sorted(jobs, key=lambda row: row.order)
        for row in rows:
            # Of one that is here already: its place in the queue is found by its old number.
            core.queue.remove(row.id)
            core.book.put(msgspec.structs.replace(row, order=self._order, queued=core.now))
            self._order += 1
        for attempt in attempts:
            core.book.put(attempt)
        for row in rows:
            self._settle(row.id)

    def _enter(self, row: JobRow, attempts: Iterable[AttemptRow]) -> None:
        book = self._core.book
        book.put(msgspec.structs.replace(row, queued=self._core.now), store=False)
        for attempt in sorted(attempts, key=lambda attempt: attempt.number):
            book.put(attempt, store=False)
            if attempt.state == "live":
                self._core.leases.start(attempt.id, self._core.now)
                self._core.leases.note_request(attempt.worker, attempt.request, [attempt.id])
        self._order = max(self._order, row.order + 1)

    def _settle(self, job: str) -> None:
        """Place a restored job, once everything that it may wait for is there."""
        row = self._core.book.jobs[job]
        if row.state == "leased" and self._core.book.live(job) is None:
            row = self._core.requeue(row)
        self._core.place(row)
        if row.parent is not None and row.state == "queued":
            self._core.children.setdefault(row.parent, set()).add(job)

    def knows(self, job_id: str) -> bool:
        """Whether the job is in memory."""
        return job_id in self._core.book.jobs

    # --- what the engine wants ------------------------------------------------------------------

    def submit(
        self,
        job_id: str,
        project: str,
        version: int,
        spec: JobSpec,
        parent: str | None,
        on_hold: bool,
        now: float,
        barred: tuple[str, ...] = (),
    ) -> None:
        """The job is wanted in the queue. Versions seen before change nothing.

        ``barred`` are workers (or peers) that never get it. ``parent`` is the activation's or
        job's id that it extends. A job that has ended is noted as ended once more.
        """
        self._core.advance(now)
        if parent is not None and not parent.startswith(f"{project}."):
            parent = f"{project}.{parent}"
        wish = wanted.Wish(job_id, project, version, spec, parent, on_hold, barred)
        self._order += wanted.submit(self._core, wish, self._order)

    def cancel(self, job_id: str, version: int, checkpoint: bool, now: float) -> None:
        """The job is not wanted: out of the queue at once, noted as stopped.

        A running attempt is told so by its next heartbeat; with ``checkpoint`` it is asked for a
        last one. A result that comes all the same is noted.
        """
        self._core.advance(now)
        self._order += wanted.cancel(
            self._core, job_id, version, checkpoint=checkpoint, order=self._order
        )
        self._core.forget_old()

    def stream(self, job_id: str, version: int, ports: tuple[str, ...]) -> None:
        """While the job runs, these output ports are wanted as they are so far, regularly."""
        self._core.wishes.stream(job_id, version, ports)

    def ask(self, job_id: str, names: tuple[str, ...]) -> int:
        """Want these outputs of a running job once, as they are so far; the number of the wish.

        Raises:
            NotFound: The job is not known.
            Conflict: It does not run; the message says why.
        """
        row = self._core.book.job(job_id)
        if self._core.book.live(job_id) is None or row.state != "leased":
            raise Conflict(f"it does not run: {explain.explain(self._core, job_id, None)}")
        return self._core.wishes.ask(job_id, names)

    def is_waiting(self, job_id: str, wish: int) -> bool:
        """Whether a wish may still be carried out, and was not."""
        live = self._core.book.live(job_id) is not None
        return live and self._core.wishes.is_open(job_id, wish)

    def watch(self, job_id: str, now: float) -> None:
        """Somebody reads a job's log as it grows: its worker is to tell of it often."""
        self._core.wishes.watch(job_id, now + self._core.settings.watch_s)

    def set_on_hold(self, project: str, on_hold: bool) -> None:
        """Offer no job of the project; or offer them again, those submitted on hold too."""
        wanted.set_on_hold(self._core, project, on_hold=on_hold)

    # --- what people decide ---------------------------------------------------------------------

    def set_share(self, project: str, share: ProjectShare) -> None:
        """A project's weight, priority and pools, from now on; queued jobs follow at once."""
        wanted.set_share(self._core, project, share)

    def set_priority(self, job_id: str, priority: int | None) -> None:
        """A job's priority from now on (``None``: what its function asks for).

        Raises:
            NotFound: The job is not known.
            Conflict: It has ended.
        """
        wanted.set_priority(self._core, job_id, priority)

    def set_pool(self, pool: str, rules: PoolRules) -> None:
        """Which projects a pool's workers serve, from now on; also of requests that wait."""
        wanted.set_pool(self._core, pool, rules)

    def fillable(self, pool: str, asked: Provision, known: Known | None) -> int:
        """How many further workers of a pool the jobs that wait could fill."""
        return fillable(self._core, pool, asked, known)

    # --- what workers ask and say ---------------------------------------------------------------

    def lease(self, worker: WorkerInfo, request: LeaseRequest, now: float) -> list[Assignment]:
        """Attempts for a worker, as many as its offer holds; none if nothing fits.

        The same ``request_id`` is given the same attempts, those that are still its own. The
        runtime adds ``inline`` files.
        """
        self._core.advance(now)
        return granting.lease(self._core, worker, request)

    def heartbeat(
        self, worker_id: str, beats: Sequence[Beat], now: float, offer: Offer | None = None
    ) -> list[Directive]:
        """Renew the leases of a worker's attempts; one directive per beat."""
        self._core.advance(now)
        self._core.workers.hear(worker_id, offer, self._core.now)
        return [messages.beat(self._core, worker_id, beat) for beat in beats]

    def checkpoint(self, worker_id: str, request: CheckpointRequest, now: float) -> None:
        """Take a checkpoint whose blobs are stored.

        Raises:
            NotAllowed: The attempt was not granted to this worker.
            Conflict: The attempt does not hold its job any more, or the message is out of date.
            BadValue: The job has no checkpoints, or they belong to other work.
        """
        self._core.advance(now)
        messages.checkpoint(self._core, worker_id, request)

    def partial(self, worker_id: str, request: PartialRequest, now: float) -> None:
        """Take what a running attempt has made so far, whose blobs are stored.

        Raises:
            NotAllowed: The attempt was not granted to this worker.
            Conflict: The attempt does not hold its job any more, or the message is out of date.
            BadValue: The job gives no such thing before its end.
        """
        self._core.advance(now)
        messages.partial(self._core, worker_id, request)

    def result(self, worker_id: str, request: ResultRequest, now: float) -> messages.Verdict:
        """Take the end of an attempt; the first completed result of a job is its result.

        Raises:
            NotAllowed: The attempt was not granted to this worker.
        """
        self._core.advance(now)
        verdict = messages.result(self._core, worker_id, request)
        self._core.forget_old()
        return verdict

    def drain(self, worker_id: str, draining: bool = True) -> None:
        """Give a worker no more work (or work again); what it has, it may finish."""
        (self._core.workers.draining.add if draining else self._core.workers.draining.discard)(
            worker_id
        )
        self._core.reservations.release_worker(worker_id)

    def close(self, reason: str) -> None:
        """Give out nothing new to anybody, for this reason; with ``""``, go on.

        What was given is given again to whoever asks for it again.
        """
        was_closed, self._core.closed = self._core.closed, reason
        if was_closed and not reason:
            self._core.queue.arrivals += 1

    def is_draining(self, worker_id: str) -> bool:
        """Whether the worker is to finish and go."""
        return worker_id in self._core.workers.draining

    def set_retries(self, project: str, retries: ProjectRetries) -> None:
        """Try failed jobs of the project again by these rules, those in the queue too."""
        self._core.retries[project] = retries

    def aside(self, worker_id: str) -> Aside | None:
        """How a worker is set aside because everything failed there, if it is."""
        return self._core.quarantine.get(worker_id)

    def trust_again(self, worker_id: str) -> bool:
        """End a worker's time aside; whether there was one."""
        self._core.queue.arrivals += 1
        return self._core.quarantine.lift(worker_id)

    def forget_worker(self, worker_id: str, now: float | None = None) -> None:
        """The worker was revoked: its jobs go back at once, nothing of it counts any more."""
        self._core.advance(self._core.now if now is None else now)
        withdrawing.revoke(self._core, worker_id)

    def take_back(self, worker_id: str, now: float) -> None:
        """Whatever a worker holds goes back to the queue at once; it is still trusted."""
        self._core.advance(now)
        withdrawing.take_back(self._core, worker_id)

    def readmit(self, worker_id: str) -> None:
        """A worker that was revoked has joined anew under its old name."""
        self._core.workers.revoked.discard(worker_id)

    def worker_left(self, worker_id: str) -> None:
        """The worker has ended in order, and handed back what it held: it counts no more."""
        withdrawing.leave(self._core, worker_id)

    def forget_line(self, job_id: str) -> None:
        """Nothing is continued any more from what a job of a peer has left."""
        withdrawing.forget_line(self._core, job_id)

    def forget_lines(self, project: str, keys: Iterable[str]) -> None:
        """Nothing goes on from these checkpoints any more; no job that has not ended may."""
        withdrawing.forget_lines(self._core, project, keys)

    # --- time -----------------------------------------------------------------------------------

    def tick(self, now: float) -> None:
        """Let time pass: leases that expire, back-offs that end."""
        self._core.advance(now)
        self._core.forget_old()

    def next_wake(self, now: float) -> float | None:
        """The time (as ``now``) at which ``tick`` next has something to do; never before now."""
        core = self._core
        times = (core.leases.next_end(), core.queue.next_ready(), core.quarantine.next_end())
        return max(now, min(due)) if (due := [time for time in times if time is not None]) else None

    # --- what is to be stored and told ----------------------------------------------------------

    def take_records(self) -> list[Row]:
        """The rows changed since the last call: upserts by key, for one transaction."""
        return self._core.book.take()

    def restore_rates(self, rows: Iterable[RateRow]) -> None:
        """Take over the rates that were stored."""
        for row in rows:
            self._core.rates.restore(row)

    def restore_quarantine(self, rows: Iterable[QuarantineRow]) -> None:
        """Take over which workers were set aside; after ``restore``."""
        for row in rows:
            self._core.quarantine.restore(row, self._core.now)

    def take_quarantine(self) -> list[QuarantineRow]:
        """The workers whose quarantine changed since the last call, to be stored by id."""
        return self._core.quarantine.take()

    def take_rates(self) -> list[RateRow]:
        """The measured rates changed since the last call, to be stored by key."""
        return self._core.rates.take()

    def take_notes(self) -> list[Note]:
        """What the engines of the projects are to be told, in order."""
        notes = self._core.book.notes
        self._core.book.notes = []
        return notes

    def take_dropped(self) -> list[CheckpointRef]:
        """The checkpoints dropped since the last call, whose blobs may be collected."""
        dropped = self._core.book.dropped
        self._core.book.dropped = []
        return dropped

    def check(self) -> None:
        """Hold the state against the invariants (RELIABILITY 3.2); for tests.

        Raises:
            AssertionError: One does not hold; the message says which, and for what.
        """
        invariants.check(self._core)
