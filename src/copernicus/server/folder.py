"""A server's folder: what is where in it, and how it is made.

``server.toml`` settings, ``identity/`` the authority and its certificates, ``cpc.db`` everything
durable but files, ``blobs/`` the files (or they are in a bucket), ``run/server.json`` where the
running server listens, ``client.cpc`` what users need to reach it.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from copernicus.errors import BadSettings, Conflict
from copernicus.security.bundle import ClientBundle, read_client_bundle, write_client_bundle
from copernicus.security.files import make_private_folder, write_private
from copernicus.security.identity import Authority, create_authority
from copernicus.security.passwords import hash_password
from copernicus.server.accounts import check_new_password
from copernicus.server.clock import wall
from copernicus.server.database import open_store
from copernicus.server.filestore import bucket_of
from copernicus.settings import SETTINGS_FILE, ServerSettings, load_settings, settings_toml
from copernicus.store.records import UserRecord

IDENTITY, RUN, CLIENT_BUNDLE = "identity", "run", "client.cpc"
ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """A server that has just been made. The password is shown once and stored nowhere."""

    folder: Path
    server_id: str
    names: tuple[str, ...]
    admin: str
    admin_password: str = field(repr=False)
    client_bundle: Path


class Running(msgspec.Struct, frozen=True):
    """What ``run/server.json`` says of the running server."""

    pid: int
    server_id: str
    host: str
    machine_port: int
    user_port: int
    started: float


def init_server(
    folder: Path,
    names: Sequence[str] = (),
    admin_password: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> ServerInfo:
    """Make a server: identity, database, the user ``admin``, settings, a bundle for clients.

    Args:
        folder: made with mode 0700.
        names: host names and addresses under which it will be reached; default: this machine's.
        admin_password: of ``admin``; default: a random one.
        settings: for ``server.toml``.

    Raises:
        Conflict: there is a server in the folder already.
        BadSettings: the folder cannot be used, or a setting is wrong.
        BadValue: the password is too short.
    """
    password = secrets.token_urlsafe(12) if admin_password is None else admin_password
    check_new_password(password)
    make_private_folder(folder)
    if (folder / SETTINGS_FILE).exists():
        raise Conflict(f"There is a server in {folder} already; it is never replaced.")
    kept = {**(settings or {}), "names": list(names) or list(own_names())}
    checked = load_settings(folder, kept, {})
    if checked.blobs:
        bucket_of(checked)
    create_authority(folder / IDENTITY, kept["names"], wall())
    with open_store(folder, checked, create=True) as store, store.transaction() as transaction:
        now = wall().timestamp()
        transaction.add_user(UserRecord(ADMIN, hash_password(password), admin=True, created=now))
        transaction.audit(
            at=now, actor="init", source="", action="server.init", object="", outcome="done"
        )
    # Last: its settings mark the server as complete.
    write_private(folder / SETTINGS_FILE, settings_toml(kept).encode())
    authority = Authority.load(folder / IDENTITY)
    found = load_settings(folder)
    write_bundle(folder, authority, found.names, found.user_port)
    return ServerInfo(
        folder, authority.server_id, found.names, ADMIN, password, folder / CLIENT_BUNDLE
    )


def own_names() -> tuple[str, ...]:
    """The names by which this machine knows itself."""
    found = [socket.gethostname(), socket.getfqdn(), "localhost", "127.0.0.1"]
    return tuple(dict.fromkeys(name for name in found if not name.endswith(".arpa")))


def write_bundle(folder: Path, authority: Authority, names: Sequence[str], port: int) -> None:
    """Bring the clients' bundle up to date; not while the port is unknown (0)."""
    if port == 0:
        return
    urls = tuple(f"https://{f'[{name}]' if ':' in name else name}:{port}" for name in names)
    bundle = ClientBundle(authority.server_id, urls, authority.ca_pem)
    path = folder / CLIENT_BUNDLE
    try:
        if read_client_bundle(path) == bundle:
            return
    except BadSettings:
        pass
    write_client_bundle(path, bundle)


def write_running(folder: Path, running: Running) -> None:
    """Tell where the server listens."""
    make_private_folder(folder / RUN)
    write_private(folder / RUN / "server.json", msgspec.json.encode(running))


def read_running(folder: Path) -> Running | None:
    """Where the server of this folder listens; ``None`` if none was started, or it has ended."""
    try:
        return msgspec.json.decode((folder / RUN / "server.json").read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None


def forget_running(folder: Path) -> None:
    """The server has ended."""
    (folder / RUN / "server.json").unlink(missing_ok=True)


def settings_of(folder: Path, overrides: Mapping[str, Any] | None = None) -> ServerSettings:
    """The settings of the server in a folder.

    Raises:
        BadSettings: there is no server in it, or a setting is wrong.
    """
    if not (folder / SETTINGS_FILE).exists():
        raise BadSettings(
            f"There is no server in {folder}: make one with 'cpc server init', or name its folder."
        )
    return load_settings(folder, overrides)
