"""The caller's side of the machine port: one pool of connections, several addresses, retries."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec

from copernicus.blobs import DamagedBlob
from copernicus.calling.clocks import refusal
from copernicus.calling.waiting import within
from copernicus.errors import (
    CopernicusError,
    InternalError,
    ServerBusy,
    ServerUnreachable,
    error_for_code,
)
from copernicus.protocol import ErrorBody
from copernicus.security.certificates import tls_name
from copernicus.security.sockets import DEAD_PEER_OPTIONS, UNUSED_S

T = TypeVar("T")

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 30.0
_CONNECT_S = 10.0
_MOST_CONNECTIONS = 64
# What is larger goes piece by piece, so that nothing else waits for it.
_AT_ONCE = 1 << 20
# A chunk over the slowest line that is of any use; who has stopped to read is given up then.
_LONGEST_S = 300.0
_BUSY = frozenset({408, 425, 429, 500, 502, 503, 504, 507})
_MSGPACK = "application/msgpack"
_decoders: dict[Any, msgspec.msgpack.Decoder[Any]] = {}
_encoder = msgspec.msgpack.Encoder()


class Answer(msgspec.Struct, frozen=True):
    """What the server says, whatever that is."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


class _Session:
    """The connections made with one certificate to servers of one name; kept for what follows."""

    def __init__(self, context: ssl.SSLContext, server_name: str) -> None:
        self._context = context
        self._server_name = server_name
        self._client: aiohttp.ClientSession | None = None
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @contextlib.contextmanager
    def used(self) -> Iterator[_Session]:
        """Keep it open meanwhile."""
        self._users += 1
        self._unused.clear()
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        content: bytes | None,
        silence_s: float,
    ) -> Answer:
        """One request. ``silence_s``: how long nothing may be heard once it is sent.

        Raises:
            aiohttp.ClientError, OSError: No connection can be had, or it broke.
        """
        limits = aiohttp.ClientTimeout(
            total=silence_s + _LONGEST_S, sock_connect=_CONNECT_S, sock_read=silence_s
        )
        async with self._opened().request(
            method,
            url,
            data=content if content is None or len(content) <= _AT_ONCE else io.BytesIO(content),
            headers=headers,
            timeout=limits,
            server_hostname=self._server_name,
            allow_redirects=False,
        ) as response:
            return Answer(response.status, response.headers, await response.read())

    def _opened(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=self._context,
                    limit=_MOST_CONNECTIONS,
                    keepalive_timeout=UNUSED_S,
                    socket_factory=_socket,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            )
        return self._client

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.close()

    async def close_when_unused(self) -> None:
        """Close it when the last request has been answered, or when this is cancelled."""
        try:
            await self._unused.wait()
        finally:
            await self.close()


class _Socket(socket.socket):
    """A socket that is the event loop's to close, once the loop was given it.

    uvloop closes the number of one that is reset at once, and lets go of the object afterwards: an
    ordinary one would close its number again then, whoever has got that by now.
    """

    def __del__(self) -> None:
        self.detach()


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    family, kind, protocol = address[:3]
    made = _Socket(family, kind, protocol)
    for option in DEAD_PEER_OPTIONS:
        made.setsockopt(*option)
    return made


class Link:
    """Requests to the server that the worker belongs to, whichever of its addresses answers."""

    def __init__(
        self,
        urls: tuple[str, ...],
        server_id: str,
        context: ssl.SSLContext,
        longest_delay_s: float = LONGEST_DELAY_S,
    ) -> None:
        self._longest_delay_s = max(longest_delay_s, FIRST_DELAY_S)
        self.move(urls)
        self._server_id = server_id
        self._session = _Session(context, tls_name(server_id))
        self._closing: set[asyncio.Task[None]] = set()
        self.on_answer: Callable[[], None] = lambda: None

    def renew(self, context: ssl.SSLContext) -> None:
        """Use a new certificate from the next request on; those under way end undisturbed."""
        old, self._session = self._session, _Session(context, tls_name(self._server_id))
        closing = asyncio.create_task(old.close_when_unused())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    def move(self, urls: tuple[str, ...]) -> None:
        """Look for the server at these addresses from the next request on."""
        self._urls = [url.rstrip("/") for url in urls]

    async def close(self) -> None:
        """Close every connection."""
        closing = tuple(self._closing)
        for task in closing:
            task.cancel()
        await asyncio.gather(*closing, return_exceptions=True)
        await self._session.close()

    async def send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 60.0,
    ) -> Answer:
        """One request, tried once at each address.

        Raises:
            ServerUnreachable: No address answers; the message says what each of them did.
            CopernicusError: The server refused, by its class in ``errors``.
        """
        with self._session.used() as session:
            answer = await self._try_each(session, method, path, headers, content, timeout_s)
        if answer.status_code >= 400:
            raise _refusal(answer, path)
        self.on_answer()
        return answer

    async def _try_each(
        self,
        session: _Session,
        method: str,
        path: str,
        headers: Mapping[str, str] | None,
        content: bytes | None,
        timeout_s: float,
    ) -> Answer:
        problems = []
        for url in list(self._urls):
            try:
                answer = await session.ask(method, url + path, headers, content, timeout_s)
            except (aiohttp.ClientError, OSError) as error:
                problems.append(f"{url}: {_trouble(error, timeout_s)}")
                continue
            # While this was under way, it may have moved.
            if url in self._urls[1:]:
                self._urls.remove(url)
                self._urls.insert(0, url)
            return answer
        raise ServerUnreachable(
            f"server {self._server_id} cannot be reached ({'; '.join(problems)})"
        )

    async def ask(self, path: str, body: Any, reply: type[T], *, timeout_s: float = 60.0) -> T:
        """Post a message and read the answer; errors as ``send``."""
        response = await self.send(
            "POST",
            path,
            content=_encoder.encode(body),
            headers={"content-type": _MSGPACK, "accept": _MSGPACK},
            timeout_s=timeout_s,
        )
        return decode(response.content, reply)

    async def tell(self, path: str, body: Any) -> None:
        """Post a message of which only the acceptance matters; errors as ``send``."""
        await self.send(
            "POST", path, content=_encoder.encode(body), headers={"content-type": _MSGPACK}
        )

    async def persist(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        on_trouble: Callable[[CopernicusError, float], None] = lambda _error, _delay: None,
        until: asyncio.Event | None = None,
    ) -> T:
        """Repeat until it succeeds or is refused for good, waiting longer each time, jittered.

        Raises:
            CopernicusError: A refusal that repeating does not cure; or the last trouble, when
                ``until`` is set.
        """
        delay = FIRST_DELAY_S
        while True:
            try:
                return await attempt()
            except (ServerUnreachable, ServerBusy) as error:
                if until is not None and until.is_set():
                    raise
                wait = delay * random.uniform(0.5, 1.0)  # noqa: S311 - to spread load, not a secret
                on_trouble(error, wait)
                await _pause(wait, until)
                delay = min(delay * 2, self._longest_delay_s)


def _trouble(error: Exception, silence_s: float) -> str:
    """What went wrong, in words that do not name the library."""
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"no connection within {_CONNECT_S:g} s"
    if isinstance(error, aiohttp.SocketTimeoutError):
        return f"no answer within {silence_s:g} s"
    if isinstance(error, aiohttp.ClientResponseError):
        return "what answers does not speak HTTP"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return str(error.certificate_error)
    if isinstance(error, aiohttp.ClientConnectorError):
        return str(error.os_error)
    return str(error) or type(error).__name__


def decode(data: bytes, form: type[T]) -> T:
    """The message in ``data``.

    Raises:
        ServerUnreachable: What answers does not speak this protocol.
    """
    decoder = _decoders.get(form)
    if decoder is None:
        decoder = _decoders[form] = msgspec.msgpack.Decoder(form)
    try:
        found: T = decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ServerUnreachable(
            f"the server's answer is not understood ({error}): compare the versions of server "
            "and worker"
        ) from None
    return found


def _refusal(response: Answer, path: str) -> CopernicusError:
    status, message = response.status_code, ""
    known: type[CopernicusError] | None = None
    for decoder in (msgspec.msgpack.decode, msgspec.json.decode):
        try:
            body = decoder(response.content, type=ErrorBody)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        known, message = error_for_code(body.code), body.message
        break
    if known is DamagedBlob:
        return DamagedBlob(message)  # waiting does not mend it
    if status in _BUSY:
        return ServerBusy(message or f"the server answers {status} just now")
    if status == 401:
        message = message or "the server does not accept this worker's certificate."
        return refusal(message, response.headers)
    if known in (None, CopernicusError):
        return InternalError(message or f"the server answers {status} to {path.partition('?')[0]}")
    assert known is not None
    return known(message)


async def _pause(seconds: float, until: asyncio.Event | None) -> None:
    if until is None:
        await asyncio.sleep(seconds)
    else:
        await within(seconds, until)
