"""Bundles: the one small TOML file that tells a worker or a client where its server is.

The server's name is the hash of the authority in the same file, so half of a bundle cannot be
forged. A worker bundle also holds a join token: whoever reads it can add workers, until it expires.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from copernicus.errors import BadSettings
from copernicus.model.toml_text import read_toml
from copernicus.security.files import write_private
from copernicus.security.identity import server_id_of

FORMAT = 1

_CLIENT_KEYS = ("format", "server_id", "urls", "ca_pem")
_WORKER_KEYS = (*_CLIENT_KEYS, "join_urls", "pool", "join_token", "expires")


@dataclass(frozen=True, slots=True)
class ClientBundle:
    """What a user's programs need: ``urls`` of the user port, tried in order."""

    server_id: str
    urls: tuple[str, ...]
    ca_pem: str


@dataclass(frozen=True, slots=True)
class WorkerBundle:
    """What a worker needs: ``urls`` of the machine port, ``join_urls`` of the user port.

    ``expires`` (aware) is the end of the join token, not of the workers that joined with it.
    """

    server_id: str
    urls: tuple[str, ...]
    join_urls: tuple[str, ...]
    ca_pem: str
    pool: str
    join_token: str = field(repr=False)
    expires: datetime


def write_client_bundle(path: Path, bundle: ClientBundle) -> None:
    """Write or replace the file, with mode 0600.

    Raises:
        BadSettings: the bundle contradicts itself, or the file cannot be written.
    """
    _write(path, _client_fields(bundle))


def write_worker_bundle(path: Path, bundle: WorkerBundle) -> None:
    """Write or replace the file, with mode 0600.

    Raises:
        BadSettings: the bundle contradicts itself, or the file cannot be written.
    """
    if bundle.expires.tzinfo is None:
        raise BadSettings("A bundle's 'expires' needs a time zone.")
    _write(
        path,
        {
            **_client_fields(bundle),
            "join_urls": list(bundle.join_urls),
            "pool": bundle.pool,
            "join_token": bundle.join_token,
            "expires": bundle.expires.astimezone(UTC).replace(microsecond=0),
        },
    )


def read_client_bundle(path: Path) -> ClientBundle:
    """Read and check a client bundle.

    Raises:
        BadSettings: not TOML, another format, a key missing, wrong or unknown, or a forged id.
    """
    fields = _read(path, _CLIENT_KEYS)
    return ClientBundle(fields.text("server_id"), fields.urls("urls"), fields.text("ca_pem"))


def read_worker_bundle(path: Path, now: datetime | None) -> WorkerBundle:
    """Read and check a worker bundle.

    Args:
        path: the file.
        now: aware time, to refuse an expired bundle; None for a worker that has joined already
            and needs only the addresses.

    Raises:
        BadSettings: not TOML, another format, a key missing, wrong or unknown, a forged id, or
            expired.
    """
    fields = _read(path, _WORKER_KEYS)
    bundle = WorkerBundle(
        server_id=fields.text("server_id"),
        urls=fields.urls("urls"),
        join_urls=fields.urls("join_urls"),
        ca_pem=fields.text("ca_pem"),
        pool=fields.text("pool"),
        join_token=fields.text("join_token"),
        expires=fields.moment("expires"),
    )
    if now is not None and now >= bundle.expires:
        raise BadSettings(
            f"{path} expired at {bundle.expires.isoformat()}. Ask the server's administrator for "
            "a new one (cpc worker bundle)."
        )
    return bundle


@dataclass(frozen=True, slots=True)
class _Fields:
    """The parsed file, read key by key with errors that name file and key."""

    path: Path
    values: Mapping[str, Any] = field(repr=False)

    def text(self, key: str) -> str:
        value = self.values[key]
        if not isinstance(value, str) or not value:
            raise self._wrong(key, "a text that is not empty")
        return value

    def urls(self, key: str) -> tuple[str, ...]:
        value = self.values[key]
        if not isinstance(value, list) or not value or not all(_is_server_url(u) for u in value):
            raise self._wrong(key, "a list of addresses such as 'https://host:14807'")
        return tuple(value)

    def moment(self, key: str) -> datetime:
        value = self.values[key]
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise self._wrong(key, "a time with its zone, such as 2027-01-31T00:00:00Z")
        return value

    def _wrong(self, key: str, wanted: str) -> BadSettings:
        return BadSettings(f"{self.path}: '{key}' must be {wanted}.")


def _is_server_url(url: object) -> bool:
    if not isinstance(url, str):
        return False
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    plain = parts.path in ("", "/") and not (parts.query or parts.fragment or "@" in parts.netloc)
    return parts.scheme == "https" and named and plain


def _read(path: Path, keys: Sequence[str]) -> _Fields:
    values = _parse(path)
    if values.get("format") != FORMAT or isinstance(values["format"], bool):
        raise BadSettings(
            f"{path} has format {values.get('format')!r}; this version of Copernicus reads "
            f"format {FORMAT}. Make the bundle anew, or install the version that made it."
        )
    _check_keys(path, values, keys)
    fields = _Fields(path, values)
    _check_server_id(str(path), fields.text("server_id"), fields.text("ca_pem"))
    return fields


def _parse(path: Path) -> dict[str, Any]:
    try:
        return read_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(f"Cannot read the bundle {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        # Not chained and not quoted: the parser's message may show the token.
        raise BadSettings(f"{path} is not a bundle: it is not valid TOML.") from None


def _check_keys(path: Path, values: Mapping[str, Any], keys: Sequence[str]) -> None:
    if keys is _CLIENT_KEYS and "join_token" in values:
        raise BadSettings(f"{path} is a bundle for workers; a client needs a client bundle.")
    if keys is _WORKER_KEYS and set(values) == set(_CLIENT_KEYS):
        raise BadSettings(f"{path} is a bundle for clients; a worker needs a worker bundle.")
    missing = [key for key in keys if key not in values]
    if missing:
        raise BadSettings(f"{path} is not complete: {', '.join(missing)} missing.")
    unknown = sorted(set(values) - set(keys))
    if unknown:
        raise BadSettings(f"{path} has keys that format {FORMAT} does not know: {unknown}.")


def _check_server_id(source: str, server_id: str, ca_pem: str) -> None:
    try:
        proven = server_id_of(ca_pem)
    except BadSettings as error:
        raise BadSettings(f"{source}: 'ca_pem' is not a certificate.") from error
    if proven != server_id:
        raise BadSettings(
            f"{source}: 'ca_pem' belongs to the server {proven}, not to {server_id}. "
            "The bundle was changed; do not use it."
        )


def _client_fields(bundle: ClientBundle | WorkerBundle) -> dict[str, Any]:
    _check_server_id("The bundle", bundle.server_id, bundle.ca_pem)
    return {
        "format": FORMAT,
        "server_id": bundle.server_id,
        "urls": list(bundle.urls),
        "ca_pem": bundle.ca_pem,
    }


def _write(path: Path, values: Mapping[str, Any]) -> None:
    lines = [f"{key} = {_toml(value)}\n" for key, value in values.items()]
    write_private(path, "".join(lines).encode("utf-8"))


def _toml(value: Any) -> str:
    if isinstance(value, str):
        # JSON strings are TOML basic strings, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value)
