"""Connections that hold a server up: cut while no request is complete, else left alone."""

import pytest
import uvloop

from copernicus.security.asgi import PeerCertificateProtocol, server_config
from copernicus.security.tls import client_context, server_context
from support.tls_servers import NEVER_RESOLVED, WhoAmI, connected, make_authority, serving

REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Hasty(PeerCertificateProtocol):
    HEADER_DEADLINE = 1.0
    HEADER_LIMIT = 2_000


class Patient(Hasty):
    HEADER_DEADLINE = 100.0


@pytest.fixture(scope="module", params=[None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def port_app_and_context(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("slow") / "ours"
    authority = make_authority(folder)
    app = WhoAmI(authority.ca_pem)
    context = server_context(folder, require_client_certificate=False)
    configs = [server_config(app, context, host="127.0.0.1", port=0) for _ in range(2)]
    for config, protocol in zip(configs, (Hasty, Patient), strict=True):
        config.http = protocol
    with serving(configs, request.param) as ports:
        yield ports, app, client_context(authority.ca_pem)


@pytest.fixture
def connect(port_app_and_context):
    ports, _, context = port_app_and_context
    return lambda: connected(ports[0], context, NEVER_RESOLVED)


@pytest.fixture
def connect_patiently(port_app_and_context):
    ports, _, context = port_app_and_context
    return lambda: connected(ports[1], context, NEVER_RESOLVED)


@pytest.fixture
def app(port_app_and_context):
    app = port_app_and_context[1]
    app.release.clear()
    yield app
    app.release.set()


def is_cut(tls) -> bool:
    """Wait for the end of the connection; True if nothing came before it."""
    try:
        return tls.recv(1) == b""
    except TimeoutError:
        raise
    except OSError:
        return True


def read_answer(tls) -> bytes:
    answer = b""
    while b"}" not in answer:
        part = tls.recv(4096)
        assert part, answer
        answer += part
    return answer


def test_fault_32_a_connection_without_a_request_is_cut(connect):
    with connect() as tls:
        assert is_cut(tls)


def test_fault_32_half_a_head_is_cut(connect):
    with connect() as tls:
        tls.sendall(REQUEST[:20])
        assert is_cut(tls)


def test_fault_32_dripping_a_head_does_not_buy_time(connect):
    with connect() as tls:
        tls.settimeout(0.05)
        tls.sendall(REQUEST[:20])
        dripped = 0
        while dripped < 200:
            try:
                assert is_cut(tls)
                break
            except TimeoutError:
                dripped += 1
                try:
                    tls.sendall(b"a")
                except OSError:
                    break
        assert 0 < dripped < 100


def test_the_second_request_has_its_own_deadline(connect, app):
    with connect() as tls:
        tls.sendall(REQUEST)
        assert read_answer(tls).startswith(b"HTTP/1.1 200")
        tls.sendall(REQUEST[:20])
        assert is_cut(tls)


def test_blank_lines_after_a_request_do_not_keep_a_connection(connect):
    with connect() as tls:
        tls.sendall(REQUEST)
        read_answer(tls)
        tls.sendall(b"\r\n")
        assert is_cut(tls)


def test_an_answer_may_take_longer_than_a_head(connect, app):
    with connect() as waiting, connect() as silent:
        waiting.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        assert is_cut(silent), "the younger connection's deadline is over"
        app.release.set()
        assert read_answer(waiting).startswith(b"HTTP/1.1 200")


def test_a_body_may_take_longer_than_a_head(connect, app):
    with connect() as sending, connect() as silent:
        sending.sendall(b"PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nabcd")
        assert is_cut(silent), "the younger connection's deadline is over"
        sending.sendall(b"efgh")
        assert b'"size": 8' in read_answer(sending)


def test_requests_in_one_packet_are_all_answered(connect_patiently, app):
    with connect_patiently() as tls:
        tls.sendall(REQUEST * 3)
        for _ in range(3):
            assert b"certificate" in read_answer(tls)


def test_an_idle_connection_is_kept_after_an_answer(connect, app):
    with connect() as kept:
        kept.sendall(REQUEST)
        read_answer(kept)
        with connect() as silent:
            assert is_cut(silent), "the younger connection's deadline is over"
        kept.sendall(REQUEST)
        assert read_answer(kept).startswith(b"HTTP/1.1 200")


def test_fault_33_an_endless_head_is_cut_at_its_limit(connect_patiently, app):
    before = app.requests
    with connect_patiently() as tls:
        tls.sendall(REQUEST[:-2] + b"X: ")
        with pytest.raises(OSError):
            send_much(tls)
    assert app.requests == before


def send_much(tls) -> None:
    for _ in range(4000):
        tls.sendall(b"a" * 8192)


def test_a_big_body_is_no_big_head(connect_patiently, app):
    size = 300 * Hasty.HEADER_LIMIT
    with connect_patiently() as tls:
        head = f"PUT /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n"
        tls.sendall(head.encode() + b"a" * size)
        assert f'"size": {size}'.encode() in read_answer(tls)


def test_an_upload_refused_early_is_read_to_its_end(connect_patiently, app):
    size = 300 * Hasty.HEADER_LIMIT
    with connect_patiently() as tls:
        tls.sendall(f"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
        assert read_answer(tls).startswith(b"HTTP/1.1 200")
        tls.sendall(b"a" * size)
        tls.sendall(REQUEST)
        assert read_answer(tls).startswith(b"HTTP/1.1 200")
