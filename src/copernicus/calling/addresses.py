"""Addresses of servers as people write them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from urllib.parse import urlsplit

from copernicus.errors import BadSettings
from copernicus.protocol import USER_PORT

_MOST = 8


def server_url(text: str, purpose: str = "log in at") -> str:
    """An address as people write it, with scheme and port.

    Raises:
        BadSettings: It is none.
    """
    full = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(full)
        port = parts.port
    except ValueError:
        port, parts = None, urlsplit("")
    looks_like_file = text.endswith((".cpc", ".toml")) or (text.count("/") and "://" not in text)
    if parts.scheme != "https" or not parts.hostname or looks_like_file:
        kind = "there is no such file, and it is" if looks_like_file else "it is"
        raise BadSettings(
            f"Cannot {purpose} {text!r}: {kind} no address such as https://host:14807"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"https://{host}:{port or USER_PORT}"


def addresses(told: Iterable[str]) -> tuple[str, ...]:
    """The first few addresses that another server tells of itself, without those that are none."""
    found = []
    for text in told:
        with contextlib.suppress(BadSettings):
            found.append(server_url(text))
    return tuple(dict.fromkeys(found))[:_MOST]
