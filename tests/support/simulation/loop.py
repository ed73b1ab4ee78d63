"""An event loop whose time passes only when nothing else is to be done, and then at once."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any

COMMIT_S = 0.01
AT_ONCE = 20_000


class _Hop(selectors.SelectSelector):
    """Waiting for a time means that it is this time now."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._turns = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen again")
        self._turns = 0 if timeout > 0 else self._turns + 1
        if self._turns > AT_ONCE:
            raise RuntimeError(f"time stands still at {self._loop.now}: something goes in circles")
        self._loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Deterministic: no threads, no input, one order of events."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(_Hop(self))

    def time(self) -> float:
        return self.now

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """What a thread would do takes a while; it is done at one moment of it."""
        answer: asyncio.Future[Any] = self.create_future()

        def act() -> None:
            try:
                found = func(*args)
            except BaseException as error:  # noqa: BLE001 - goes to whoever waits
                failure = error
                self.call_later(COMMIT_S, lambda: answer.done() or answer.set_exception(failure))
            else:
                self.call_later(COMMIT_S, lambda: answer.done() or answer.set_result(found))

        self.call_later(COMMIT_S, act)
        return answer
