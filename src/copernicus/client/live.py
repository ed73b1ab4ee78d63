"""A project's events in a thread of their own, for a display that also has to redraw by itself."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

from copernicus.errors import CopernicusError
from copernicus.protocol import FeedEntry

if TYPE_CHECKING:
    from copernicus.client.project import Project


class Watcher:
    """What happens in a project from ``since`` on.

    Attributes:
        problem: why the line is broken at the moment (``""`` if it is not).
    """

    def __init__(self, project: Project, since: int | None = None) -> None:
        self.problem = ""
        self._closed = False
        self._project = project
        self._since = since
        self._entries: queue.SimpleQueue[FeedEntry | CopernicusError] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._listen, name="events", daemon=True)
        self._thread.start()

    def take(self, timeout_s: float) -> list[FeedEntry]:
        """What has happened since the last call; waits for the first of it.

        Raises:
            CopernicusError: The stream has ended for good.
        """
        found: list[FeedEntry] = []
        try:
            item = self._entries.get(timeout=timeout_s)
            while True:
                if isinstance(item, CopernicusError):
                    raise item
                found.append(item)
                item = self._entries.get_nowait()
        except queue.Empty:
            return found

    def close(self) -> None:
        """Listen no more; the line ends with the next event, or with the client."""
        self._closed = True

    def _listen(self) -> None:
        try:
            for entry in self._project.events(self._since, lost=self._note):
                if self._closed:
                    return
                self._entries.put(entry)
        except CopernicusError as error:
            self._entries.put(error)

    def _note(self, problem: str) -> None:
        self.problem = problem
