"""The server's clock: it never goes back, and reads as seconds since the epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from copernicus.errors import NotAuthenticated

T = TypeVar("T")


class Clock:
    """Wall time at the start, moved on by the monotonic clock: leases survive clock jumps."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, as far as the clock was right at the start."""
        return self._offset + time.monotonic()

    def by_either(self, check: Callable[[datetime], T]) -> T:
        """What a check of dates gives at the wall clock's time, or at this one's if it refuses.

        A wall clock that jumps while the server runs so locks nobody out, and neither does one
        that was wrong at the start and has been set since.

        Raises:
            NotAuthenticated: By either clock it is refused.
        """
        try:
            return check(wall())
        except NotAuthenticated:
            return check(datetime.fromtimestamp(self.now(), UTC))


def wall() -> datetime:
    """The wall clock, aware: for certificates and tokens, whose dates others must understand."""
    return datetime.now(UTC)
