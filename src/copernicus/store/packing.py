"""Structs as table rows and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from sqlalchemy import RowMapping

from copernicus.errors import BadValue
from copernicus.model.events import Event
from copernicus.protocol import WorkerFacts
from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow
from copernicus.store.failures import StoreFailed
from copernicus.store.records import Entry, WorkerRecord

SchedulerRow = JobRow | AttemptRow | CheckpointRow

_ENCODER = msgspec.msgpack.Encoder()
_EVENT: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
_FACTS = msgspec.msgpack.Decoder(WorkerFacts)
_ROWS: Mapping[type[SchedulerRow], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (JobRow, AttemptRow, CheckpointRow)
}

_R = TypeVar("_R", JobRow, AttemptRow, CheckpointRow)
_S = TypeVar("_S", bound=msgspec.Struct)


def packed(value: object) -> bytes:
    """The msgpack form of a struct.

    Raises:
        BadValue: it holds a number that is too large for any message.
    """
    try:
        return _ENCODER.encode(value)
    except OverflowError:
        raise BadValue(
            "a whole number is too large to be kept: write one below 2**63, or a float"
        ) from None


def entry_values(project: str, entry: Entry) -> dict[str, Any]:
    """A row of the journal."""
    return {
        "project": project,
        "position": entry.position,
        "revision": entry.revision,
        "at": entry.at,
        "kind": type(entry.event).__struct_config__.tag,
        "event": packed(entry.event),
    }


def event_from(project: str, position: int, data: bytes) -> Event:
    """The event of a row of the journal."""
    try:
        return _EVENT.decode(data)
    except msgspec.MsgspecError as error:
        raise StoreFailed(
            f"event {position} of project {project} cannot be read ({error}): put back the newest "
            "backup of the server's folder"
        ) from error


def row_values(row: SchedulerRow) -> dict[str, Any]:
    """A row of the scheduler's table for this kind of row."""
    data = packed(row)
    if isinstance(row, JobRow):
        return {"id": row.id, "project": row.project, "state": row.state, "data": data}
    if isinstance(row, AttemptRow):
        values = {"job": row.job, "number": row.number, "state": row.state, "worker": row.worker}
        return {**values, "data": data}
    return {"project": row.project, "key": row.key, "data": data}


def row_from(kind: type[_R], data: bytes) -> _R:
    """What ``row_values`` packed."""
    try:
        row: _R = _ROWS[kind].decode(data)
    except msgspec.MsgspecError as error:
        raise StoreFailed(
            f"a stored {kind.__name__} cannot be read ({error}): put back the newest backup of the "
            "server's folder"
        ) from error
    return row


def record_values(record: msgspec.Struct) -> dict[str, Any]:
    """A row of a table whose columns are the fields of a record."""
    values = msgspec.structs.asdict(record)
    if isinstance(record, WorkerRecord):
        values["facts"] = packed(record.facts)
    return values


def record_from(kind: type[_S], row: RowMapping) -> _S:
    """What ``record_values`` took apart."""
    values = {str(column): value for column, value in row.items()}
    if kind is WorkerRecord:
        values["facts"] = _FACTS.decode(values["facts"])
    return kind(**values)
