"""What a job's programs print: a file in the job's folder that cannot grow without bound."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

LIMIT = 10 << 20
_TAIL_BYTES = 16 << 10
TAIL_LINES = 20
_CUT = b"... (older lines were dropped: the log is limited) ...\n"


class JobLog:
    """Appends to ``job.log``; made with the first byte; of more than ``LIMIT`` the end is kept."""

    def __init__(self, path: Callable[[], Path], limit: int = LIMIT) -> None:
        self._path = path
        self._limit = limit
        self._size = 0
        self._file: int | None = None
        self._tail = bytearray()
        self.written = 0

    def write(self, data: bytes) -> None:
        """Append; a full disk costs lines of the file, never the job."""
        self.written += len(data)
        self._tail += data[-_TAIL_BYTES:]
        del self._tail[:-_TAIL_BYTES]
        try:
            self._append(data)
        except OSError:
            return

    def _append(self, data: bytes) -> None:
        if self._file is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(self._path(), flags, 0o600)
            self._size = os.lseek(self._file, 0, os.SEEK_END)
        if self._size + len(data) > self._limit:
            self._drop_old()
        self._size += os.write(self._file, data)

    def _drop_old(self) -> None:
        assert self._file is not None
        kept = os.pread(self._file, self._limit // 2, max(0, self._size - self._limit // 2))
        kept = _CUT + kept[kept.find(b"\n") + 1 :]
        os.lseek(self._file, 0, os.SEEK_SET)
        os.write(self._file, kept)
        os.ftruncate(self._file, len(kept))
        self._size = len(kept)

    def note(self, text: str) -> None:
        """A line of the worker's own."""
        self.write(f"{text}\n".encode())

    def tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines."""
        text = bytes(self._tail).decode("utf-8", "replace")
        return "\n".join(text.splitlines()[-lines:])

    def end(self) -> str:
        """All of the end that is held in memory."""
        return bytes(self._tail).decode("utf-8", "replace")

    def text(self, since: int = 0) -> str:
        """All that is kept of what was written after the first ``since`` bytes."""
        kept = bytes(self._tail) if self._file is None else os.pread(self._file, self._limit, 0)
        new = self.written - since
        return (kept[-new:] if new < len(kept) else kept).decode("utf-8", "replace") if new else ""

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class LogPipe:
    """The reading end of the pipe that programs print to, emptied into a log by the loop."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reader, self._read)

    def _read(self) -> bool:
        try:
            data = os.read(self._reader, 1 << 16)
        except BlockingIOError:
            return False
        if data:
            self._write(data)
        else:
            self._loop.remove_reader(self._reader)
        return bool(data)

    def drain(self, most: int = 1 << 20) -> None:
        """Take what is in the pipe now; what a flood adds meanwhile is not waited for."""
        for _ in range(max(1, most >> 16)):
            if not self._read():
                return

    def close_writer(self) -> None:
        """Only the programs hold the writing end now."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    def close(self) -> None:
        """Stop reading."""
        self.close_writer()
        self._loop.remove_reader(self._reader)
        os.close(self._reader)
