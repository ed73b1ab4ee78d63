"""A job's folder, read and written without ever following a link out of it."""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from copernicus.errors import BadValue
from copernicus.model.filenames import sane_path
from copernicus.worker.lines import natural_key

LOG = "job.log"
_MOST_FILES = 100_000
_ABOVE = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class JobFolder:
    """The folder that a job runs in. Paths are relative to it, with ``/``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def _opened(self, path: str, flags: int, *, make: bool = False) -> Iterator[int]:
        *above, name = path.split("/")
        folder = os.open(self.path, _ABOVE)
        try:
            for part in above:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=folder)
                below = os.open(part, _ABOVE, dir_fd=folder)
                os.close(folder)
                folder = below
            safe = flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, safe, 0o600, dir_fd=folder)
        finally:
            os.close(folder)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def reading(self, path: str) -> Iterator[BinaryIO]:
        """Open a regular file for reading.

        Raises:
            OSError: It is missing, or reached through a link.
            BadValue: It is no regular file.
        """
        with self._opened(path, os.O_RDONLY) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BadValue(f"{path!r} is no regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                yield file

    @contextmanager
    def writing(self, path: str) -> Iterator[BinaryIO]:
        """Make or replace a file, and the folders above it.

        Raises:
            BadValue: The path is no sane one.
            OSError: A link is in the way, or the disk is full.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with (
            self._opened(sane_path(path), flags, make=True) as descriptor,
            os.fdopen(descriptor, "wb", closefd=False) as file,
        ):
            yield file

    def text(self, path: str, limit: int = 64 << 20) -> str:
        """The text of a file (at most ``limit`` bytes of it, from its end)."""
        with self.reading(path) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - limit))
            return file.read(limit).decode("utf-8", "replace")

    def facts(self, path: str) -> tuple[int, int, int]:
        """What changes when a file does: its inode, its size in bytes, its time in ns."""
        with self._opened(path, os.O_RDONLY) as descriptor:
            found = os.fstat(descriptor)
            return found.st_ino, found.st_size, found.st_mtime_ns

    def matching(self, pattern: str) -> list[str]:
        """The regular files that match a pattern, sorted naturally."""
        if not re.search(r"[*?\[]", pattern):
            return [pattern] if self._is_file(pattern) else []
        expression = _compiled(pattern)
        found = [path for path in self._walk("") if expression.match(path)]
        return sorted(found, key=natural_key)

    def filled(self, pattern: str) -> list[str]:
        """The matching files that are not empty."""
        return [path for path in self.matching(pattern) if self.facts(path)[1]]

    def matching_any(self, patterns: Iterable[str]) -> list[str]:
        """The files that match one of the patterns, each once."""
        return list(dict.fromkeys(path for p in patterns for path in self.matching(p)))

    def newest(self, pattern: str) -> str | None:
        """The file matching a pattern that was changed last."""
        return max(self.matching(pattern), key=self._changed, default=None)

    def _changed(self, path: str) -> int:
        try:
            return self.facts(path)[2]
        except OSError:
            return 0

    def is_link(self, pattern: str) -> bool:
        """Whether something that is no regular file stands exactly there."""
        try:
            return not stat.S_ISREG(os.lstat(self.path / pattern).st_mode)
        except OSError:
            return False

    def _is_file(self, path: str) -> bool:
        try:
            with self.reading(path):
                return True
        except (OSError, BadValue):
            return False

    def _walk(self, below: str) -> Iterator[str]:
        pending, count = [below], 0
        while pending:
            folder = pending.pop()
            try:
                entries = list(os.scandir(self.path / folder))
            except OSError:
                continue
            for entry in entries:
                path = f"{folder}/{entry.name}" if folder else entry.name
                count += 1
                if count > _MOST_FILES:
                    return
                if entry.is_dir(follow_symlinks=False):
                    pending.append(path)
                elif entry.is_file(follow_symlinks=False):
                    yield path


def fits(path: str, pattern: str) -> bool:
    """Whether a pattern matches a path, be there such a file or not."""
    return _compiled(pattern).match(path) is not None


@functools.lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    """``*`` and ``?`` stay within a folder, ``**`` does not."""
    pieces = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]/]+\])", pattern)
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    text = ""
    for piece in pieces:
        if piece in known:
            text += known[piece]
        elif piece.startswith("[") and piece.endswith("]") and len(piece) > 2:
            inner = piece[1:-1].replace("\\", "\\\\")
            text += "[" + ("^" + inner[1:] if inner[0] == "!" else inner) + "]"
        else:
            text += re.escape(piece)
    return re.compile(text + r"\Z", re.DOTALL)
