"""Helpers for tests of the store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from copernicus.model.events import Event, HeldSet, ProjectCreated
from copernicus.protocol import WorkerFacts
from copernicus.scheduling.rows import AttemptRow, JobRow
from copernicus.store import (
    Entry,
    JoinTokenRecord,
    ProjectRecord,
    SessionRecord,
    Store,
    UserRecord,
    WorkerRecord,
)
from copernicus.store.postgres import PostgresDatabase
from support.postgres import cluster

Opener = Callable[[Path], Store]


def open_sqlite(folder: Path) -> Store:
    """A store in a folder, made if there is none."""
    return Store.open(folder, create=True)


def open_postgres(folder: Path) -> Store:
    """A store in a new database of the tests' PostgreSQL."""
    url = cluster().new_database()
    return Store.open(folder, create=True, database=lambda: PostgresDatabase(url))


BACKENDS: dict[str, Opener] = {"sqlite": open_sqlite, "postgresql": open_postgres}
EACH_BACKEND = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))


def project(name: str = "villin", owner: str = "ann") -> ProjectRecord:
    """A new project whose id follows from its name."""
    return ProjectRecord(f"p-{name}", name, owner, 10.0, 10.0)


def created(name: str = "villin") -> Event:
    """The first event of that project."""
    return ProjectCreated(f"p-{name}", name, "ann", 7)


def entries(events: Sequence[Event], since: int = 0, revision: int = 1) -> list[Entry]:
    """Events as the entries after position ``since``."""
    return [Entry(since + n, revision, 100.0 + n, e) for n, e in enumerate(events, start=1)]


def facts(count: int, start: int = 0) -> list[Event]:
    """Distinct small events."""
    return [HeldSet(f"run_{n}", n % 2 == 0) for n in range(start, start + count)]


def job(number: int, state: str = "queued", project: str = "p-villin", **fields: object) -> JobRow:
    """A job of a project."""
    return JobRow(f"{project}.a{number}", project, 1, state, number, **fields)


def attempt(of: JobRow, number: int, state: str = "live", **fields: object) -> AttemptRow:
    """An attempt of a job."""
    return AttemptRow(of.id, number, "w1", f"request-{number}", state, **fields)


def user(name: str = "ann", **fields: object) -> UserRecord:
    """A user."""
    return UserRecord(
        **{"name": name, "password": "hash", "admin": False, "created": 1.0, **fields}
    )


def session(sha256: str, user: str = "ann", expires: float = 100.0) -> SessionRecord:
    """A login."""
    return SessionRecord(sha256, user, 1.0, expires, 1.0)


def join_token(uses: int = 2, expires: float = 100.0) -> JoinTokenRecord:
    """A join token."""
    return JoinTokenRecord("t1", "digest", "gpu", uses, expires, "ann", 1.0)


def worker(name: str = "w1") -> WorkerRecord:
    """A worker that has just joined."""
    return WorkerRecord(name, "node17", "gpu", WorkerFacts("node17", cores=8), "f" * 64, 5.0, 5.0)
