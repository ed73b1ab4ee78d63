"""What uvicorn lacks: the peer's certificate for the application, and an end to slow requests.

Written against uvicorn 0.54 (the minor version is pinned, a contract test guards it): the
protocol class and its ``app_state`` are half private. The ASGI TLS extension is not settled
(https://github.com/django/asgiref/issues/466), and uvicorn does not implement it
(https://github.com/Kludex/uvicorn/pull/1119).
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PEER_CERTIFICATE = "peer_cert"
_NOT_PRINTED = re.compile(r"[^\x20-\x7e]")
_LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Connect:
    """Somebody wants a tunnel (``CONNECT target``); exactly one of the two answers is to be given.

    What they send meanwhile waits.
    """

    target: str
    headers: Mapping[str, str]
    certificate: bytes | None
    address: str
    transport: asyncio.Transport

    def accept(self, end: asyncio.Protocol) -> None:
        """Open: from now on the connection is that of ``end``."""
        self.transport.write(b"HTTP/1.1 200 OK\r\n\r\n")
        self.transport.set_protocol(end)
        self.transport.resume_reading()

    def refuse(self, status: int, code: str, message: str) -> None:
        """Say why not, and hang up. The reason is all that libraries show of such an answer."""
        if not self.transport.is_closing():
            reason = _NOT_PRINTED.sub("?", f"{code}: {message}"[:_LONGEST_REASON])
            head = f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            self.transport.write(head.encode("ascii"))
            self.transport.close()


OnConnect = Callable[[Connect], None]
Application = Callable[..., Awaitable[None]]
"""An ASGI application. Every library has types of its own for what it is called with."""


class PeerCertificateProtocol(HttpToolsProtocol):
    """HTTP/1.1 that puts the client certificate (DER or None) into ``scope["state"]``.

    A connection is cut when the head of a request is not complete ``HEADER_DEADLINE`` seconds
    after its first byte (or after the connection was made), or is longer than ``HEADER_LIMIT``
    bytes. Bodies are for the application to time.
    """

    HEADER_DEADLINE: ClassVar[float] = 10.0
    HEADER_LIMIT: ClassVar[int] = 65536

    certificate: bytes | None = None
    _deadline: asyncio.TimerHandle | None = None
    _heads = 0
    _in_message = False
    _head_bytes = 0
    _is_tunnel = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep the certificate for the requests of this connection, and start its deadline."""
        tls = transport.get_extra_info("ssl_object")
        self.certificate = None if tls is None else tls.getpeercert(binary_form=True)
        self.app_state = {**self.app_state, PEER_CERTIFICATE: self.certificate}
        super().connection_made(transport)
        self._start_deadline()

    def data_received(self, data: bytes) -> None:
        """Parse, and time and measure what is not yet a request."""
        heads, in_message = self._heads, self._in_message
        super().data_received(data)
        if self._is_tunnel:
            return
        if self._heads != heads or self._in_message or in_message:
            self._head_bytes = 0
        else:
            self._head_bytes += len(data)
        if self._head_bytes > self.HEADER_LIMIT:
            self.transport.abort()
        elif self._answering():
            self._stop_deadline()
        elif self._deadline is None:
            self._start_deadline()

    def on_headers_complete(self) -> None:
        """Note that a head has ended.

        Raises:
            ValueError: it is too long; the parser makes a refusal of it.
        """
        if sum(len(name) + len(value) for name, value in self.headers) > self.HEADER_LIMIT:
            raise ValueError("the head of the request is too long")
        if self.parser.get_method() == b"CONNECT":
            self._connect()
            return
        self._heads += 1
        self._in_message = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the next byte begins a new head."""
        if self._is_tunnel:
            return
        self._in_message = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadline with its connection."""
        self._stop_deadline()
        super().connection_lost(exc)

    def _connect(self) -> None:
        """The connection is HTTP no more, whoever is asked for it."""
        busy = self._answering()
        self._is_tunnel = True
        self._stop_deadline()
        self._unset_keepalive_if_required()
        self.transport.pause_reading()
        self.connections.discard(self)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}
        address = self.client[0] if self.client else ""
        target = self.url.decode("latin-1")
        asked = Connect(target, headers, self.certificate, address, self.transport)
        if busy:
            asked.refuse(400, "bad_request", "Another request on this connection is not done.")
        else:
            self.on_connect(asked)

    def on_connect(self, asked: Connect) -> None:
        """Somebody wants a tunnel; a port of which nothing else is said makes none."""
        asked.refuse(405, "bad_request", "This port makes no tunnels.")

    def _unsupported_upgrade_warning(self) -> None:
        """What follows a ``CONNECT`` is none of the parser's business."""
        if not self._is_tunnel:
            super()._unsupported_upgrade_warning()

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.HEADER_DEADLINE, self.transport.abort)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def server_config(
    app: Application,
    context: ssl.SSLContext,
    *,
    host: str,
    port: int,
    on_connect: OnConnect | None = None,
) -> uvicorn.Config:
    """The configuration of one port; several servers may run in one event loop.

    ``on_connect`` is told of everybody who wants a tunnel; without it, nobody gets one.

    Proxy headers are not believed: behind a proxy that ends TLS no certificate arrives, so pass
    TCP through. WebSockets are off: they would leave the deadlines of this protocol class.
    """
    members = {} if on_connect is None else {"on_connect": lambda _, asked: on_connect(asked)}
    protocol = type("PortProtocol", (PeerCertificateProtocol,), members)
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=protocol,
        ws="none",
        ssl_context_factory=lambda _config, _default: context,
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
    )


def peer_certificate(scope: Mapping[str, Any]) -> bytes | None:
    """The client certificate (DER) of the connection that a request came by, if it showed one."""
    return cast("bytes | None", scope.get("state", {}).get(PEER_CERTIFICATE))
