"""What a server sends to the address of a peer, and to whom: canaries listen on loopback."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from copernicus.security.identity import Authority, create_authority
from copernicus.security.peering import invitation, read_invitation
from copernicus.security.tls import server_context
from copernicus.server.clock import wall
from copernicus.server.embedded import EmbeddedServer
from support.server_client import PASSWORD, User, ca_of

Answers = dict[str, tuple[int, dict[str, str], bytes]]


class Canary:
    """A TLS server with the key of this folder, and all that it was sent."""

    def __init__(self, identity: Path, answers: Answers) -> None:
        self.heard: list[tuple[str, bytes]] = []
        canary = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                size = int(self.headers.get("content-length", 0))
                canary.heard.append((self.path, self.rfile.read(size)))
                status, headers, body = answers[self.path]
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer  # noqa: N815  # names of the standard library

            def log_message(self, *_: object) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = server_context(identity, require_client_certificate=False)
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )
        self.url = f"https://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedServer]:
    _, server = EmbeddedServer.make(tmp_path_factory.mktemp("one") / "s", PASSWORD, {})
    with server:
        yield server


@pytest.fixture
def admin(server: EmbeddedServer) -> Iterator[User]:
    user = User(server, "admin")
    yield user
    user.close()


def identity(folder: Path) -> Authority:
    create_authority(folder, ["127.0.0.1"], wall())
    return Authority.load(folder)


def health(server_id: str, ca_pem: str) -> tuple[int, dict[str, str], bytes]:
    said = {"server_id": server_id, "version": "1", "protocol": 1, "time": 0.0, "ca_pem": ca_pem}
    return 200, {"content-type": "application/json"}, json.dumps(said).encode()


@contextlib.contextmanager
def canary(folder: Path, answers: Answers) -> Iterator[Canary]:
    made = Canary(folder, answers)
    try:
        yield made
    finally:
        made.close()


def test_fault_45_a_liar_with_the_name_of_a_peer_hears_nothing_but_who_is_there(
    server: EmbeddedServer, admin: User, tmp_path: Path
) -> None:
    """It shows the authority of the peer, whose key it does not have."""
    wanted = identity(tmp_path / "wanted")
    identity(tmp_path / "liar")
    answers = {"/v1/health": health(wanted.server_id, wanted.ca_pem)}
    with canary(tmp_path / "liar", answers) as liar:
        _, secret = read_invitation(admin.call("POST", "/v1/peers/invitations", {})["token"])
        token = invitation(wanted.server_id, secret)
        body = {"url": liar.url, "token": token}
        assert admin.send("POST", "/v1/peers", body).status_code == 502
        assert liar.heard == [("/v1/health", b"")]
    # Nor does one that says openly that it is somebody else.
    with canary(tmp_path / "liar", {"/v1/health": health("", ca_of(server))}) as liar:
        body = {"url": liar.url, "server_id": wanted.server_id}
        assert admin.send("POST", "/v1/peers", body).status_code == 502
        assert liar.heard == [("/v1/health", b"")]
    assert admin.get("/v1/peers") == []


@pytest.mark.parametrize("where", ["/v1/health", "/v1/peers/join"])
def test_fault_45_a_peer_that_owns_its_key_cannot_send_this_server_elsewhere(
    admin: User, tmp_path: Path, where: str
) -> None:
    peer = identity(tmp_path / "peer")
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.setblocking(False)
        target = f"https://127.0.0.1:{elsewhere.getsockname()[1]}/v1/health"
        answers = {"/v1/health": health(peer.server_id, peer.ca_pem)}
        answers[where] = (307, {"location": target}, b"")
        with canary(tmp_path / "peer", answers) as asked:
            body = {"url": asked.url, "server_id": peer.server_id}
            assert admin.send("POST", "/v1/peers", body).status_code == 502
            assert asked.heard[-1][0] == where
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
