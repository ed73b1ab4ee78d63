"""Results that the server has not taken yet, on disk, so that neither side's death loses one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from copernicus.protocol import ResultRequest
from copernicus.security.files import make_private_folder, write_private
from copernicus.worker.transfer import Pending


class Finished(msgspec.Struct, frozen=True, omit_defaults=True):
    """A result, and the files to upload before it; ``folder`` holds them until it is taken.

    ``vacant``: no process can be in that folder any more.
    """

    result: ResultRequest
    uploads: tuple[Pending, ...] = ()
    folder: str = ""
    vacant: bool = False


class Spool:
    """One file per result. What is in the spool is delivered, also by a later worker."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: set[str] = set()
        make_private_folder(folder)
        for torn in folder.glob(".*"):
            torn.unlink()

    def keep(self, finished: Finished) -> None:
        """Write a result down, durably; once is enough.

        Raises:
            BadSettings: The disk does not take it.
        """
        attempt = finished.result.attempt
        if attempt not in self._kept:
            write_private(self._path(attempt), msgspec.msgpack.encode(finished))
            self._kept.add(attempt)

    def forget(self, attempt: str) -> None:
        """The server has it, durably."""
        if attempt in self._kept:
            self._kept.discard(attempt)
            self._path(attempt).unlink(missing_ok=True)

    def set_aside(self, attempt: str) -> None:
        """The server refuses it for good: kept for people to look at."""
        if attempt in self._kept:
            self._kept.discard(attempt)
            path = self._path(attempt)
            path.replace(path.with_suffix(".refused"))

    def found(self) -> Iterator[Finished]:
        """What an earlier worker left; unreadable files stay where they are."""
        for path in sorted(self._folder.glob("*.result")):
            try:
                finished = msgspec.msgpack.decode(path.read_bytes(), type=Finished)
            except (OSError, msgspec.DecodeError):
                path.replace(path.with_suffix(".damaged"))
                continue
            self._kept.add(finished.result.attempt)
            yield finished

    def _path(self, attempt: str) -> Path:
        return self._folder / f"{file_name(attempt)}.result"


def file_name(attempt: str) -> str:
    """A name for an attempt that every file system can hold, and no two have."""
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in attempt)[:80]
    return f"{safe}-{hashlib.sha256(os.fsencode(attempt)).hexdigest()[:10]}"
