"""A worker's requests when the other end of the line behaves badly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import uvloop

from copernicus.calling.link import Link
from copernicus.errors import ServerUnreachable
from copernicus.security.identity import create_authority
from copernicus.security.tls import server_context

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
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


@contextlib.asynccontextmanager
async def linked(folder: Path, answering: Answering) -> AsyncIterator[Link]:
    """A link to a server that speaks TLS and answers each connection in this way."""
    create_authority(folder, ["127.0.0.1"], datetime.now(UTC))
    ours = server_context(folder, require_client_certificate=False)
    server = await asyncio.start_server(answering, "127.0.0.1", 0, ssl=ours)
    theirs = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    theirs.check_hostname = False
    link = Link((f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}",), "s1", theirs)
    try:
        yield link
    finally:
        await link.close()
        server.close()


async def _asked(reader: asyncio.StreamReader) -> bytes:
    """The line that a request begins with; the rest of its head is read, too."""
    return (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")[0]


def test_an_answer_may_come_in_any_pieces_and_its_connection_is_used_again(tmp_path: Path) -> None:
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError):
            while asked := await _asked(reader):
                body = asked.split()[1]
                told = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n"
                for byte in told % len(body) + body:
                    writer.write(bytes([byte]))
                    await writer.drain()
        writer.close()

    async def ask() -> list[bytes]:
        async with linked(tmp_path, answer) as link:
            return [(await link.send("GET", f"/{i}?a=b%23c")).content for i in range(3)]

    assert uvloop.run(ask()) == [b"/0?a=b%23c", b"/1?a=b%23c", b"/2?a=b%23c"]
    assert connections == 1


def test_a_connection_that_the_server_has_closed_meanwhile_is_not_used_again(
    tmp_path: Path,
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _asked(reader)
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        writer.close()

    async def ask() -> list[int]:
        async with linked(tmp_path, answer) as link:
            return [(await link.send("GET", "/")).status_code for _ in range(3)]

    assert uvloop.run(ask()) == [204, 204, 204]


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (b"", "no answer within 0.2 s"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", "no answer within 0.2 s"),
        (b"220 mail.example ESMTP\r\n", "does not speak HTTP"),
    ],
)
def test_a_server_that_falls_silent_or_says_something_else_cannot_be_reached(
    tmp_path: Path, told: bytes, said: str
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _asked(reader)
        writer.write(told)
        await reader.read()
        writer.close()

    async def ask() -> None:
        async with linked(tmp_path, answer) as link:
            with pytest.raises(ServerUnreachable, match=said):
                await link.send("GET", "/", timeout_s=0.2)

    uvloop.run(ask())
