"""A tunnel leads to a peer's user port and to nothing else, for those who may, and not for ever."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.security.certificates import tls_name
from copernicus.security.tls import client_context
from support.e2e import wait_until
from support.places import Place, places
from support.server_client import PASSWORD, ScriptedWorker, User, ca_of


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Place]]:
    """The first works for the second, and both let people through."""
    with places(tmp_path_factory.mktemp("pair"), 2) as (near, far):
        near.works_for(far)
        for place, other in ((near, far), (far, near)):
            place.admin.call("PUT", f"/v1/peers/{other.id}", {"clients": 2})
        yield near, far


@contextlib.contextmanager
def raw(
    place: Place, context: ssl.SSLContext | None = None, url: str = ""
) -> Iterator[ssl.SSLSocket]:
    port = int((url or place.server.user_url).rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
        context = context or client_context(ca_of(place.server))
        with context.wrap_socket(plain, server_hostname=tls_name(place.id)) as tls:
            yield tls


def ask(tls: ssl.SSLSocket, target: str, token: str = "", more: str = "") -> str:
    """The first line of the answer to ``CONNECT``."""
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{more}"
    head += f"Authorization: Bearer {token}\r\n" if token else ""
    tls.sendall(f"{head}\r\n".encode())
    got = b""
    while b"\r\n\r\n" not in got and (piece := tls.recv(4096)):
        got += piece
    return got.decode().partition("\r\n")[0]


def test_fault_45_no_address_can_be_asked_for(pair: tuple[Place, Place]) -> None:
    near, far = pair
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.settimeout(0)
        port = canary.getsockname()[1]
        for target in (
            f"127.0.0.1:{port}",
            f"localhost:{port}",
            f"[::1]:{port}",
            f"{far.id}.cpc.internal.evil.example:{port}",
            f"127.0.0.1.cpc.internal:{port}",
            f"{near.id}.cpc.internal:{port}",
            f"user@{far.id}.cpc.internal:{port}",
        ):
            with raw(near) as tls:
                assert ask(tls, target, near.admin.token).startswith("HTTP/1.1 404 not_found: ")
        with pytest.raises(BlockingIOError):
            canary.accept()


def test_fault_45_only_users_and_peers_are_let_through(
    pair: tuple[Place, Place], tmp_path: Path
) -> None:
    near, far = pair
    target = f"{tls_name(far.id)}:443"
    with raw(near) as tls:
        assert ask(tls, target).startswith("HTTP/1.1 401 not_authenticated: Log in first")
    with raw(near) as tls:
        assert ask(tls, target, "cpcs_nothing_of_that_kind").startswith("HTTP/1.1 401 ")
    made = near.admin.call("POST", "/v1/me/tokens", {"name": "reads", "scope": "read", "days": 1.0})
    with raw(near) as tls:
        assert ask(tls, target, made["token"]).startswith("HTTP/1.1 403 not_allowed: ")
    worker = ScriptedWorker(far.server, far.admin, tmp_path / "worker")
    with raw(far, worker._context, far.server.machine_url) as tls:
        said = ask(tls, target)
        assert said == "HTTP/1.1 403 not_allowed: Only peers may let their users through."
    worker.close()
    # The far one cannot dial the near one, which dials it.
    with raw(far) as tls:
        assert "cannot dial" in ask(tls, f"{tls_name(near.id)}:443", far.admin.token)


def test_fault_44_tunnels_are_limited_and_end_with_the_right_to_them(
    pair: tuple[Place, Place],
) -> None:
    near, far = pair
    target = f"{tls_name(far.id)}:443"
    near.admin.call("POST", "/v1/users", {"name": "ann", "password": PASSWORD})
    ann = User(near.server, "ann")
    with raw(near) as first, raw(near) as second, raw(near) as third:
        assert ask(first, target, ann.token) == "HTTP/1.1 200 OK"
        assert ask(second, target, near.admin.token) == "HTTP/1.1 200 OK"
        assert ask(third, target, near.admin.token).startswith("HTTP/1.1 507 busy: 2 connections")
        ann.call("POST", "/v1/logout")
        assert ended(first)
        near.admin.call("POST", f"/v1/peers/{far.id}/suspend")
        assert ended(second)
    with raw(near) as tls:
        assert "it is suspended" in ask(tls, target, near.admin.token)
    near.admin.call("POST", f"/v1/peers/{far.id}/resume")

    def again() -> bool:
        with raw(near) as tls:
            return ask(tls, target, near.admin.token) == "HTTP/1.1 200 OK"

    wait_until(again, "a tunnel once more, the ended ones not counted")
    ann.close()


def ended(tls: ssl.SSLSocket) -> bool:
    try:
        return tls.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        return True
