"""Waiting for an event for some time: told, not told, and cancelled at the worst moment."""

import asyncio

import pytest

from copernicus.calling.waiting import within


async def ready() -> None:
    """Let everything run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_it_returns_when_it_is_told_and_when_the_time_is_over():
    async def both() -> None:
        event = asyncio.Event()
        await within(0.0, event)
        waiting = asyncio.create_task(within(None, event))
        await ready()
        assert not waiting.done()
        event.set()
        await waiting
        await within(60.0, event)

    asyncio.run(both())


def test_who_is_cancelled_as_it_is_told_is_cancelled():
    """Else a server that is to end while a relay has news would wait for it for ever."""

    async def told_and_cancelled() -> None:
        event = asyncio.Event()
        waiting = asyncio.create_task(within(60.0, event))
        await ready()
        event.set()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(told_and_cancelled())
