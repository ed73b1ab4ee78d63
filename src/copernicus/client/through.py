"""Reaching a server through another one: a tunnel that only its two ends can look into.

The server in between is asked for the id of one of its peers (``CONNECT``), with the login that the
user has there. What then passes is TLS with the far server, whose key is pinned as ever.
"""

from __future__ import annotations

from dataclasses import dataclass

import httpx2

from copernicus.errors import CopernicusError, NotAllowed, NotAuthenticated, error_for_code
from copernicus.protocol import USER_PORT
from copernicus.security.certificates import tls_name
from copernicus.security.tls import gateway_context


@dataclass(frozen=True)
class Gateway:
    """A server that lets one through: its id, an address that answers, and the login there."""

    server_id: str
    url: str
    ca_pem: str
    token: str

    def __repr__(self) -> str:
        return f"Gateway({self.server_id!r}, {self.url!r})"

    def proxy(self) -> httpx2.Proxy:
        """It, as the library for HTTP wants it."""
        return httpx2.Proxy(
            self.url,
            ssl_context=gateway_context(self.ca_pem, self.server_id),
            headers={"authorization": f"Bearer {self.token}"},
        )


def far_url(server_id: str) -> str:
    """The address of a server that is reached through another one: its id is all that counts."""
    return f"https://{tls_name(server_id)}:{USER_PORT}"


def refused(gateway: Gateway, error: httpx2.ProxyError) -> CopernicusError:
    """What the server in between said instead of letting one through."""
    _, _, reason = str(error).partition(" ")
    code, _, message = reason.partition(": ")
    kind = error_for_code(code)
    if kind is NotAuthenticated:
        return NotAuthenticated(
            f"The server in between ({gateway.url}) does not take your login: {message} (cpc login)"
        )
    if kind is CopernicusError or not message:
        return NotAllowed(f"The server in between ({gateway.url}) lets nobody through: {error}")
    return kind(f"{message} (said by the server in between, {gateway.url})")
