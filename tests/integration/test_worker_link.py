"""A worker's requests when the other end of the line behaves badly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator

import pytest
import uvloop

from copernicus.calling.link import Link
from copernicus.errors import ServerUnreachable

AT_ONCE = 20
ROUNDS = 20


@contextlib.contextmanager
def slamming() -> Iterator[str]:
    """The address of a listener that resets every connection that it accepts."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    accepted, _ = listening.accept()
                    now = struct.pack("ii", 1, 0)  # linger for 0 s: close by a reset
                    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, now)
                    accepted.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_connection_that_is_reset_at_once_is_a_server_that_cannot_be_reached() -> None:
    """On uvloop, as the worker runs: there a closed connection has no socket any more."""

    async def ask(address: str) -> list[BaseException | object]:
        link = Link((address,), "s1", ssl.create_default_context())
        answers: list[BaseException | object] = []
        for _ in range(ROUNDS):
            requests = (link.send("GET", "/") for _ in range(AT_ONCE))
            answers += await asyncio.gather(*requests, return_exceptions=True)
        await link.close()
        return answers

    with slamming() as address:
        answers = uvloop.run(ask(address))

    assert len(answers) == AT_ONCE * ROUNDS
    for answer in answers:
        with pytest.raises(ServerUnreachable, match="cannot be reached"):
            raise answer  # type: ignore[misc]
