"""Everything durable of a server but its files: one database, in its folder or in PostgreSQL.

One process at a time writes it, in one transaction at a time; any thread may read. What a
transaction changed is on the disk when its ``with`` block has ended.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from copernicus.crashpoints import passing
from copernicus.errors import BadSettings
from copernicus.store.backend import Database
from copernicus.store.failures import StoreFailed
from copernicus.store.folder import FolderLock, read_epoch, sync_folder, write_epoch
from copernicus.store.opening import bring_up_to_date, count_start
from copernicus.store.reads import Reads
from copernicus.store.schema import FORMAT
from copernicus.store.sqlite import SqliteDatabase
from copernicus.store.transaction import Transaction


class Store(Reads):
    """The database of one server, opened with ``Store.open``.

    ``epoch`` counts the starts on this folder. ``restored`` says that this is the first start
    after a backup was put back. No attempt number at or below ``attempt_base`` may be granted by
    the scheduler: they may have been granted after the backup was made.
    """

    def __init__(
        self, folder: Path, lock: FolderLock, database: Database, file_format: int
    ) -> None:
        super().__init__(self._read)
        self.folder = folder
        self.database = database
        self._lock = lock
        self._writing = threading.Lock()
        self._writer_thread: int | None = None
        self._failure: StoreFailed | None = None
        self._closed = False
        with self._write() as connection:
            if file_format < FORMAT:
                bring_up_to_date(connection)
            start = count_start(connection, folder)
            database.started(connection, start.epoch)
            passing("start.counted")
        passing("start.committed")
        write_epoch(folder, start.epoch)
        self.epoch = start.epoch
        self.restored = start.restored
        self.attempt_base = start.attempt_base

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        create: bool = False,
        database: Callable[[], Database] | None = None,
    ) -> Self:
        """Open the database of a server; with ``create``, make it if there is none.

        Args:
            folder: of the server.
            create: make the folder and the tables where they are missing.
            database: connects to it; default: a SQLite file in the folder.

        Raises:
            BadSettings: there is none, another server has it open, a newer version wrote it, or
                it is damaged. Nothing was changed.
            ServerBusy: the disk is full.
        """
        if create:
            _make_folder(folder)
        in_folder = SqliteDatabase(folder)
        if not create and database is None and not in_folder.exists():
            raise BadSettings(
                f"there is no server in the folder {folder}: make one with 'cpc server init', "
                "or name the folder of yours"
            )
        with contextlib.ExitStack() as stack:
            lock = FolderLock(folder)
            stack.callback(lock.release)
            chosen: Database = in_folder if database is None else database()
            stack.callback(chosen.close)
            if not chosen.exists():
                if not create or read_epoch(folder):
                    raise _lost(chosen)
                chosen.make()
            store = cls(folder, lock, chosen, chosen.check())
            stack.pop_all()
            return store

    def close(self) -> None:
        """Release the folder; closing again does nothing."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self.database.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Change something: durable when the block has ended, nothing if it raises.

        Raises:
            ServerBusy: the disk is full; nothing was changed, and it may be tried again.
            StoreFailed: the database cannot be written; end the process.
        """
        with self._write() as connection:
            passing("transaction.begun")
            yield Transaction(connection)
            passing("transaction.written")
        passing("transaction.committed")

    def backup(self, destination: Path) -> None:
        """Copy the database to a new file, while it is written.

        Raises:
            BadSettings: the file exists, or cannot be written.
        """
        self.database.copy_to(destination)

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        if self._writer_thread == threading.get_ident():
            raise RuntimeError("a transaction inside a transaction would wait for itself")
        with self._writing:
            self._writer_thread = threading.get_ident()
            try:
                with self._guarded(), self.database.writing() as connection:
                    yield connection
            finally:
                self._writer_thread = None

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        with self._guarded(), self.database.reading() as connection:
            yield connection

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        # After a failed fsync nobody knows what is on the disk: never go on.
        if self._failure is not None:
            raise self._failure
        if self._closed:
            raise StoreFailed(f"the store in {self.folder} is closed")
        try:
            yield
        except DBAPIError as error:
            failure = self.database.failure_of(error)
            if isinstance(failure, StoreFailed):
                self._failure = failure
            raise failure from error
        except StoreFailed as error:
            self._failure = error
            raise


def _lost(database: Database) -> BadSettings:
    return BadSettings(
        f"the database {database.label} is missing, though a server has run here; nothing "
        "was changed: put back the newest backup, or name a new folder for a new server"
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(folder.absolute().parent)
    except OSError as error:
        raise BadSettings(f"cannot make the folder {folder}: {error.strerror}") from error
