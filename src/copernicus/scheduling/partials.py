"""What is wanted of running jobs before they end, and what they have given so far.

A job's outputs so far belong to the attempt that gave them: when it ends, in whatever way, they
are gone. What is wanted is known only while the server runs: the engine says it anew after a
restart, and a person asks again.
"""

from __future__ import annotations

from copernicus.errors import BadValue, Conflict
from copernicus.model.jobs import JobSpec
from copernicus.model.reports import PartialGiven
from copernicus.protocol import PartialRequest, Share
from copernicus.scheduling.core import Core
from copernicus.scheduling.rows import SERIES, AttemptRow, Given, Note


def names_of(spec: JobSpec | None) -> tuple[str, ...]:
    """What a running job of this kind can give before its end: ports, and ``series:NAME``."""
    if spec is None or spec.command is None:
        return ()
    ports = (output.port for output in spec.command.outputs if output.partial)
    return (*ports, *(SERIES + series.name for series in spec.command.series))


def share_of(core: Core, row: AttemptRow) -> Share | None:
    """What the worker of an attempt is to tell of it now; ``None``: nothing."""
    wanted = core.wishes.get(row.job)
    if wanted is None:
        return None
    share = Share(
        regular=wanted.streamed,
        interval_s=core.settings.share_interval_s,
        once=wanted.asked,
        wish=wanted.wish if wanted.asked else 0,
        watched=core.now < wanted.watched_until,
    )
    return share if share.regular or share.once or share.watched else None


def take(core: Core, row: AttemptRow, request: PartialRequest) -> None:
    """Keep what a live attempt has given so far, and tell the engine what is streamed of it.

    Raises:
        Conflict: Something newer of this attempt is here already.
        BadValue: The job gives no such thing before its end.
    """
    if request.seq == row.partial_seq:
        return
    if request.seq < row.partial_seq:
        raise Conflict(
            f"what attempt {request.attempt} sent as {request.seq} came after {row.partial_seq}: "
            "it is out of date"
        )
    known = names_of(core.book.jobs[row.job].spec)
    for name in request.outputs:
        if name not in known:
            raise BadValue(f"job {row.job} does not give {name!r} before its end")
    given = {name: Given(value, core.now, request.step) for name, value in request.outputs.items()}
    core.wishes.answered(row.job, request.wish)
    streamed = core.wishes.streamed(row.job)
    outputs = {name: value for name, value in request.outputs.items() if name in streamed}
    row = core.book.change_attempt(
        row,
        partial={**row.partial, **given},
        partial_seq=request.seq,
        told=row.told or bool(outputs),
    )
    if outputs:
        job = core.book.jobs[row.job]
        report = PartialGiven(job.activation, row.number, request.seq, outputs)
        core.book.notes.append(Note(job.project, job.id, report))
