"""Backups of a server wherever its database is, and the move of a database to another place."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from copernicus.errors import BadSettings, Conflict
from copernicus.security.files import write_private
from copernicus.server.folder import settings_of
from copernicus.settings import SETTINGS_FILE, with_setting
from copernicus.store import backup_folder
from copernicus.store.backend import Database
from copernicus.store.copying import Told, copy_rows, copy_to_file, count_rows
from copernicus.store.folder import DATABASE, FolderLock
from copernicus.store.opening import bring_up_to_date
from copernicus.store.postgres import MOVED, PostgresDatabase, postgres_reader
from copernicus.store.schema import FORMAT
from copernicus.store.sqlite import SqliteDatabase

SQLITE: Final = "sqlite"
"""How the database in the folder is called where another one could be named."""


def back_up(folder: Path, destination: Path, *, link_files: bool = False) -> None:
    """Copy a server's folder and database; the copy opens as a server with SQLite.

    Raises:
        BadSettings: there is no server in the folder, or the destination cannot be made.
    """
    database = settings_of(folder).database
    if not database:
        backup_folder(folder, destination, link_files=link_files)
        return

    def copy(file: Path) -> None:
        engine = postgres_reader(database)
        try:
            with engine.connect() as connection:
                copy_to_file(connection, file)
        finally:
            engine.dispose()

    def finish(made: Path) -> None:
        _set_database(made, "")

    backup_folder(folder, destination, link_files=link_files, copy=copy, finish=finish)


def migrate(
    folder: Path, target: str, *, dry_run: bool = False, told: Told | None = None
) -> dict[str, int]:
    """Move a stopped server's database: to PostgreSQL (a URL), or back (``sqlite``).

    The old one is left as it was, but marked so that no server takes it for the present one.

    Returns:
        How many rows each table has (with ``dry_run``: would have).

    Raises:
        BadSettings: it runs, one of both cannot be used, or the target is not empty.
        Conflict: it is there already.
    """
    present = settings_of(folder).database
    wanted = "" if target == SQLITE else target
    if wanted == present:
        raise Conflict(f"The database of the server in {folder} is there already.")
    lock = FolderLock(folder)
    try:
        source = _database(folder, present)
        try:
            counts = _copy(source, folder, wanted, dry_run=dry_run, told=told)
        finally:
            source.close()
        if not dry_run:
            _set_database(folder, wanted)
            _leave(folder, present)
    finally:
        lock.release()
    return counts


def _database(folder: Path, database: str) -> Database:
    return PostgresDatabase(database) if database else SqliteDatabase(folder)


def _copy(
    source: Database, folder: Path, wanted: str, *, dry_run: bool, told: Told | None
) -> dict[str, int]:
    if not source.exists():
        raise BadSettings(f"there is no server's database at {source.label}")
    if source.check() < FORMAT:
        raise BadSettings(
            f"{source.label} is of an older version: start and stop the server once with this "
            "version, then move it"
        )
    target = _database(folder, wanted)
    try:
        if target.exists():
            raise BadSettings(
                f"{target.label} holds a server already: name an empty database, or remove that one"
            )
        with source.reading() as connection:
            counts = count_rows(connection)
            if dry_run:
                return counts
            if not wanted:
                copy_to_file(connection, folder / DATABASE, told, is_backup=False)
                return counts
            with target.writing() as transaction:
                bring_up_to_date(transaction)
                copy_rows(connection, transaction, told)
                if count_rows(transaction) != counts:
                    raise BadSettings(f"{source.label} was changed meanwhile: stop its server")
        return counts
    finally:
        target.close()


def _set_database(folder: Path, database: str) -> None:
    path = folder / SETTINGS_FILE
    text = with_setting(path.read_text(encoding="utf-8"), "database", database)
    write_private(path, text.encode())


def _leave(folder: Path, database: str) -> None:
    if not database:
        shutil.move(folder / DATABASE, folder / f"{DATABASE}.{MOVED}")
        return
    left = PostgresDatabase(database)
    try:
        left.leave()
    finally:
        left.close()
