"""Engines on the database file, and what its errors mean to the server."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, Insert, Table, create_engine, event, insert
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, IntegrityError

from copernicus.errors import CopernicusError, InternalError, ServerBusy
from copernicus.store.failures import StoreFailed

_BUSY_TIMEOUT_MS = 10_000
_READERS = 4
# What one huge transaction made of the log is given back to the disk, down to this.
_LOG_KEPT = 64 * 2**20

# An index of the WAL that cannot grow is a full disk too, by another name.
_FULL_CODES = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_BUSY_CODES = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_SHORT_CODES = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_NOMEM)
_PRIMARY = 0xFF


def writer_engine(file: Path) -> Engine:
    """The engine of the one connection that writes: commits are on the disk when they return."""
    pragmas = ("PRAGMA journal_mode=WAL", f"PRAGMA journal_size_limit={_LOG_KEPT}")
    return _engine(file, "BEGIN IMMEDIATE", pragmas, pool_size=1)


def plain_engine(file: Path) -> Engine:
    """An engine that leaves no second file beside the database once it is disposed of."""
    return _engine(file, "BEGIN IMMEDIATE", ("PRAGMA journal_mode=DELETE",), pool_size=1)


def reader_engine(file: Path) -> Engine:
    """The engine for reads of any thread, which see the last commit before they began."""
    return _engine(file, "BEGIN", ("PRAGMA query_only=ON",), pool_size=_READERS)


def _engine(file: Path, begin: str, pragmas: Sequence[str], pool_size: int) -> Engine:
    url = URL.create("sqlite", database=str(file))
    engine = create_engine(url, pool_size=pool_size, max_overflow=0 if pool_size == 1 else 60)
    every = (
        f"PRAGMA busy_timeout={_BUSY_TIMEOUT_MS}",
        *pragmas,
        "PRAGMA synchronous=FULL",
        "PRAGMA foreign_keys=ON",
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, _record: object) -> None:
        # The driver would begin late, and never for the statements of a migration.
        connection.isolation_level = None
        for pragma in every:
            connection.execute(pragma).fetchall()

    @event.listens_for(engine, "begin")
    def do_begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Keep rows, each in place of the one of the same primary key."""
    _carry_out(connection, _upsert_into(table, connection.dialect.name), rows)


def add(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Keep new rows; each has a value for every column."""
    _carry_out(connection, _insert_into(table), rows)


def _carry_out(connection: Connection, statement: Insert, rows: Sequence[dict[str, Any]]) -> None:
    """What is written by the thousand: as the driver takes it, without a look at each value."""
    if not rows:
        return
    text, order = _as_sent(statement, connection.dialect)
    values = [tuple(row[name] for name in order) for row in rows] if order else list(rows)
    connection.exec_driver_sql(text, values)


@cache
def _insert_into(table: Table) -> Insert:
    return insert(table)


@cache
def _upsert_into(table: Table, dialect: str) -> Insert:
    new = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    changed = {c.name: new.excluded[c.name] for c in table.columns if not c.primary_key}
    keys = [column.name for column in table.primary_key]
    return new.on_conflict_do_update(index_elements=keys, set_=changed)


@lru_cache(maxsize=64)
def _as_sent(statement: Insert, dialect: Dialect) -> tuple[str, tuple[str, ...]]:
    """The text of a statement, and the names of its values where the driver goes by their order."""
    compiled = statement.compile(dialect=dialect)
    return str(compiled), tuple(compiled.positiontup or ())


def failure_of(error: DBAPIError, file: Path) -> CopernicusError:
    """What a database error means: ``ServerBusy`` (go on), a bug, or ``StoreFailed`` (exit)."""
    cause = error.orig
    if isinstance(error, IntegrityError):
        return InternalError(f"{file}: {cause}")
    code = getattr(cause, "sqlite_errorcode", 0) or 0
    if code in _FULL_CODES:
        return ServerBusy(
            f"the disk of {file} is full ({cause}); nothing was changed: free some space, then "
            "try again"
        )
    if code & _PRIMARY in _BUSY_CODES:
        return ServerBusy(
            f"{file} is kept locked by another program; nothing was changed: "
            "end that program, then try again"
        )
    if code & _PRIMARY in _SHORT_CODES:
        return ServerBusy(
            f"{file} cannot be used just now ({cause}); nothing was changed: memory or open files "
            "have run out (see 'ulimit -n'), or the disk takes no new file; try again"
        )
    return StoreFailed(
        f"{file} cannot be used any more ({getattr(cause, 'sqlite_errorname', '')}: {cause}): "
        "the server ends; check the disk, then start it again"
    )
