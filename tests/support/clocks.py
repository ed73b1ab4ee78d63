"""Clocks that jump while a process runs: ``clock_shim.c``, with an offset that a file holds."""

from __future__ import annotations

import struct
from pathlib import Path

from support import shims


class FakeClock:
    """The wall clock of the processes that are started with ``variables``.

    The monotonic clock is the machine's, as on a real machine whose clock jumps. (libfaketime moves
    that one too, or breaks the sleeps that go by it.)
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._file = folder / "offset"
        self._file.write_bytes(bytes(8))
        self._library = shims.build("clock_shim", folder)

    def jump(self, seconds: float) -> None:
        """From now on it is so far off the real one."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("=q", round(seconds)))

    @property
    def variables(self) -> dict[str, str]:
        """For the environment of a process."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_SHIM": str(self._file)}
