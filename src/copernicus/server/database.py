"""Where a server's database is: in its folder, or in PostgreSQL by the setting ``database``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from copernicus.settings import ServerSettings
from copernicus.store.database import reader_engine
from copernicus.store.folder import DATABASE
from copernicus.store.postgres import PostgresDatabase, postgres_reader
from copernicus.store.reads import Reads
from copernicus.store.store import Store
from copernicus.telemetry import get_logger

_LOG = get_logger("database")


def open_store(folder: Path, settings: ServerSettings, *, create: bool = False) -> Store:
    """The store of a server with these settings; see ``Store.open``."""
    url, patience_s = settings.database, settings.database_patience_s
    if not url:
        return Store.open(folder, create=create)
    return Store.open(
        folder,
        create=create,
        database=lambda: PostgresDatabase(url, patience_s=patience_s, notice=_LOG.warning),
    )


@contextmanager
def open_reads(folder: Path, settings: ServerSettings) -> Iterator[Reads]:
    """What is committed, for a process beside the server."""
    url = settings.database
    engine = postgres_reader(url) if url else reader_engine(folder / DATABASE)
    try:
        yield Reads(engine.connect)
    finally:
        engine.dispose()
