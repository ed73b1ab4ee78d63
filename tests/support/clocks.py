"""Clocks that jump while a process runs: libfaketime, with an offset that a file holds.

The wall clock jumps; the monotonic clock does not, as on a real machine.
"""

from __future__ import annotations

from pathlib import Path

_PLACES = ("/usr/lib", "/usr/local/lib")


def library() -> Path | None:
    """Where libfaketime for programs with threads is, if it is installed."""
    for place in _PLACES:
        for found in Path(place).glob("**/faketime/libfaketimeMT.so.1"):
            return found
    return None


class FakeClock:
    """The wall clock of the processes that are started with ``variables``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.jump(0)

    def jump(self, seconds: float) -> None:
        """From now on it is so far off the real one."""
        temporary = self._file.with_name(f"{self._file.name}.new")
        temporary.write_text(f"{seconds:+.0f}\n")
        temporary.replace(self._file)

    @property
    def variables(self) -> dict[str, str]:
        """For the environment of a process."""
        where = library()
        assert where is not None, "install faketime"
        return {
            "LD_PRELOAD": str(where),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }
