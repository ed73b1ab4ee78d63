"""Requests to one server: TLS pinned to its authority, errors as the classes of ``errors.py``."""

from __future__ import annotations

import contextlib
import ssl
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx2
import msgspec

from copernicus.client.through import Gateway, refused
from copernicus.errors import (
    CopernicusError,
    InternalError,
    NotAuthenticated,
    ServerUnreachable,
    UserError,
    error_for_code,
)
from copernicus.protocol import PROTOCOL, ErrorBody
from copernicus.protocol.common import PROTOCOL_HEADER
from copernicus.security.clocks import clock_note
from copernicus.security.tls import client_context, host_header, server_name_extension

T = TypeVar("T")

_TIMEOUT = httpx2.Timeout(60.0, connect=10.0)
# The stream has a sign of life every 15 s by default; three missed ones are a dead line.
_STREAM_TIMEOUT = httpx2.Timeout(60.0, connect=10.0, read=50.0)
_DATES = frozenset({9, 10})
"""OpenSSL's numbers for a certificate that is not yet valid, or has expired."""
_REPEATABLE = frozenset({"GET", "PUT", "DELETE"})


class Transport:
    """A connection to the server ``server_id``, whichever of ``urls`` answers.

    ``gateway``: the server through which it is reached, if not directly.
    """

    def __init__(
        self,
        server_id: str,
        urls: Sequence[str],
        ca_pem: str,
        token: str = "",
        user: str = "",
        gateway: Gateway | None = None,
    ) -> None:
        self.server_id = server_id
        self.urls = tuple(url.rstrip("/") for url in urls)
        self._user = user
        self._token = token
        self._ca_pem = ca_pem
        self._extensions = server_name_extension(server_id)
        self._gateway = gateway
        self._http = httpx2.Client(
            verify=client_context(ca_pem),
            timeout=_TIMEOUT,
            follow_redirects=False,
            proxy=None if gateway is None else gateway.proxy(),
        )
        self._working = 0
        # A client that nobody closed must not leave its connections to the garbage collector.
        self._close = weakref.finalize(self, self._http.close)

    def __repr__(self) -> str:
        return f"Transport({self.server_id!r}, {self.urls!r})"

    @property
    def url(self) -> str:
        """The address that answered last."""
        return self.urls[self._working]

    def close(self) -> None:
        """End all connections."""
        self._close()

    def get(self, path: str, reply: type[T], /, **params: Any) -> T:
        """Fetch and read an answer.

        Raises:
            CopernicusError: What the server says, or that it does not answer.
        """
        return self._read(self._request("GET", path, params=params), reply)

    def post(self, path: str, body: Any, reply: type[T]) -> T:
        """Send a request and read its answer; errors as in ``get``."""
        return self._read(self._request("POST", path, content=msgspec.json.encode(body)), reply)

    def put(self, path: str, body: Any, reply: type[T]) -> T:
        """Put a value and read the answer; errors as in ``get``."""
        return self._read(self._request("PUT", path, content=msgspec.json.encode(body)), reply)

    def delete(self, path: str, reply: type[T], /, **params: Any) -> T:
        """Delete something and read what is left of it; errors as in ``get``."""
        return self._read(self._request("DELETE", path, params=params), reply)

    def send(self, method: str, path: str, body: Any = None) -> None:
        """Make a request whose answer is empty; errors as in ``get``."""
        self._request(method, path, content=None if body is None else msgspec.json.encode(body))

    def put_bytes(self, path: str, content: bytes) -> None:
        """Put raw bytes; errors as in ``get``."""
        self._request("PUT", path, content=content, kind="application/octet-stream")

    @contextmanager
    def bytes_from(self, path: str, start: int = 0) -> Iterator[Iterator[bytes]]:
        """The bytes at ``path`` from byte ``start`` on, piece by piece; errors as in ``get``."""
        headers = {"range": f"bytes={start}-"} if start else {}
        with self._stream(path, headers, _TIMEOUT) as response:
            if start and response.status_code != 206:
                raise InternalError("The server ignored the wish for a part of a file.")
            yield response.iter_bytes()

    @contextmanager
    def events_from(self, path: str, since: int | None) -> Iterator[Iterator[bytes]]:
        """The data of server-sent events after position ``since``; errors as in ``get``."""
        headers = {"accept": "text/event-stream", "cache-control": "no-store"}
        if since is not None:
            headers["last-event-id"] = str(since)
        with self._stream(path, headers, _STREAM_TIMEOUT) as response:
            source = httpx2.EventSource(response)
            yield (event.data.encode() for event in source if event.data)

    @contextmanager
    def _stream(
        self, path: str, headers: Mapping[str, str], timeout: httpx2.Timeout
    ) -> Iterator[httpx2.Response]:
        request = self._build("GET", self.url + path, headers=headers, timeout=timeout)
        with self._translated(self.url):
            response = self._http.send(request, stream=True)
            try:
                if response.status_code >= 400:
                    response.read()
                    self._refuse(response)
                yield response
            finally:
                response.close()

    def _request(self, method: str, path: str, kind: str = "", **options: Any) -> httpx2.Response:
        headers = {"content-type": kind or "application/json"} if options.get("content") else {}
        order = [*range(self._working, len(self.urls)), *range(self._working)]
        for number, index in enumerate(order):
            request = self._build(method, self.urls[index] + path, headers=headers, **options)
            try:
                with self._translated(self.urls[index]):
                    response = self._try(request)
            except ServerUnreachable:
                if number == len(order) - 1:
                    raise
                continue
            self._working = index
            if response.status_code >= 400:
                self._refuse(response)
            return response
        raise ServerUnreachable("This login knows no address of its server: cpc login")

    def _build(self, method: str, url: str, **options: Any) -> httpx2.Request:
        if self._http.is_closed:
            raise UserError("This client is closed: make a new Client")
        own = {PROTOCOL_HEADER: str(PROTOCOL), **host_header(self.server_id)}
        headers = {**own, **options.pop("headers", {})}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        params = {k: v for k, v in options.pop("params", {}).items() if v is not None}
        return self._http.build_request(
            method, url, headers=headers, params=params, extensions=self._extensions, **options
        )

    def _try(self, request: httpx2.Request) -> httpx2.Response:
        try:
            return self._http.send(request)
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
            # A kept connection that the server closed meanwhile: once more, on a new one.
            if request.method not in _REPEATABLE:
                raise
            return self._http.send(request)

    def _read(self, response: httpx2.Response, reply: type[T]) -> T:
        try:
            return msgspec.json.decode(response.content, type=reply)
        except msgspec.DecodeError as error:
            raise InternalError(
                f"{self.url} sent an answer that this version does not understand ({error}): "
                "use the same version of Copernicus on both sides"
            ) from error

    def _refuse(self, response: httpx2.Response) -> None:
        try:
            body = msgspec.json.decode(response.content, type=ErrorBody)
        except msgspec.DecodeError:
            raise InternalError(
                f"{self.url} refused with status {response.status_code} and no explanation"
            ) from None
        found = error_for_code(body.code)
        if found is NotAuthenticated and self._user:
            raise NotAuthenticated(f"{body.message.rstrip('.')} (log in again: cpc login)")
        raise found(body.message)

    @contextmanager
    def _translated(self, url: str) -> Iterator[None]:
        try:
            yield
        except httpx2.ProxyError as error:
            assert self._gateway is not None
            raise refused(self._gateway, error) from error
        except httpx2.TransportError as error:
            cause = _verification(error)
            if cause is not None and cause.verify_code in _DATES:
                note = self._ask_for_clock(url)
                if note:
                    raise ServerUnreachable(
                        f"The certificate of {url} is not valid now by the clock of this machine."
                        + note
                    ) from error
            where = url if self._gateway is None else self._gateway.url
            raise unreachable(where, self.server_id, error) from error

    def _ask_for_clock(self, url: str) -> str:
        """By how much the clocks differ, from the server itself, whatever its certificate's dates.

        Nothing but the time of the answer is taken from it.
        """
        context = client_context(self._ca_pem, check_dates=False)
        with contextlib.suppress(httpx2.TransportError):
            proxy = None if self._gateway is None else self._gateway.proxy()
            with httpx2.Client(verify=context, timeout=10.0, proxy=proxy) as http:
                reply = http.get(f"{url}/v1/health", extensions=self._extensions)
            return clock_note(reply.headers)
        return ""


def _verification(error: BaseException) -> ssl.SSLCertVerificationError | None:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause


def unreachable(url: str, server_id: str, error: Exception) -> CopernicusError:
    """What a failed connection means to a person."""
    refused = _verification(error)
    if refused is not None:
        return ServerUnreachable(
            f"What answers at {url} is not the server {server_id}, or its clock is wrong "
            f"({refused.verify_message}): check the address, or log in anew (cpc login)"
        )
    if isinstance(error, httpx2.ConnectError):
        return ServerUnreachable(
            f"Nothing answers at {url} ({_short(error)}): is the server running "
            "(cpc server start), and is its port open?"
        )
    if isinstance(error, httpx2.TimeoutException):
        return ServerUnreachable(f"The server at {url} does not answer in time: try again")
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return ServerUnreachable(f"{url!r} is no address: write for example https://host:14807")
    return ServerUnreachable(f"The connection to {url} broke ({_short(error)}): try again")


def _short(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text.removeprefix("[Errno 111] ").strip()
