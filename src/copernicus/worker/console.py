"""The lines that a worker prints: for people, or one JSON object each."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

_TOGETHER_S = 0.05


class Console:
    """Says what the worker does. Control characters of names never reach the terminal."""

    def __init__(self, *, json_lines: bool = False, stream: TextIO | None = None) -> None:
        self._json = json_lines
        self._stream = stream or sys.stdout
        self._lines: list[str] = []

    def say(self, event: str, text: str, **fields: Any) -> None:
        """One line: ``text`` for people; with ``event`` and ``fields`` for programs."""
        if self._json:
            at = datetime.now(UTC).isoformat(timespec="milliseconds")
            body = {"at": at, "event": event, "text": text}
            line = msgspec.json.encode({**body, **fields}).decode()
        else:
            line = f"{time.strftime('%H:%M:%S')} {printable(text)}"
        self._lines.append(line + "\n")
        if len(self._lines) == 1:
            self._flush_soon()

    def _flush_soon(self) -> None:
        # Thousands of small jobs a minute must not cost a system call each.
        try:
            asyncio.get_running_loop().call_later(_TOGETHER_S, self.flush)
        except RuntimeError:
            self.flush()

    def flush(self) -> None:
        """Print what was said; a reader that is gone is nothing to end a worker for."""
        lines, self._lines = self._lines, []
        with contextlib.suppress(BrokenPipeError):
            self._stream.write("".join(lines))
            self._stream.flush()


def printable(text: str) -> str:
    """``text`` without characters that a terminal would act on."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def counted_cores(number: int) -> str:
    """A number of cores in words."""
    return "1 core" if number == 1 else f"{number} cores"
