"""The folders of attempts: laid out, cleared, and used again by those that need the same ones.

To make and remove its folders costs a small job more than to run its program; where the file system
discards freed blocks at once, removing one even waits for the disk. So folders that a job has left
behind empty serve again. Only those that nobody can still be in, and that hold exactly the folders
that the next job starts with: it finds what it would find in new ones.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

WORK = "work"
_FEW = 16
_SMALL = 1 << 20
_KINDS = 16
_MODE = 0o700
Layout = frozenset[str]


def layout_for(paths: Iterable[str]) -> Layout:
    """The folders in the folder of an attempt that starts with files at these paths."""
    found = {WORK}
    for path in paths:
        while path := path.rpartition("/")[0]:
            found.add(f"{WORK}/{path}")
    return frozenset(found)


class Grounds:
    """Lays out the folders of attempts; keeps at most so many of a layout to be used again."""

    def __init__(self, folder: Path, most: int) -> None:
        self._folder = folder
        self._most = most
        self._spare: dict[Layout, list[str]] = {}
        self._count = 0
        shutil.rmtree(folder, ignore_errors=True)

    def lay_out(self, home: Path, layout: Layout) -> None:
        """Make the folder of an attempt; those below its work folder may have to be made yet."""
        if self._most:
            spare = self._spare[layout] = self._spare.pop(layout, [])
            if len(self._spare) > _KINDS:
                oldest = self._spare.pop(next(iter(self._spare)))
                asyncio.get_running_loop().run_in_executor(None, _remove, oldest)
            if spare:
                os.rename(spare.pop(), home)  # noqa: PTH104 - as cheap as can be
                return
        home.mkdir(mode=0o700)
        (home / WORK).mkdir(mode=0o700)

    async def clear(self, home: str, *, vacant: bool) -> None:
        """An attempt is over; ``vacant`` if no process can still be in its folder."""
        try:
            left = _emptied(home)
            if left is None:
                await asyncio.to_thread(_remove, [home])
            elif not (vacant and self._kept(home, left)):
                for path in sorted(left, reverse=True):
                    os.rmdir(f"{home}/{path}")  # noqa: PTH106 - as cheap as can be
                os.rmdir(home)  # noqa: PTH106
        except FileNotFoundError:
            return
        except OSError:
            await asyncio.to_thread(_remove, [home])

    def _kept(self, home: str, left: dict[str, int]) -> bool:
        spare = self._spare.get(frozenset(left))
        if spare is None or len(spare) >= self._most:
            return False
        modes = (*left.values(), os.lstat(home).st_mode)
        if any(stat.S_IMODE(mode) & 0o777 != _MODE for mode in modes):
            return False
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._count += 1
        path = f"{self._folder}/{self._count}"
        os.rename(home, path)  # noqa: PTH104
        spare.append(path)
        return True


def _emptied(home: str) -> dict[str, int] | None:
    """Remove the files in a folder, if they are few and small: what folders are left, with modes.

    Most small jobs leave a few files behind, or none: removing these is not worth a thread.
    """
    folders: dict[str, int] = {}
    files: list[str] = []
    size, pending = 0, [""]
    while pending:
        above = pending.pop()
        with os.scandir(f"{home}/{above}") as found:
            for entry in found:
                path = f"{above}/{entry.name}" if above else entry.name
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    folders[path] = status.st_mode
                    pending.append(path)
                else:
                    files.append(path)
                    size += status.st_size
                if len(files) + len(folders) > _FEW or size > _SMALL:
                    return None
    for path in files:
        os.unlink(f"{home}/{path}")  # noqa: PTH108 - as cheap as can be
    return folders


def _remove(homes: Iterable[str]) -> None:
    for home in homes:
        shutil.rmtree(home, ignore_errors=True)
