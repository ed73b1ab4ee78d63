"""What happens in a project, in order, from any position on, for as long as somebody listens.

Entries come from the journal, so a listener that was away misses nothing, and one that is slow
costs no memory: the newest entries are kept at hand for all, older ones are read again. Progress
of running jobs is not journaled; a slow listener gets the newest of each job.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import msgspec

from copernicus.protocol import FeedEntry, ProgressReport
from copernicus.store.records import Entry
from copernicus.store.store import Store

_AT_HAND: Final = 2000
_PAGE: Final = 500


class _Topic:
    """The newest of one project, while anybody listens to it."""

    def __init__(self) -> None:
        self.listeners = 0
        self.entries: deque[Entry] = deque(maxlen=_AT_HAND)
        self.progress: dict[str, tuple[int, FeedEntry]] = {}
        self.serial = 0
        self.moved = asyncio.Event()

    def move(self) -> None:
        self.moved.set()
        self.moved = asyncio.Event()


class Feed:
    """Streams of ``FeedEntry``, one per project."""

    def __init__(self, store: Store, keep_alive_s: float) -> None:
        self._store = store
        self._keep_alive_s = keep_alive_s
        self._topics: dict[str, _Topic] = {}
        self._closed = False
        self._calls = 0

    def publish(self, entries: Iterable[tuple[str, Entry]]) -> None:
        """Tell what has just been committed."""
        moved = set()
        for project, entry in entries:
            topic = self._topics.get(project)
            if topic is not None:
                topic.entries.append(entry)
                moved.add(project)
        for project in moved:
            self._topics[project].move()

    def publish_progress(
        self, at: float, progress: Iterable[tuple[str, str, ProgressReport]]
    ) -> None:
        """Tell how far running jobs are."""
        for project, job, report in progress:
            topic = self._topics.get(project)
            if topic is None:
                continue
            topic.serial += 1
            event = {"job": job, **msgspec.to_builtins(report)}
            topic.progress.pop(job, None)
            topic.progress[job] = (topic.serial, FeedEntry(0, at, "progress", event))
            topic.move()

    async def follow(self, project: str, since: int) -> AsyncIterator[list[FeedEntry]]:
        """Everything after position ``since``, for ever; what comes together is given together.

        An empty list is a sign of life. Ends when the feed is closed.
        """
        topic = self._topics.setdefault(project, _Topic())
        topic.listeners += 1
        heard, calls = topic.serial, self._calls
        try:
            while not self._closed:
                moved = topic.moved
                if calls != self._calls:
                    calls = self._calls
                    yield []
                entries = await self._after(project, topic, since)
                since = entries[-1].position if entries else since
                news = [feed_entry(entry) for entry in entries]
                news += [told for serial, told in topic.progress.values() if serial > heard]
                heard = topic.serial
                if news:
                    yield news
                if not entries and not await self._wait(moved):
                    yield []
        finally:
            topic.listeners -= 1
            if not topic.listeners and self._topics.get(project) is topic:
                del self._topics[project]

    def look_again(self) -> None:
        """Give every listener a sign of life now, so that it looks whether it may still listen."""
        self._calls += 1
        for topic in self._topics.values():
            topic.move()

    def close(self) -> None:
        """End every stream."""
        self._closed = True
        for topic in self._topics.values():
            topic.move()

    async def _after(self, project: str, topic: _Topic, since: int) -> list[Entry]:
        if topic.entries and topic.entries[0].position <= since + 1:
            newest = topic.entries[-1].position
            missing = max(newest - since, 0)
            return list(topic.entries)[len(topic.entries) - missing :]
        return await asyncio.to_thread(self._store.journal, project, since, _PAGE)

    async def _wait(self, moved: asyncio.Event) -> bool:
        try:
            async with asyncio.timeout(self._keep_alive_s):
                await moved.wait()
        except TimeoutError:
            return False
        return True


def feed_entry(entry: Entry) -> FeedEntry:
    """A fact of the journal as it is sent."""
    event: dict[str, Any] = msgspec.to_builtins(entry.event)
    kind = event["type"]
    return FeedEntry(entry.position, entry.at, kind, event, entry.revision)
