"""Copies of a server that open as one: the database as of one moment, keys, settings, files.

The database is copied first and the files after it. A file is stored before a row speaks of it
and never changes, so each file that the copied rows speak of is there to be copied, as long as
no sweep removes one in between: sweeps and backups exclude each other by ``upkeep``.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from copernicus.crashpoints import passing
from copernicus.errors import BadSettings
from copernicus.store.folder import (
    DATABASE,
    EPOCH,
    LOCK,
    FolderInUse,
    FolderLock,
    check_database,
    sync_folder,
)
from copernicus.store.opening import RESTORED

BLOBS = "blobs"
UPKEEP = "upkeep.lock"
_PATIENCE_S = 600.0
"""How long a backup waits for a sweep to end: that of many files takes minutes."""
_LOOK_S = 0.1

_LEFT_OUT = (f"{DATABASE}*", LOCK, UPKEEP, f"{EPOCH}*", "tmp")


@contextmanager
def upkeep(folder: Path, patience_s: float = 0.0) -> Iterator[None]:
    """Hold this while files are swept, or while the folder is backed up.

    Raises:
        BadSettings: somebody holds it, and does so for longer than ``patience_s``.
    """
    lock = _upkeep_lock(folder, patience_s)
    try:
        yield
    finally:
        lock.release()


def _upkeep_lock(folder: Path, patience_s: float) -> FolderLock:
    until = time.monotonic() + patience_s
    while True:
        try:
            return FolderLock(folder, UPKEEP)
        except FolderInUse:
            if time.monotonic() >= until:
                raise BadSettings(
                    f"{folder} is being backed up, or its files are being swept: try again later"
                ) from None
        time.sleep(_LOOK_S)


def copy_database(file: Path, destination: Path) -> None:
    """Copy a database, of a running server or a stopped one; the copy says that it is one.

    Raises:
        BadSettings: the destination exists, or one of both cannot be used.
    """
    if destination.exists():
        raise BadSettings(f"{destination} exists already: name another file for the backup")
    temporary = destination.with_name(f"{destination.name}.new")
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(temporary)) as copy:
            # In one go, hence of one moment; a server writes its log meanwhile and never waits.
            source.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")
            copy.execute("PRAGMA synchronous=FULL")
            copy.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, '1')", (RESTORED,))
            copy.commit()
        check_database(temporary)
        _name(temporary, destination)
    except (OSError, sqlite3.Error) as error:
        temporary.unlink(missing_ok=True)
        raise BadSettings(f"cannot copy {file} to {destination}: {error}") from error


def backup_folder(
    folder: Path,
    destination: Path,
    *,
    link_files: bool = False,
    copy: Callable[[Path], None] | None = None,
    finish: Callable[[Path], None] = lambda _: None,
) -> None:
    """Copy a server's folder, while the server runs or not, to a new folder that opens as one.

    Args:
        folder: of the server.
        destination: a new folder, which appears whole or not at all.
        link_files: make hard links of the blobs where the disk is the same: quick and small, but
            no help against a failing disk.
        copy: writes the database to a file; default: a copy of the one in the folder.
        finish: changes what was copied, before the folder appears.

    Raises:
        BadSettings: there is no server in the folder, or the destination cannot be made.
    """
    if copy is None and not (folder / DATABASE).is_file():
        raise BadSettings(f"there is no server in the folder {folder}: nothing to back up")
    if destination.exists():
        raise BadSettings(f"{destination} exists already: name a new folder for the backup")
    temporary = destination.with_name(f"{destination.name}.new")
    with upkeep(folder, _PATIENCE_S):
        try:
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(mode=0o700, parents=True)
            if copy is None:
                copy_database(folder / DATABASE, temporary / DATABASE)
            else:
                copy(temporary / DATABASE)
            passing("backup.copied")
            _copy_tree(folder, temporary, link_files=link_files)
            finish(temporary)
            _settle(temporary)
            passing("backup.whole")
            _name(temporary, destination)
        except OSError as error:
            raise BadSettings(
                f"cannot back up {folder} to {destination}: {_reason(error)}; there is no "
                "backup: check both disks, then try again"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _name(temporary: Path, destination: Path) -> None:
    """Give a copy that is whole its name: on the disk, or not at all."""
    temporary.replace(destination)
    try:
        sync_folder(destination.parent)
    except OSError:
        destination.replace(temporary)
        raise


def _settle(folder: Path) -> None:
    """Have everything below on the disk. It is asked of each, for a sync of all hides failures."""
    os.sync()
    for path in (folder, *folder.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            continue
        sync_folder(path)


def _reason(error: OSError) -> str:
    """Of a copy of many files that failed, what the first failed of."""
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list):
        source, _, reason = error.args[0][0]
        return f"{source}: {reason}"
    return str(error)


def _copy_tree(folder: Path, destination: Path, *, link_files: bool) -> None:
    for found in folder.iterdir():
        if any(found.match(pattern) for pattern in _LEFT_OUT) or found in destination.parents:
            continue
        if found == destination:
            continue
        target = destination / found.name
        if found.is_dir():
            link = link_files and found.name == BLOBS
            shutil.copytree(
                found,
                target,
                symlinks=True,
                ignore=shutil.ignore_patterns("tmp"),
                copy_function=_link if link else shutil.copy2,
            )
        else:
            shutil.copy2(found, target, follow_symlinks=False)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
