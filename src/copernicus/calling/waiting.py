"""Waiting for something to be told, for some time at most."""

from __future__ import annotations

import asyncio
import contextlib


async def within(seconds: float | None, event: asyncio.Event) -> None:
    """Return when it is set, or after this time (``None``: only then).

    Who is cancelled here is cancelled: ``asyncio.wait_for`` of Python 3.11 forgets it where the
    event is set at the same moment (https://github.com/python/cpython/issues/86296), and who waits
    for the end of a task would wait for ever.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
