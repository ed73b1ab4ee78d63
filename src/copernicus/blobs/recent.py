"""Which objects this process has seen a short while ago."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable


class Recent:
    """The latest keys, with when they were noted on the monotonic clock; bounded, thread-safe.

    It spares repeated fsyncs, and it keeps a sweep off what was just stored when the wall
    clock, by which files are aged, jumps.
    """

    def __init__(self, limit: int = 65_536) -> None:
        self._limit = limit
        self._noted: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def note(self, keys: Iterable[str]) -> None:
        """Remember that these were seen now."""
        now = time.monotonic()
        with self._lock:
            for key in keys:
                self._noted[key] = now
                self._noted.move_to_end(key)
            while len(self._noted) > self._limit:
                self._noted.popitem(last=False)

    def within(self, key: str, seconds: float) -> bool:
        """Whether it was noted less than this long ago."""
        with self._lock:
            noted = self._noted.get(key)
        return noted is not None and time.monotonic() - noted < seconds
