"""What the engine wants: jobs in the queue, jobs out of it. Idempotent by job and version."""

from __future__ import annotations

import msgspec

from copernicus.errors import Conflict
from copernicus.model.jobs import JobSpec
from copernicus.model.shares import PoolRules, ProjectShare
from copernicus.scheduling.book import resumable
from copernicus.scheduling.core import Core
from copernicus.scheduling.rows import ENDED, AttemptRow, JobRow, project_of


class Wish(msgspec.Struct, frozen=True):
    """A job as it is wanted in the queue."""

    job: str
    project: str
    version: int
    spec: JobSpec
    parent: str | None
    on_hold: bool
    barred: tuple[str, ...] = ()


def submit(core: Core, wish: Wish, order: int) -> bool:
    """Take a job into the queue; whether it is new (then ``order`` is its place)."""
    row = core.book.jobs.get(wish.job)
    if row is None:
        core.put_job(
            JobRow(
                id=wish.job,
                project=wish.project,
                version=wish.version,
                state="queued",
                order=order,
                spec=wish.spec,
                parent=wish.parent,
                on_hold=wish.on_hold,
                submitted=core.now,
                queued=core.now,
                barred=wish.barred,
            )
        )
        return True
    if row.digest or row.state in ("done", "failed"):
        _tell_again(core, row, wish.version)
    elif wish.version > row.version:
        _want_again(core, row, wish)
    return False


def _tell_again(core: Core, row: JobRow, version: int) -> None:
    if version < row.version:
        return
    state = "failed" if row.state == "failed" else "done"
    if version > row.version or state != row.state:
        row = core.put_job(msgspec.structs.replace(row, version=version, state=state))
    core.note_end(row)


def _want_again(core: Core, row: JobRow, wish: Wish) -> None:
    fields = {
        "project": wish.project,
        "version": wish.version,
        "spec": wish.spec,
        "parent": wish.parent,
        "on_hold": wish.on_hold,
    }
    if row.state != "cancelled":
        core.put_job(msgspec.structs.replace(row, **fields))
        return
    live = core.book.live(row.id)
    if live:
        core.book.change_attempt(live, directive="go")
        core.put_job(msgspec.structs.replace(row, state="leased", **fields))
    else:
        core.requeue(msgspec.structs.replace(row, submitted=row.submitted or core.now, **fields))


def cancel(core: Core, job: str, version: int, *, checkpoint: bool, order: int) -> bool:
    """Take a job out of the queue; whether it was unknown (then ``order`` is used up)."""
    row = core.book.jobs.get(job)
    if row is None:
        project = project_of(job)
        row = core.put_job(
            JobRow(id=job, project=project, version=version, state="cancelled", order=order)
        )
        core.note_stop(row)
        return True
    if version < row.version:
        return False
    ended = row.state in ("done", "failed")
    row = core.put_job(
        msgspec.structs.replace(row, version=version, state=row.state if ended else "cancelled")
    )
    live = core.book.live(job)
    if live:
        _stop(core, row, live, checkpoint=checkpoint)
    core.note_stop(row)
    return False


def _stop(core: Core, row: JobRow, live: AttemptRow, *, checkpoint: bool) -> None:
    """Without a checkpoint to wait for, nothing of the attempt is wanted but a late result."""
    if checkpoint and resumable(row.spec):
        core.book.change_attempt(live, directive="stop")
    else:
        live = core.book.change_attempt(live, directive="discard")
        core.close_attempt(live, ended=False, outcome="discarded")


def set_on_hold(core: Core, project: str, *, on_hold: bool) -> None:
    """Offer nothing of a project, or all of it again, also what was submitted on hold."""
    if on_hold:
        core.on_hold.add(project)
        return
    core.on_hold.discard(project)
    for row in core.book.jobs.on_hold(project):
        core.put_job(msgspec.structs.replace(row, on_hold=False))
    core.queue.arrivals += 1


def set_share(core: Core, project: str, share: ProjectShare) -> None:
    """Decide about a project; its queued jobs may have become available to others."""
    core.shares.put(project, share)
    core.queue.arrivals += 1


def set_pool(core: Core, pool: str, rules: PoolRules) -> None:
    """Decide about a pool; queued jobs may have become available to its workers."""
    core.shares.put_pool(pool, rules.projects)
    core.queue.arrivals += 1


def set_priority(core: Core, job: str, priority: int | None) -> None:
    """Let a job be given out sooner or later than its function asks for.

    Raises:
        NotFound: The job is not known.
        Conflict: It has ended.
    """
    row = core.book.job(job)
    if row.state in ENDED:
        raise Conflict(f"job {job} is {row.state}: it has no use of a priority any more")
    core.put_job(msgspec.structs.replace(row, priority=priority))
