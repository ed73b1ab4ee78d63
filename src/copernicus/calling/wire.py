"""HTTP/1.1 on the event loop's own TLS: as little as can be between a message and the socket.

A hop of a chain of short jobs is two small requests. A general HTTP client spends more on each of
them than the rest of the worker on the job.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import cast
from urllib.parse import quote, urlsplit

import httptools
import msgspec

from copernicus.security.sockets import DEAD_PEER_OPTIONS

CONNECT_S = 10.0
IDLE_S = 60.0
_MOST = 64
_WORTH_A_COPY = 64 << 10
# The next address is tried, too, if the one before does not answer soon: many machines have an IPv6
# address that leads nowhere.
_NEXT_ADDRESS_S = 0.25


class Answer(msgspec.Struct, frozen=True):
    """What the server says, whatever that is; names of headers are in lower case."""

    status_code: int
    headers: dict[str, str]
    content: bytes


class Line(asyncio.Protocol):
    """One connection, for one request after the other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = 0
        self.idle_since = 0.0
        self.is_usable = True

    async def ask(self, head: bytes, body: bytes | None, silence_s: float) -> Answer:
        """One request. ``silence_s``: how long nothing may be heard, nor be taken by the network.

        Raises:
            OSError: The line broke, or was silent for too long.
        """
        if self._transport is None or not self.is_usable:
            raise ConnectionResetError("the connection was closed at once")
        self._answer = self._loop.create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._body = {}, []
        if body and len(body) > _WORTH_A_COPY:
            self._transport.writelines((head, body))
        else:
            self._transport.write(head + body if body else head)
        self._unsent = self._transport.get_write_buffer_size()
        self._listen(silence_s)
        try:
            return await self._answer
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if not self._answer.done() or self._answer.cancelled():
                self.close()
            self._answer = None
            self.idle_since = time.monotonic()

    def close(self) -> None:
        """Break it off."""
        self.is_usable = False
        if self._transport is not None:
            self._transport.abort()

    def _listen(self, silence_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._silence_s = silence_s
        self._timer = self._loop.call_later(silence_s, self._is_silent)

    def _is_silent(self) -> None:
        unsent = self._transport.get_write_buffer_size() if self._transport else 0
        if unsent < self._unsent:
            self._unsent = unsent
            self._listen(self._silence_s)
            return
        self._fail(TimeoutError(f"no answer within {self._silence_s:g} s"))

    def _fail(self, error: Exception) -> None:
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As of ``asyncio.Protocol``."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """As of ``asyncio.Protocol``."""
        if self._answer is None or self._parser is None:
            self.close()  # nobody has asked
            return
        self._listen(self._silence_s)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"what answers does not speak HTTP ({error})"))

    def connection_lost(self, exc: Exception | None) -> None:
        """As of ``asyncio.Protocol``."""
        self.is_usable = False
        self._fail(exc or ConnectionResetError("the connection was closed before the answer"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """As httptools calls it."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """As httptools calls it."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """As httptools calls it."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200:
            return  # more is to come
        if not self._parser.should_keep_alive():
            self.is_usable = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(status, self._headers, b"".join(self._body)))


class Lines:
    """The connections made with one certificate to servers of one name; kept for what follows."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._context = context
        self._server_name = server_name
        self._idle: dict[str, list[Line]] = {}
        self._room: asyncio.Semaphore | None = None
        self._all: set[Line] = set()

    async def ask(
        self,
        url: str,
        method: str,
        path: str,
        headers: Mapping[str, str] | None,
        body: bytes | None,
        silence_s: float,
    ) -> Answer:
        """One request at this address.

        Raises:
            OSError: No connection can be had, or it broke; ``ssl.SSLError`` is one, too.
        """
        self._room = self._room or asyncio.Semaphore(_MOST)
        async with self._room:
            line = self._take_idle(url) or await self._connected(url)
            try:
                head = _head(url, method, path, headers, None if body is None else len(body))
                return await line.ask(head, body, silence_s)
            finally:
                self._give_back(url, line)

    def _take_idle(self, url: str) -> Line | None:
        idle = self._idle.get(url, [])
        while idle:
            line = idle.pop()
            if line.is_usable and time.monotonic() - line.idle_since < IDLE_S:
                return line
            self._drop(line)
        return None

    async def _connected(self, url: str) -> Line:
        host, port, _ = _place(url)
        try:
            async with asyncio.timeout(CONNECT_S):
                line = await _first_of(await _addresses(host, port), self._tried)
        except TimeoutError:
            raise TimeoutError(f"no connection within {CONNECT_S:g} s") from None
        self._all.add(line)
        return line

    async def _tried(self, host: str, port: int) -> Line:
        # The loop makes the socket: one that it is given it forgets to close if the other side
        # resets the connection at once, and whoever gets its number next loses theirs.
        transport, line = await asyncio.get_running_loop().create_connection(
            Line, host, port, ssl=self._context, server_hostname=self._server_name
        )
        made = transport.get_extra_info("socket")
        try:
            if made is None:
                raise ConnectionResetError("the connection was closed at once")
            for option in DEAD_PEER_OPTIONS:
                made.setsockopt(*option)
        except OSError:
            line.close()
            raise
        return line

    def _give_back(self, url: str, line: Line) -> None:
        if line.is_usable:
            self._idle.setdefault(url, []).append(line)
        else:
            self._drop(line)

    def _drop(self, line: Line) -> None:
        line.close()
        self._all.discard(line)

    async def close(self) -> None:
        """Close every connection."""
        for line in self._all:
            line.close()
        self._all.clear()
        self._idle.clear()


async def _addresses(host: str, port: int) -> list[tuple[str, int]]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((str(one[4][0]), int(one[4][1])) for one in found))


async def _first_of(
    addresses: list[tuple[str, int]], connect: Callable[[str, int], Awaitable[Line]]
) -> Line:
    """A connection to the address that answers first."""
    tries: list[asyncio.Future[Line]] = []
    waiting = list(reversed(addresses))
    failed: OSError = ConnectionError("the name of the server has no address")
    try:
        while waiting or tries:
            if waiting:
                tries.append(asyncio.ensure_future(connect(*waiting.pop())))
            patience = _NEXT_ADDRESS_S if waiting else None
            await asyncio.wait(tries, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for one in [one for one in tries if one.done()]:
                tries.remove(one)
                try:
                    return one.result()
                except OSError as error:
                    failed = error
        raise failed
    finally:
        for one in tries:
            one.cancel()
            one.add_done_callback(_close_late)


def _close_late(one: asyncio.Future[Line]) -> None:
    """What was connected in spite of being cancelled is not wanted any more."""
    if not one.cancelled() and one.exception() is None:
        one.result().close()


@functools.lru_cache(maxsize=64)
def _place(url: str) -> tuple[str, int, str]:
    """The host, its port, and how a request names them."""
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode()
    shown = f"[{host}]" if ":" in host else host
    return host, parts.port or 443, shown if parts.port is None else f"{shown}:{parts.port}"


@functools.lru_cache(maxsize=64)
def _start(url: str, method: str, path: str) -> str:
    asked = quote(urlsplit(url).path + path, safe="/?&=%~:@!$'()*+,;-._")
    return f"{method} {asked} HTTP/1.1\r\nhost: {_place(url)[2]}\r\n"


def _head(
    url: str, method: str, path: str, headers: Mapping[str, str] | None, length: int | None
) -> bytes:
    told = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    size = "" if length is None and method == "GET" else f"content-length: {length or 0}\r\n"
    return f"{_start(url, method, path)}{told}{size}\r\n".encode("latin-1")
