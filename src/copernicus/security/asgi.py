"""What uvicorn lacks: the peer's certificate for the application, and an end to slow requests.

Written against uvicorn 0.54 (the minor version is pinned, a contract test guards it): the
protocol class and its ``app_state`` are half private. The ASGI TLS extension is not settled
(https://github.com/django/asgiref/issues/466), and uvicorn does not implement it
(https://github.com/Kludex/uvicorn/pull/1119).
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import uvicorn
from uvicorn._types import ASGIApplication
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PEER_CERTIFICATE = "peer_cert"


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
        self._heads += 1
        self._in_message = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Note that the next byte begins a new head."""
        self._in_message = False
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadline with its connection."""
        self._stop_deadline()
        super().connection_lost(exc)

    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_deadline(self) -> None:
        self._deadline = self.loop.call_later(self.HEADER_DEADLINE, self.transport.abort)

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def server_config(
    app: ASGIApplication, context: ssl.SSLContext, *, host: str, port: int
) -> uvicorn.Config:
    """The configuration of one port; several servers may run in one event loop.

    Proxy headers are not believed: behind a proxy that ends TLS no certificate arrives, so pass
    TCP through. WebSockets are off: they would leave the deadlines of this protocol class.
    """
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=PeerCertificateProtocol,
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
