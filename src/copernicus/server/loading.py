"""A saved project read back, as a new project of this server; nothing in it is believed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from copernicus.engine.core import fold
from copernicus.engine.state import ProjectState
from copernicus.errors import BadValue, Conflict
from copernicus.model.events import Event, PartialMade, ProjectCreated, ProjectLoaded
from copernicus.model.functions import FunctionSpec
from copernicus.protocol.saved import (
    END,
    ENTRY,
    FILE,
    HEAD,
    ROW,
    SAVED_FORMAT,
    SavedFile,
    SavedHead,
    frames,
)
from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow
from copernicus.server.files import hashes_in, named_in, still_named
from copernicus.server.holdings import Loaded
from copernicus.store.records import Entry, ProjectRecord

_ENTRY: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)
_ROWS: Mapping[str, msgspec.msgpack.Decoder[Any]] = {
    kind.__name__: msgspec.msgpack.Decoder(tuple[str, kind])  # type: ignore[valid-type]
    for kind in (JobRow, AttemptRow, CheckpointRow)
}


@dataclass
class Saved:
    """What the frames held. Only a complete one is ever returned."""

    head: SavedHead | None = None
    entries: list[Entry] = field(default_factory=list)
    jobs: list[JobRow] = field(default_factory=list)
    attempts: list[AttemptRow] = field(default_factory=list)
    checkpoints: list[CheckpointRow] = field(default_factory=list)
    files: list[SavedFile] = field(default_factory=list)


def read_saved(pieces: Iterable[bytes]) -> Saved:
    """All frames, checked for form.

    Raises:
        BadValue: They are damaged, or a newer version wrote them.
    """
    found = Saved()
    try:
        for kind, body in frames(pieces):
            _take(found, kind, body)
    except msgspec.MsgspecError as error:
        raise BadValue(
            "What was saved of the project holds something that this version does not know "
            f"({error}): it is damaged, or a newer Copernicus saved it; upgrade this server."
        ) from error
    return found


def _take(found: Saved, kind: bytes, body: bytes) -> None:
    if (found.head is None) != (kind == HEAD):
        raise BadValue("What was saved of the project is not in order: save it again.")
    if kind == HEAD:
        found.head = msgspec.msgpack.decode(body, type=SavedHead)
        refuse_newer(found.head.format, found.head.version)
    elif kind == ENTRY:
        found.entries.append(_ENTRY.decode(body))
    elif kind == ROW:
        _take_row(found, body)
    elif kind == FILE:
        found.files.append(msgspec.msgpack.decode(body, type=SavedFile))
    elif kind == END:
        count = msgspec.msgpack.decode(body, type=int)
        if not count or [e.position for e in found.entries] != list(range(1, count + 1)):
            raise BadValue("The journal in what was saved has gaps: save it again.")


def _take_row(found: Saved, body: bytes) -> None:
    name = msgspec.msgpack.decode(body, type=tuple[str, msgspec.Raw])[0]
    decoder = _ROWS.get(name)
    if decoder is None:
        raise BadValue(f"What was saved holds a {name[:40]!r}: a newer Copernicus saved it.")
    row = decoder.decode(body)[1]
    if isinstance(row, JobRow):
        found.jobs.append(row)
    elif isinstance(row, AttemptRow):
        found.attempts.append(row)
    else:
        found.checkpoints.append(row)


def only_theirs(saved: Saved, is_theirs: Callable[[str], bool]) -> Saved:
    """What was saved, if all that it names are files of those who load it.

    What running jobs had so far does not travel: it is made again.

    Raises:
        Conflict: It names others.
    """
    known: dict[str, bool] = {}

    def has_foreign(named: Iterable[str]) -> bool:
        found = list(named)
        known.update({sha256: is_theirs(sha256) for sha256 in found if sha256 not in known})
        return not all(known[sha256] for sha256 in found)

    kept = still_named(saved.entries)
    for fact in (*saved.entries, *saved.checkpoints):
        named = named_in(fact) if isinstance(fact, Entry) else hashes_in(fact)
        if has_foreign(one for one in named if one in kept or not isinstance(fact, Entry)):
            first = min(sha256 for sha256, theirs in known.items() if not theirs)
            raise Conflict(
                f"The project names files that did not come along, first {first}: they are lost "
                "where it was saved, or were never part of it. An administrator of this server "
                "can load it without them."
            )
    return replace(
        saved,
        entries=[_less_so_far(entry, has_foreign) for entry in saved.entries],
        attempts=[
            msgspec.structs.replace(
                row, partial={}, series={} if has_foreign(hashes_in(row.series)) else row.series
            )
            for row in saved.attempts
        ],
    )


def _less_so_far(entry: Entry, has_foreign: Callable[[Iterable[str]], bool]) -> Entry:
    event = entry.event
    if not isinstance(event, PartialMade) or not has_foreign(hashes_in(event)):
        return entry
    return msgspec.structs.replace(entry, event=msgspec.structs.replace(event, outputs={}))


def refuse_newer(number: int, version: str) -> None:
    """Refuse a format of the future.

    Raises:
        BadValue: It is one; the message names both versions.
    """
    if number > SAVED_FORMAT:
        raise BadValue(
            f"The project was saved by a newer Copernicus ({version[:20]}, format {number}; this "
            f"server reads up to {SAVED_FORMAT}): upgrade this server."
        )


def as_new(
    saved: Saved, project: str, name: str, owner: str, catalog: Mapping[str, FunctionSpec]
) -> Loaded:
    """The project under a new id and a new owner; attempts under way elsewhere are closed.

    Raises:
        BadValue: The journal does not make sense.
        Conflict: It uses modules that this server lacks.
    """
    head = saved.head
    assert head is not None
    first = saved.entries[0].event
    if not isinstance(first, ProjectCreated):
        raise BadValue("The journal in what was saved does not begin with a project.")
    created = msgspec.structs.replace(first, project=project, name=name, owner=owner)
    entries = (msgspec.structs.replace(saved.entries[0], event=created), *saved.entries[1:])
    state = _folded([entry.event for entry in entries])
    _check_functions(state, catalog)
    record = ProjectRecord(project, name, owner, entries[0].at, entries[-1].at)
    open_jobs = {made.id for made in state.activations.values() if not made.outcome}
    jobs = [_moved_job(row, project, state) for row in saved.jobs if row.activation in open_jobs]
    known = {row.id for row in jobs}
    attempts = [_moved_attempt(row, project, head.at) for row in saved.attempts]
    return Loaded(
        record=record,
        state=state,
        origin=ProjectLoaded(head.server, head.project, head.name, head.owner, head.position),
        entries=entries,
        jobs=tuple(jobs),
        attempts=tuple(row for row in attempts if row.job in known),
        checkpoints=tuple(_moved_line(row, project) for row in saved.checkpoints),
    )


def _folded(events: list[Event]) -> ProjectState:
    try:
        return fold(events)
    except Exception as error:  # a journal from outside may say anything
        raise BadValue(
            "The journal in what was saved makes no sense "
            f"({type(error).__name__}): save the project again."
        ) from error


def _check_functions(state: ProjectState, catalog: Mapping[str, FunctionSpec]) -> None:
    """What runs here is only what this server has: code is never named from outside."""
    lacking: set[str] = set()
    for name in sorted({instance.function for instance in state.instances.values()}):
        here = catalog.get(name)
        for spec in state.functions[name].values():
            if spec.entry and (here is None or here.entry != spec.entry):
                lacking.add(name)
    entries = {spec.entry for spec in catalog.values()}
    for made in state.activations.values():
        if not made.outcome and made.job and made.job.task and made.job.task.entry not in entries:
            lacking.add(made.job.function)
    if lacking:
        modules = sorted({name.partition(".")[0] for name in lacking})
        raise Conflict(
            f"The project uses {', '.join(sorted(lacking))}, which this server does not have: "
            f"install the module {', '.join(modules)} there, restart it, then load again."
        )


def _moved_job(row: JobRow, project: str, state: ProjectState) -> JobRow:
    made = state.activations[row.activation]
    return msgspec.structs.replace(
        row,
        id=_moved(row.id, project),
        project=project,
        parent=None if row.parent is None else _moved(row.parent, project),
        spec=made.job,
        state="queued",
        avoid=(),
        backoff_s=0.0,
        on_hold=False,
    )


def _moved_attempt(row: AttemptRow, project: str, at: float) -> AttemptRow:
    job = _moved(row.job, project)
    ref = row.checkpoint
    checkpoint = None if ref is None else msgspec.structs.replace(ref, job=_moved(ref.job, project))
    if row.state == "ended":
        return msgspec.structs.replace(row, job=job, checkpoint=checkpoint)
    return msgspec.structs.replace(
        row,
        job=job,
        checkpoint=checkpoint,
        state="ended",
        outcome=row.outcome or "moved",
        ended=row.ended or at,
    )


def _moved_line(row: CheckpointRow, project: str) -> CheckpointRow:
    refs = tuple(msgspec.structs.replace(ref, job=_moved(ref.job, project)) for ref in row.refs)
    return msgspec.structs.replace(row, project=project, refs=refs)


def _moved(job: str, project: str) -> str:
    return f"{project}.{job.rpartition('.')[2]}"
