"""Strangers at the ports: slow, oversized, malformed, repeated, and guessing requests."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator

import httpx2
import msgspec
import psutil
import pytest

from copernicus.protocol import BlobManifest, ChunkRef, LeaseReply, LeaseRequest, ResultRequest
from copernicus.security.certificates import tls_name
from copernicus.security.tls import client_context
from copernicus.server.embedded import EmbeddedServer
from copernicus.server.http import limits
from support.server_client import (
    User,
    add,
    ca_of,
    define,
    echo_function,
    set_input,
)
from support.tls_servers import connected

MIB = 1 << 20


@pytest.fixture(scope="module")
def server_settings():
    with pytest.MonkeyPatch.context() as patch:
        # As the real ones, but so that the test need not wait for half a minute.
        patch.setattr(limits, "STALL_S", 1.0)
        patch.setattr(limits, "GRACE_S", 2.0)
        yield {"worker_certificate_s": 86400.0}


@pytest.fixture(scope="module")
def admin(server):
    user = User(server, "admin")
    user.call("POST", "/v1/projects", {"name": "p"})
    user.edit("p", define(echo_function()), add("one"))
    yield user
    user.close()


@contextlib.contextmanager
def raw(server: EmbeddedServer) -> Iterator[ssl.SSLSocket]:
    name = tls_name(server.running.server_id)
    with connected(server.running.user_port, client_context(ca_of(server)), name) as tls:
        yield tls


def answer(tls: ssl.SSLSocket) -> bytes:
    """All that comes until the other side ends the connection."""
    said = b""
    try:
        while piece := tls.recv(65536):
            said += piece
    except OSError:
        pass
    return said


def status_of(said: bytes) -> int:
    """0: cut without a word."""
    return int(said.split(b" ", 2)[1]) if said.startswith(b"HTTP/1.1 ") else 0


def request(server: EmbeddedServer, head: bytes, body: bytes = b"") -> int:
    """The status of a request as it is written here, byte by byte."""
    with raw(server) as tls:
        try:
            tls.sendall(head + b"Connection: close\r\n\r\n" + body)
        except OSError:
            return status_of(answer(tls))
        return status_of(answer(tls))


# --- 32, 33: slow and big -----------------------------------------------------------------------


def test_fault_32_a_body_that_stalls_is_cut(server, admin):
    with raw(server) as tls:
        tls.sendall(
            b"POST /v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b'Content-Length: 1000\r\n\r\n{"user":'
        )
        assert status_of(answer(tls)) in (0, 408)
    assert admin.get("/v1/me")["name"] == "admin"


def test_fault_32_three_hundred_slow_ones_hold_nobody_up(server, admin):
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            # No hello at all, no request, and half a head.
            stack.enter_context(
                socket.create_connection(("127.0.0.1", server.running.user_port), timeout=30)
            )
            stack.enter_context(raw(server))
            stack.enter_context(raw(server)).sendall(b"GET /v1/health HT")
        for _ in range(20):
            assert admin.get("/v1/me")["name"] == "admin"


def test_fault_33_a_body_larger_than_allowed_is_refused_before_it_is_sent(server, admin):
    for path, size in (
        ("/v1/login", 17 * MIB),
        ("/v1/login", 10**15),
        ("/v1/projects/p/edits", 10**12),
        (f"/v1/projects/p/chunks/{'0' * 64}", 2 * MIB),
    ):
        method = b"PUT" if "chunks" in path else b"POST"
        head = (
            method
            + f" {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {admin.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {size}\r\n".encode()
        )
        assert request(server, head) == 413


def test_fault_33_a_body_without_a_length_is_counted_as_it_comes(server, admin):
    def endless() -> Iterator[bytes]:
        while True:
            yield b" " * MIB

    before = psutil.Process().memory_info().rss
    with contextlib.suppress(httpx2.TransportError):
        reply = admin.http.post(
            "/v1/login", content=endless(), headers={"Content-Type": "application/json"}
        )
        assert reply.status_code == 413
    assert psutil.Process().memory_info().rss - before < 200 * MIB
    assert admin.get("/v1/me")["name"] == "admin"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 40_000,
        b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
        + b"a" * 60_000
        + b"\r\n",
    ],
    ids=["path", "header", "headers", "token"],
)
def test_fault_33_an_oversized_head_is_refused(server, admin, head):
    assert request(server, head) in (0, 400, 401, 404, 414, 431)
    assert admin.get("/v1/me")["name"] == "admin"


def test_fault_33_a_manifest_of_a_million_chunks_is_refused(admin):
    chunks = tuple(ChunkRef("0" * 64, MIB) for _ in range(1000))
    blob = msgspec.to_builtins(BlobManifest("1" * 64, 1000 * MIB, chunks))
    admin.refused(409, "conflict", "POST", "/v1/projects/p/blobs", blob)
    piece = b'{"sha256":"' + b"0" * 64 + b'","size":1048576},'
    body = b'{"sha256":"' + b"1" * 64 + b'","size":1,"chunks":[' + piece * 1_000_000
    reply = admin.send(
        "POST",
        "/v1/projects/p/blobs",
        content=body[:-1] + b"]}",
        headers={"Content-Type": "application/json"},
    )
    assert reply.status_code == 413


# --- 34: malformed ------------------------------------------------------------------------------

DEEP = 100_000
BOMBS = {
    "arrays": b"[" * DEEP,
    "closed arrays": b"[" * DEEP + b"]" * DEEP,
    "objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "value arrays": b'{"edits":[{"type":"set_input","target":"one.in.text","value":'
    + b"[" * DEEP
    + b"]" * DEEP
    + b"}]}",
    "NaN": b'{"edits": NaN}',
    "infinite": b'{"edits":[{"type":"set_input","target":"one.in.n","value":1e999}]}',
    "5000 digits": b'{"edits":[{"type":"set_input","target":"one.in.n","value":'
    + b"9" * 5000
    + b"}]}",
    "30 digits": b'{"edits":[{"type":"set_input","target":"one.in.n","value":' + b"9" * 30 + b"}]}",
    "surrogate": b'{"edits":[{"type":"set_input","target":"one.in.text","value":"\\ud800"}]}',
    "invalid UTF-8": b'{"edits":[{"type":"set_input","target":"one.in.text","value":"\xff"}]}',
    "no object": b'"text"',
    "nothing": b"",
    "null bytes": b"\x00" * 1000,
    "duplicate keys": b'{"edits":[],"edits":5}',
    "entities": b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "target": b'{"edits":[{"type":"set_input","target":"' + b"a/" * 50_000 + b'.in.x","value":1}]}',
    "brackets": b'{"edits":[{"type":"set_input","target":"' + b"[" * 50_000 + b'","value":1}]}',
    "index": b'{"edits":[{"type":"set_input","target":"one.in.text['
    + b"9" * 5000
    + b']","value":1}]}',
}


@pytest.mark.parametrize("name", BOMBS)
def test_fault_34_malformed_and_exploding_json_is_refused(admin, name):
    before = admin.get("/v1/projects/p")["revision"]
    reply = admin.send(
        "POST",
        "/v1/projects/p/edits",
        content=BOMBS[name],
        headers={"Content-Type": "application/json"},
    )
    assert 400 <= reply.status_code < 500, (reply.status_code, reply.text[:300])
    assert json.loads(reply.content)["code"]
    assert len(reply.content) < 20_000
    assert admin.get("/v1/projects/p")["revision"] == before


@pytest.mark.parametrize(
    "body",
    [
        b"\x91" * DEEP,
        b"\x81\xa1a" * DEEP,
        b"\xdd\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xc1",
        b"",
        b"\xc7\x10\xff" + b"\x00" * 16,
        b"\xa4\xff\xff\xff\xff",
    ],
    ids=["arrays", "maps", "long array", "long bytes", "unused", "nothing", "ext", "utf-8"],
)
@pytest.mark.parametrize("route", ["lease", "heartbeat", "checkpoint", "partial", "result"])
def test_fault_34_malformed_and_exploding_msgpack_is_refused(worker, route, body):
    reply = worker.http.post(f"/v1/work/{route}", content=body)
    assert 400 <= reply.status_code < 500, (reply.status_code, reply.content[:300])
    assert msgspec.msgpack.decode(reply.content)["code"]


def test_fault_34_a_compressed_body_is_not_unpacked(admin):
    """So no small body becomes a big one; what the client compresses is not JSON to the server."""
    import gzip

    bomb = gzip.compress(b" " * (64 * MIB))
    reply = admin.send(
        "POST",
        "/v1/projects/p/edits",
        content=bomb,
        headers={"Content-Type": "application/json", "Content-Encoding": "gzip"},
    )
    assert 400 <= reply.status_code < 500


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nHost : b\r\n",
        b"GET /v1/health HTTP/1.1\r\n Host: localhost\r\n",
        b"GET /v1/../v1/health HTTP/1.1\r\nHost: localhost\r\n",
        b"GET //v1/projects HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /..%2f..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/projects%00 HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/projects/%ff%fe HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/projects/p%0d%0aX:%20y HTTP/1.1\r\nHost: localhost\r\n",
        b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: localhost\r\n",
        b"CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: localhost\r\n",
        b"TRACE / HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/\xff\xfe HTTP/1.1\r\nHost: localhost\r\n",
        b"GET /v1/projects HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\xfe\r\n",
        b"GET /v1/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic YWRtaW46YWRtaW4=\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x00\x01\x02\x03\r\n",
    ],
)
def test_fault_34_tricks_with_heads_and_paths_open_nothing(server, admin, head):
    status = request(server, head)
    healthy = status == 200 and b"health" in head
    assert healthy or status == 0 or 300 <= status < 500, status
    assert admin.get("/v1/me")["name"] == "admin"


def test_fault_34_two_requests_are_not_smuggled_as_one(server):
    with raw(server) as tls:
        tls.sendall(
            b"POST /v1/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /v1/health HTTP/1.1\r\nHost: a\r\n\r\n"
        )
        assert b"server_id" not in answer(tls)


# --- 38: replayed -------------------------------------------------------------------------------


def test_fault_38_a_request_sent_again_on_another_connection_has_no_second_effect(
    server, admin, worker
):
    admin.call("POST", "/v1/projects", {"name": "again"})
    admin.edit("again", define(echo_function()), add("one"), set_input("one.in.text", "x"))
    asked = LeaseRequest("the-same", worker.offer(), 5.0)
    (job,) = worker.ask("lease", asked, LeaseReply).assignments
    done = ResultRequest(job.attempt, 1, "completed", {"said": "first"})
    assert worker.ask("result", done, None) is None
    before = admin.get("/v1/projects/again/journal")
    worker.at(server)
    for _ in range(3):
        reply = worker.send("result", done)
        assert msgspec.msgpack.decode(reply.content)["verdict"] == "already"
    other = msgspec.structs.replace(done, seq=2, outputs={"said": "second"})
    assert msgspec.msgpack.decode(worker.send("result", other).content)["verdict"] == "superseded"
    assert worker.ask("lease", asked, LeaseReply).assignments == ()
    assert admin.get("/v1/projects/again/journal") == before
    assert admin.get("/v1/projects/again/value", path="one.out.said")["value"] == "first"
