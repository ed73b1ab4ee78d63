"""How a server's database is made and opened, and how each start is counted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select
from sqlalchemy.exc import DBAPIError

from copernicus.crashpoints import passing
from copernicus.errors import BadSettings
from copernicus.store.database import failure_of, plain_engine, upsert
from copernicus.store.folder import read_epoch, sync_folder
from copernicus.store.migrate import upgrade
from copernicus.store.schema import FORMAT, META
from copernicus.version import __version__

# Numbers that a lost future may have used: more than any server counts between two backups.
GAP = 1_000_000

EPOCH = "epoch"
ATTEMPT_BASE = "attempt_base"
RESTORED = "restored"


@dataclass(frozen=True, slots=True)
class Start:
    """What a start found out; see ``Store``."""

    epoch: int
    restored: bool
    attempt_base: int


def make_database(file: Path) -> None:
    """Make an empty database; the file appears whole or not at all.

    Raises:
        BadSettings: the folder cannot be written.
        ServerBusy: the disk is full.
    """
    temporary = file.with_name(f"{file.name}.new")
    try:
        for leftover in file.parent.glob(f"{temporary.name}*"):
            leftover.unlink()
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        engine = plain_engine(temporary)
        try:
            with engine.begin() as connection:
                bring_up_to_date(connection)
        finally:
            engine.dispose()
        passing("database.made")
        temporary.replace(file)
        passing("database.named")
        sync_folder(file.parent)
    except OSError as error:
        raise BadSettings(f"cannot make the database {file}: {error.strerror}") from error
    except DBAPIError as error:
        raise failure_of(error, file) from error


def bring_up_to_date(connection: Connection) -> None:
    """Migrate to the present format, in the transaction of the connection."""
    passing("migration.begun")
    upgrade(connection)
    upsert(connection, META, [{"key": "format", "value": str(FORMAT)}])
    passing("migration.done")


def count_start(connection: Connection, folder: Path) -> Start:
    """Note one more start, and leave a gap in the numbers if an older database was put back."""
    found = connection.execute(select(META.c.key, META.c.value)).all()
    known = {str(key): str(value) for key, value in found}
    epoch, base = int(known.get(EPOCH, "0")), int(known.get(ATTEMPT_BASE, "0"))
    latest = read_epoch(folder)
    restored = latest > epoch or known.get(RESTORED, "") == "1"
    start = Start(max(epoch, latest) + 1, restored, base)
    if restored:
        start = Start(max(epoch, latest) + GAP, restored, base + GAP)
    values = {
        EPOCH: str(start.epoch),
        ATTEMPT_BASE: str(start.attempt_base),
        RESTORED: "",
        "version": __version__,
    }
    upsert(connection, META, [{"key": key, "value": value} for key, value in values.items()])
    return start
