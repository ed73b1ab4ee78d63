"""Files that only their owner may read: written whole or not at all, refused when wider."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from copernicus.errors import BadSettings

_OTHERS = 0o077


def is_private(path: Path) -> bool:
    """True if nobody but the owner may read, write or enter the path (always true off POSIX)."""
    return os.name != "posix" or not stat.S_IMODE(path.stat().st_mode) & _OTHERS


def check_private(path: Path) -> None:
    """Refuse a file or folder that is missing or open to others.

    Raises:
        BadSettings: it does not exist, or its mode lets others in.
    """
    try:
        private = is_private(path)
    except OSError as error:
        raise BadSettings(f"Cannot read {path}: {error.strerror}.") from error
    if not private:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = "700" if path.is_dir() else "600"
        raise BadSettings(
            f"{path} is open to other accounts (mode {mode:04o}) and holds secrets. "
            f"Close it: chmod {wanted} {path}"
        )


def make_private_folder(folder: Path) -> None:
    """Make the folder with mode 0700; an empty one that exists gets that mode.

    Raises:
        BadSettings: it cannot be made, or it holds files and is open to others.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not any(folder.iterdir()):
            folder.chmod(0o700)
    except OSError as error:
        raise BadSettings(f"Cannot make the folder {folder}: {error.strerror}.") from error
    check_private(folder)


def read_private(path: Path) -> bytes:
    """The content of a file that holds a secret.

    Raises:
        BadSettings: it is missing, unreadable, or open to others.
    """
    check_private(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise BadSettings(f"Cannot read {path}: {error.strerror}.") from error


def write_private(path: Path, content: bytes) -> None:
    """Write or replace a file with mode 0600; a power cut leaves the old one or the new one.

    Raises:
        BadSettings: the folder is missing, full or not writable.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write_synced(part, content)
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise BadSettings(f"Cannot write {path}: {error.strerror}.") from error


def _write_synced(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
