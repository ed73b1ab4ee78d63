"""The scheduler in a hostile world, in virtual time; and the proof that the world finds bugs.

A failing seed shows in the test's name: run that one alone to see it again.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from copernicus.errors import CopernicusError
from copernicus.scheduling import messages
from copernicus.scheduling.book import Book
from copernicus.scheduling.core import Core
from copernicus.scheduling.rows import AttemptRow, JobRow
from copernicus.scheduling.scheduler import Scheduler
from support.scheduler_world import ViolationError, World

SEEDS = 200
BATCH = 10
MUTANT_SEEDS = 40


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_nothing_forbidden_happens(first):
    for seed in range(first, first + BATCH):
        try:
            World(seed).run()
        except (ViolationError, AssertionError) as error:
            pytest.fail(f"seed {seed}: {error}")


def test_a_seed_gives_the_same_run_each_time():
    runs = []
    for _ in range(2):
        world = World(5)
        world.run()
        runs.append((world.now, world.disk, world.observer.acknowledged))
    assert runs[0] == runs[1]


# --- seeded bugs: each must be found


class ForgetsNumbers(Scheduler):
    """The attempt counter is not durable."""

    def restore(self, jobs, attempts, checkpoints, now, attempt_base=0):
        forgotten = [
            msgspec.structs.replace(row, attempts=0) if row.state == "queued" else row
            for row in jobs
        ]
        queued = {row.id for row in forgotten if row.state == "queued"}
        kept = [row for row in attempts if row.job not in queued]
        super().restore(forgotten, kept, checkpoints, now, attempt_base)


class ForgetsLeases(Scheduler):
    """After a restart, nobody watches the leases that ran before it."""

    def restore(self, jobs, attempts, checkpoints, now, attempt_base=0):
        super().restore(jobs, attempts, checkpoints, now, attempt_base)
        self._core.leases.expired(float("inf"))


def anyone_may_report(patch):
    def granted(core: Core, worker: str, attempt: str) -> AttemptRow:
        row = core.book.attempt(attempt)
        if row is None:
            raise messages.NotAllowed("no such attempt")
        return row

    patch.setattr(messages, "granted", granted)


def checkpoints_are_not_ordered(patch):
    add = Core.add_checkpoint

    def unordered(core, row, request):
        new = add(core, msgspec.structs.replace(row, seq=-1), request)
        return core.book.change_attempt(new, seq=-1)

    patch.setattr(Core, "add_checkpoint", unordered)


def index_starts_anew_with_each_attempt(patch):
    add = Core.add_checkpoint

    def anew(core, row, request):
        job = core.book.jobs[row.job]
        if row.checkpoint is None:
            core.book.change(job, checkpoints=0)
        return add(core, row, request)

    patch.setattr(Core, "add_checkpoint", anew)


def a_later_result_overwrites(patch):
    completed = messages._completed

    def overwriting(core, row, request):
        job = core.book.jobs[row.job]
        if job.state == "done":
            core.book.change(job, digest="", state="queued")
            core.book.change_attempt(row, state="lost")
            row = core.book.attempt(row.id)
        return completed(core, row, request)

    patch.setattr(messages, "_completed", overwriting)


def a_result_is_refused_after_the_lease(patch):
    granted = messages.granted

    def strict(core, worker, attempt):
        row = granted(core, worker, attempt)
        if row.state == "lost":
            raise messages.NotAllowed("too late")
        return row

    patch.setattr(messages, "granted", strict)


def results_are_not_stored(patch):
    put = Book.put

    def forgetful(book, row, *, store=True):
        done = isinstance(row, JobRow) and row.state == "done"
        put(book, row, store=store and not done)

    patch.setattr(Book, "put", forgetful)


def a_lost_job_is_forgotten(patch):
    def lose(core, row):
        core.close_attempt(row, ended=False, outcome="lost")

    patch.setattr(Core, "lose", lose)


def leases_never_expire(patch):
    patch.setattr("copernicus.scheduling.leases.Leases.expired", lambda self, now: [])


def a_zombie_is_revived(patch):
    patch.setattr(Core, "can_revive", lambda core, row: row.state == "lost")


def two_results_are_both_kept(patch):
    def careless(core, row, request):
        job = core.book.jobs[row.job]
        core.book.change(
            job, state="done", outputs=request.outputs, digest=messages.digest(request.outputs)
        )
        core.place(core.book.jobs[row.job])
        messages._close(core, row, request)
        core.note_end(core.book.jobs[row.job])
        return "accepted"

    patch.setattr(messages, "_completed", careless)


def a_back_off_never_ends(patch):
    patch.setattr("copernicus.scheduling.queue.Queue.ready", lambda self, now: [])


PATCHES: list[Callable] = [
    anyone_may_report,
    checkpoints_are_not_ordered,
    index_starts_anew_with_each_attempt,
    a_later_result_overwrites,
    a_result_is_refused_after_the_lease,
    results_are_not_stored,
    a_lost_job_is_forgotten,
    leases_never_expire,
    a_zombie_is_revived,
    two_results_are_both_kept,
    a_back_off_never_ends,
]


def first_seed_that_fails(**how) -> str:
    for seed in range(MUTANT_SEEDS):
        try:
            World(seed, **how).run()
        except (ViolationError, AssertionError, CopernicusError, LookupError) as error:
            return f"seed {seed}: {error}"
    return ""


@pytest.mark.parametrize("bug", PATCHES, ids=lambda bug: bug.__name__)
def test_the_world_finds(bug, monkeypatch):
    bug(monkeypatch)
    assert first_seed_that_fails()


@pytest.mark.parametrize("bug", [ForgetsNumbers, ForgetsLeases], ids=lambda bug: bug.__name__)
def test_the_world_finds_after_restarts(bug):
    assert first_seed_that_fails(scheduler=bug)


def test_the_world_finds_answers_before_storing():
    assert first_seed_that_fails(stores_late=True)
