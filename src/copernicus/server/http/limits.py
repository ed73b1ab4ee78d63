"""Bodies that never come: a request that stalls or drips is cut."""

from __future__ import annotations

import asyncio

from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send
from litestar.types.asgi_types import ReceiveMessage

STALL_S = 30.0
GRACE_S = 30.0
SLOWEST = 4096
"""Bytes per second that a body must have after ``GRACE_S``."""


class TimedBodies:
    """An application whose request bodies must keep coming."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with a clock on its body."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        begin, size, whole = loop.time(), 0, False

        async def timed() -> ReceiveMessage:
            nonlocal size, whole
            if whole:
                return await receive()
            left = begin + GRACE_S + size / SLOWEST - loop.time()
            try:
                # No task of its own, as ``wait_for`` makes: bodies come in many pieces.
                async with asyncio.timeout(min(max(left, 0.0), STALL_S)):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    status_code=408, detail="The body of the request came too slowly."
                ) from None
            if message["type"] == "http.request":
                size += len(message["body"])
                whole = not message.get("more_body", False)
            else:
                whole = True
            return message

        await self._app(scope, timed, send)
