"""The server's clock: it never goes back, and reads as seconds since the epoch."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """Wall time at the start, moved on by the monotonic clock: leases survive clock jumps."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, as far as the clock was right at the start."""
        return self._offset + time.monotonic()


def wall() -> datetime:
    """The wall clock, aware: for certificates and tokens, whose dates others must understand."""
    return datetime.now(UTC)
