"""A whole server inside another program, for demonstrations and tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from copernicus.server.app import serve
from copernicus.server.folder import Running, ServerInfo, init_server, settings_of

LOCAL: Mapping[str, Any] = {
    "host": "127.0.0.1",
    "machine_port": 0,
    "user_port": 0,
    "log_level": "warning",
}
_START_S = 90.0
_STOP_S = 30.0


class EmbeddedServer:
    """A server in a thread of this process, reachable from this machine only.

    ``with EmbeddedServer(folder) as server: ... server.running.user_port``. What is in the folder
    stays, so it may be started again.
    """

    def __init__(self, folder: Path, overrides: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self._settings = settings_of(folder, overrides)
        self._ready: Future[Running] = Future()
        self._thread = threading.Thread(target=self._run, name="server", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._error: BaseException | None = None

    @classmethod
    def make(
        cls, folder: Path, password: str, settings: Mapping[str, Any] | None = None
    ) -> tuple[ServerInfo, Self]:
        """A new server in this folder, with the user ``admin`` of this password."""
        chosen = {**LOCAL, "evaluators": 1, **(settings or {})}
        info = init_server(folder, ("127.0.0.1", "localhost"), password, chosen)
        return info, cls(folder)

    @property
    def running(self) -> Running:
        """Where it listens."""
        return self._ready.result(_START_S)

    @property
    def user_url(self) -> str:
        """Where people reach it."""
        return f"https://127.0.0.1:{self.running.user_port}"

    @property
    def machine_url(self) -> str:
        """Where workers reach it."""
        return f"https://127.0.0.1:{self.running.machine_port}"

    def __enter__(self) -> Self:
        """Start, and wait until it answers.

        Raises:
            CopernicusError: what stopped it from starting.
        """
        self._thread.start()
        self._ready.result(_START_S)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        story: TracebackType | None,
    ) -> None:
        """Stop, and wait until everything has ended."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_S)
        if self._error is not None and error is None:
            raise self._error

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001  # carried over to the thread that waits
            if self._ready.done():
                self._error = error
            else:
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        await serve(self.folder, self._settings, self._ready.set_result, self._stop)
