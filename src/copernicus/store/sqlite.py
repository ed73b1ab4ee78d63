"""The database of a server as one SQLite file in its folder: what there is without any setting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from copernicus.errors import CopernicusError
from copernicus.store.backup import copy_database
from copernicus.store.database import failure_of, reader_engine, writer_engine
from copernicus.store.folder import DATABASE, check_database
from copernicus.store.opening import make_database


class SqliteDatabase:
    """See ``Database``. Whoever holds the folder's lock is the one process."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / DATABASE

    @property
    def label(self) -> str:
        """The file."""
        return str(self.file)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self.file.exists()

    def make(self) -> None:
        """Make the file; it appears whole or not at all."""
        make_database(self.file)

    def check(self) -> int:
        """Look at the file without changing it; its format."""
        return check_database(self.file)

    def started(self, connection: Connection, epoch: int) -> None:
        """Nothing to do: nobody else can have the file."""

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: on the disk when the block has ended."""
        with self._writer.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection of any thread."""
        with self._reader.connect() as connection:
            yield connection

    def failure_of(self, error: DBAPIError) -> CopernicusError:
        """After anything but a full disk or a lock nobody knows what is on the disk: exit."""
        return failure_of(error, self.file)

    def copy_to(self, file: Path) -> None:
        """Copy the file, also while it is written."""
        copy_database(self.file, file)

    def close(self) -> None:
        """Close the file."""
        self._reader.dispose()
        self._writer.dispose()

    @cached_property
    def _writer(self) -> Engine:
        return writer_engine(self.file)

    @cached_property
    def _reader(self) -> Engine:
        return reader_engine(self.file)
