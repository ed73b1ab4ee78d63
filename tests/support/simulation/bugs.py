"""Bugs to be put into the server on purpose: each must be found by some world."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from copernicus.engine import core as engine
from copernicus.model import events as ev
from copernicus.scheduling import checkpoints, messages
from copernicus.scheduling.book import Book
from copernicus.scheduling.core import Core
from copernicus.scheduling.leases import Leases
from copernicus.scheduling.queue import Queue
from copernicus.scheduling.rows import AttemptRow, JobRow
from copernicus.scheduling.scheduler import Scheduler
from copernicus.server.batch import Batch
from copernicus.server.evaluators import Evaluators
from copernicus.server.files import FileRights
from copernicus.server.holdings import Holdings
from copernicus.server.runtime import Runtime
from support.simulation.server import SimServer

Bug = Callable[[Any], None]


# --- fencing


def anyone_may_report(patch: Any) -> None:
    def granted(core: Core, worker: str, attempt: str) -> AttemptRow:
        row = core.book.attempt(attempt)
        if row is None:
            raise messages.NotAllowed("no such attempt")
        return row

    patch.setattr(messages, "granted", granted)


def checkpoints_are_not_ordered(patch: Any) -> None:
    add = Core.add_checkpoint

    def unordered(core: Core, row: AttemptRow, request: Any) -> AttemptRow:
        new = add(core, msgspec.structs.replace(row, seq=-1), request)
        return core.book.change_attempt(new, seq=-1)

    patch.setattr(Core, "add_checkpoint", unordered)


def index_starts_anew_with_each_attempt(patch: Any) -> None:
    add = Core.add_checkpoint

    def anew(core: Core, row: AttemptRow, request: Any) -> AttemptRow:
        job = core.book.jobs[row.job]
        if row.checkpoint is None:
            core.book.change(job, checkpoints=0)
        return add(core, row, request)

    patch.setattr(Core, "add_checkpoint", anew)


def a_zombie_is_revived(patch: Any) -> None:
    patch.setattr(Core, "can_revive", lambda core, row: row.state == "lost")


def a_checkpoint_beyond_the_limit_is_given(patch: Any) -> None:
    choose = checkpoints.choose
    patch.setattr(checkpoints, "choose", lambda refs, limit: choose(refs, None))


# --- results


def a_later_result_overwrites(patch: Any) -> None:
    completed = messages._completed

    def overwriting(core: Core, row: AttemptRow, request: Any) -> Any:
        job = core.book.jobs[row.job]
        if job.state == "done":
            core.book.change(job, digest="", state="queued")
            core.book.change_attempt(row, state="lost")
            found = core.book.attempt(row.id)
            assert found is not None
            row = found
        return completed(core, row, request)

    patch.setattr(messages, "_completed", overwriting)


def a_result_is_refused_after_the_lease(patch: Any) -> None:
    granted = messages.granted

    def strict(core: Core, worker: str, attempt: str) -> AttemptRow:
        row = granted(core, worker, attempt)
        if row.state == "lost":
            raise messages.NotAllowed("too late")
        return row

    patch.setattr(messages, "granted", strict)


def two_results_are_both_kept(patch: Any) -> None:
    def careless(core: Core, row: AttemptRow, request: Any) -> str:
        job = core.book.jobs[row.job]
        digest = messages.digest(request.outputs)
        core.book.change(job, state="done", outputs=request.outputs, digest=digest)
        core.place(core.book.jobs[row.job])
        messages._close(core, row, request)
        core.note_end(core.book.jobs[row.job])
        return "accepted"

    patch.setattr(messages, "_completed", careless)


def the_end_of_what_was_stopped_counts(patch: Any) -> None:
    """The engine takes a result for an activation that has ended already."""
    ended = engine._job_ended

    def careless(step: Any, report: Any) -> None:
        made = step.state.activations.get(report.activation)
        if made is not None and made.outcome and report.outputs:
            step.emit(ev.ActivationEnded(made.id, "succeeded", outputs=report.outputs))
        else:
            ended(step, report)

    patch.setattr(engine, "_job_ended", careless)


# --- keeping


def results_are_not_stored(patch: Any) -> None:
    put = Book.put

    def forgetful(book: Book, row: Any, *, store: bool = True) -> None:
        done = isinstance(row, JobRow) and row.state == "done"
        put(book, row, store=store and not done)

    patch.setattr(Book, "put", forgetful)


def attempt_numbers_are_forgotten(patch: Any) -> None:
    restore = Scheduler.restore

    def forgetful(
        self: Scheduler, jobs: Any, attempts: Any, lines: Any, now: float, attempt_base: int = 0
    ) -> None:
        forgotten = [
            msgspec.structs.replace(row, attempts=0) if row.state == "queued" else row
            for row in jobs
        ]
        queued = {row.id for row in forgotten if row.state == "queued"}
        kept = [row for row in attempts if row.job not in queued]
        restore(self, forgotten, kept, lines, now, attempt_base)

    patch.setattr(Scheduler, "restore", forgetful)


def answers_come_before_the_commit(patch: Any) -> None:
    commit = Runtime._commit
    running: set[Any] = set()

    async def hasty(self: Runtime, batch: Batch, requests: Any, granted: Any) -> bool:
        async def late() -> None:
            await asyncio.sleep(20)
            await commit(self, batch, requests, granted)

        running.add(asyncio.create_task(late()))
        return True

    patch.setattr(Runtime, "_commit", hasty)


def rows_and_events_are_two_transactions(patch: Any) -> None:
    write_to = Batch.write_to

    def halves(self: Batch, store: Any) -> None:
        if not self._rows or not self.entries:
            write_to(self, store)
            return
        entries, self.entries = self.entries, []
        write_to(self, store)
        self.entries, self._rows = entries, []
        if sum(entry.position for _, entry in entries) % 5 == 0:
            raise asyncio.CancelledError  # died in between
        write_to(self, store)

    patch.setattr(Batch, "write_to", halves)


def what_a_full_disk_refused_stays_in_memory(patch: Any) -> None:
    patch.setattr(Holdings, "reload", lambda self, store, projects, now: None)


# --- files


def files_are_not_looked_for(patch: Any) -> None:
    patch.setattr(SimServer, "_check_stored", lambda self, files: None)


def checkpoints_are_swept(patch: Any) -> None:
    patch.setattr(FileRights, "_checkpoints", lambda self, project: iter(()))


# --- going on


def leases_never_expire(patch: Any) -> None:
    patch.setattr(Leases, "expired", lambda self, now: [])


def leases_are_forgotten_by_a_restart(patch: Any) -> None:
    restore = Scheduler.restore

    def forgetful(self: Scheduler, *args: Any, **named: Any) -> None:
        restore(self, *args, **named)
        self._core.leases.expired(float("inf"))

    patch.setattr(Scheduler, "restore", forgetful)


def a_lost_job_is_forgotten(patch: Any) -> None:
    def lose(core: Core, row: AttemptRow) -> None:
        core.close_attempt(row, ended=False, outcome="lost")

    patch.setattr(Core, "lose", lose)


def a_back_off_never_ends(patch: Any) -> None:
    patch.setattr(Queue, "ready", lambda self, now: [])


def open_work_is_not_taken_up(patch: Any) -> None:
    patch.setattr(Batch, "open_work", lambda self: None)


def an_evaluation_that_was_lost_stays_lost(patch: Any) -> None:
    async def nothing(self: Evaluators, *_: Any) -> None:
        return None

    patch.setattr(Evaluators, "_begin_again", nothing)


def a_cancel_is_not_carried_out(patch: Any) -> None:
    patch.setattr(Batch, "_cancel", lambda self, job, effect: None)


def any_worker_serves_any_project(patch: Any) -> None:
    patch.setattr("copernicus.scheduling.matching.serves", lambda worker, offer, project: True)


BUGS: tuple[Bug, ...] = (
    anyone_may_report,
    checkpoints_are_not_ordered,
    index_starts_anew_with_each_attempt,
    a_zombie_is_revived,
    a_checkpoint_beyond_the_limit_is_given,
    a_later_result_overwrites,
    a_result_is_refused_after_the_lease,
    two_results_are_both_kept,
    the_end_of_what_was_stopped_counts,
    results_are_not_stored,
    attempt_numbers_are_forgotten,
    answers_come_before_the_commit,
    rows_and_events_are_two_transactions,
    what_a_full_disk_refused_stays_in_memory,
    files_are_not_looked_for,
    checkpoints_are_swept,
    leases_never_expire,
    leases_are_forgotten_by_a_restart,
    a_lost_job_is_forgotten,
    a_back_off_never_ends,
    open_work_is_not_taken_up,
    an_evaluation_that_was_lost_stays_lost,
    a_cancel_is_not_carried_out,
    any_worker_serves_any_project,
)
