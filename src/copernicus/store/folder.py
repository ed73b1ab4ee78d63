"""The server's folder: who has it, and whether its database is one that this version can open."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from copernicus.crashpoints import passing
from copernicus.errors import BadSettings, ServerBusy
from copernicus.store.schema import FORMAT
from copernicus.version import __version__

DATABASE = "copernicus.db"
LOCK = "lock"
EPOCH = "epoch"

_PRIMARY = 0xFF
# The last one stands for a missing table.
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_MAGIC = b"SQLite format 3\0"
_PAGES_AT = slice(28, 32)
_PAGE_SIZE_AT = slice(16, 18)
_LARGEST_PAGE = 65536
# A larger file is not read whole at each start; its own checks find damage when it is met.
_CHECKED_WHOLE = 256 * 2**20


class FolderInUse(BadSettings):
    """Another process has the lock."""


class FolderLock:
    """The right to be the one server on a folder; the kernel takes it back when we die."""

    def __init__(self, folder: Path, name: str = LOCK) -> None:
        try:
            self._handle = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise BadSettings(f"cannot use the folder {folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._handle, 32).decode(errors="replace").strip()
            os.close(self._handle)
            raise FolderInUse(
                f"another Copernicus process (pid {holder or 'unknown'}) uses the folder "
                f"{folder}: stop it first, or use another folder"
            ) from None
        # The number is for people only: a full disk may do without it.
        with suppress(OSError):
            os.ftruncate(self._handle, 0)
            os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let others have the folder."""
        os.close(self._handle)


def check_database(file: Path) -> int:
    """Look at a database without changing it; its format.

    Raises:
        BadSettings: it is damaged, not one of ours, or of a newer format.
    """
    try:
        _check_header(file)
        with _read_only(file) as connection:
            if file.stat().st_size <= _CHECKED_WHOLE:
                verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                if verdict != "ok":
                    raise _damaged(file, verdict)
            found = dict(
                connection.execute("SELECT key, value FROM meta WHERE key IN ('format', 'version')")
            )
    except OSError as error:
        raise BadSettings(f"cannot read the database {file}: {error.strerror}") from error
    except sqlite3.Error as error:
        if error.sqlite_errorcode & _PRIMARY not in _DAMAGE:
            raise BadSettings(f"cannot read the database {file}: {error}") from error
        raise _damaged(file, str(error)) from error
    try:
        number = int(found["format"])
    except (KeyError, ValueError):
        raise _damaged(file, "it does not say its format") from None
    refuse_newer(str(file), number, found.get("version", ""))
    return number


def refuse_newer(label: str, number: int, version: str) -> None:
    """Raises BadSettings where a newer version of Copernicus has written the database."""
    if number > FORMAT:
        raise BadSettings(
            f"{label} was written by a newer version: Copernicus {version} "
            f"(format {number}; this is {__version__}, format {FORMAT}); upgrade Copernicus, "
            "or put back a backup from before; nothing was changed"
        )


def read_epoch(folder: Path) -> int:
    """The highest epoch that ever was on this folder, as far as it is known."""
    try:
        return int((folder / EPOCH).read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return 0


def write_epoch(folder: Path, epoch: int) -> None:
    """Note the epoch outside the database, which tells when an older database was put back.

    Raises:
        ServerBusy: it cannot be written: the disk is full, or fails.
    """
    temporary = folder / f"{EPOCH}.new"
    try:
        with temporary.open("w", encoding="ascii") as file:
            file.write(str(epoch))
            file.flush()
            os.fsync(file.fileno())
        passing("epoch.written")
        temporary.replace(folder / EPOCH)
        sync_folder(folder)
    except OSError as error:
        raise ServerBusy(
            f"cannot write {temporary}: {error.strerror}; nothing was lost: make room, or check "
            "the disk, then try again"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, or of a file its bytes."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _read_only(file: Path) -> Iterator[sqlite3.Connection]:
    # Without a log nothing but the file is read, and no file appears beside it.
    how = "mode=ro" if _has_log(file) else "immutable=1"
    uri = f"{file.absolute().as_uri()}?{how}"
    with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
        yield connection


def _has_log(file: Path) -> bool:
    log = file.with_name(f"{file.name}-wal")
    return log.exists() and log.stat().st_size > 0


def _check_header(file: Path) -> None:
    with file.open("rb") as opened:
        head = opened.read(100)
    if not head.startswith(_MAGIC):
        raise _damaged(file, "it is empty" if not head else "it is no SQLite database")
    if _has_log(file):
        return  # what the file lacks may be in the log: only SQLite itself can tell
    page = int.from_bytes(head[_PAGE_SIZE_AT], "big")
    pages = int.from_bytes(head[_PAGES_AT], "big")
    expected = pages * (_LARGEST_PAGE if page == 1 else page)
    if file.stat().st_size < expected:
        raise _damaged(file, f"it has {file.stat().st_size} of {expected} bytes")


def _damaged(file: Path, why: str) -> BadSettings:
    return BadSettings(
        f"the database {file} is damaged ({why}); nothing was changed: move the folder "
        f"{file.parent} away and put back the newest backup of it (made by 'cpc server backup')"
    )
