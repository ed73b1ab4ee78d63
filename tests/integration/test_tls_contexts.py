"""Two ports, who gets in, and the traps of TLS that let the wrong ones in."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from copernicus.security.asgi import server_config
from copernicus.security.certificates import (
    Issuer,
    build_worker_leaf,
    certificate_to_pem,
    key_to_pem,
    new_key,
    tls_name,
)
from copernicus.security.identity import (
    Authority,
    certificate_der,
    make_key_and_csr,
    sign_challenge,
    verify_challenge,
    verify_worker_certificate,
)
from copernicus.security.tls import (
    client_context,
    load_server_leaf,
    server_context,
    server_name_extension,
)
from support.tls_servers import (
    DAY,
    NEVER_RESOLVED,
    WhoAmI,
    connected,
    join,
    make_authority,
    save_pair,
    serving,
    utc_now,
)


@dataclass
class Site:
    folder: Path
    authority: Authority
    peer: Authority
    app: WhoAmI
    machine_context: ssl.SSLContext
    machine_port: int
    user_port: int
    worker: tuple[Path, Path]

    def context(self, pair: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        cert, key = pair or (None, None)
        return client_context(self.authority.ca_pem, cert_file=cert, key_file=key)

    def client(self, context: ssl.SSLContext, port: int) -> httpx2.Client:
        return httpx2.Client(
            verify=context, trust_env=False, timeout=30, base_url=f"https://127.0.0.1:{port}"
        )

    def get(self, context: ssl.SSLContext, port: int, server_id: str = "") -> httpx2.Response:
        extension = server_name_extension(server_id or self.authority.server_id)
        with self.client(context, port) as client:
            return client.get("/", extensions=extension)


@pytest.fixture(scope="module", params=[None, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def site(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    authority, peer = make_authority(folder / "ours"), make_authority(folder / "peer")
    app = WhoAmI(authority.ca_pem)
    machine = server_context(
        folder / "ours", require_client_certificate=True, peer_ca_pems=[peer.ca_pem]
    )
    user = server_context(folder / "ours", require_client_certificate=False)
    configs = [server_config(app, context, host="127.0.0.1", port=0) for context in (machine, user)]
    with serving(configs, request.param) as (machine_port, user_port):
        worker = join(authority, folder, "w-01")
        yield Site(folder, authority, peer, app, machine, machine_port, user_port, worker)


def test_a_worker_is_known_by_its_certificate(site):
    answer = site.get(site.context(site.worker), site.machine_port)

    der = certificate_der(site.worker[0].read_text())
    known = verify_worker_certificate(der, site.authority.ca_pem, utc_now())
    assert answer.status_code == 200
    assert answer.json()["worker"] == "w-01"
    assert answer.json()["fingerprint"] == known.fingerprint


def rogue_of_the_same_name(site: Site) -> tuple[Path, Path]:
    ca = x509.load_pem_x509_certificate(site.authority.ca_pem.encode())
    key, uri = new_key(), f"cpc://{site.authority.server_id}/worker/w-01"
    leaf = build_worker_leaf(Issuer(ca, new_key()), key.public_key(), uri, DAY, utc_now())
    return _save(site, "rogue", leaf, key)


def _save(site: Site, name: str, leaf: x509.Certificate, key: ec.EllipticCurvePrivateKey):
    return save_pair(site.folder, name, certificate_to_pem(leaf), key_to_pem(key).decode())


def without_a_certificate(site: Site) -> ssl.SSLContext:
    return site.context()


def with_an_expired_one(site: Site) -> ssl.SSLContext:
    return site.context(join(site.authority, site.folder, "old", since=utc_now() - 3 * DAY))


def with_one_of_the_future(site: Site) -> ssl.SSLContext:
    return site.context(join(site.authority, site.folder, "early", since=utc_now() + DAY))


def with_one_of_a_rogue_authority(site: Site) -> ssl.SSLContext:
    return site.context(rogue_of_the_same_name(site))


def with_the_server_s_own(site: Site) -> ssl.SSLContext:
    ours = site.folder / "ours"
    return site.context((ours / "server.pem", ours / "server.key"))


def with_tls_1_2(site: Site) -> ssl.SSLContext:
    context = site.context(site.worker)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


@pytest.mark.parametrize(
    "make_context",
    [
        without_a_certificate,
        with_an_expired_one,
        with_one_of_the_future,
        with_one_of_a_rogue_authority,
        with_the_server_s_own,
        with_tls_1_2,
    ],
)
def test_fault_41_the_machine_port_refuses(site, make_context):
    before = site.app.requests

    with pytest.raises(httpx2.TransportError):
        site.get(make_context(site), site.machine_port)

    assert site.app.requests == before


def test_the_user_port_asks_for_no_certificate_and_takes_none(site):
    assert site.get(site.context(), site.user_port).json()["certificate"] is False
    assert site.get(site.context(site.worker), site.user_port).json()["certificate"] is False


def test_the_user_port_refuses_tls_1_2(site):
    with pytest.raises(httpx2.ConnectError):
        site.get(with_tls_1_2(site), site.user_port)


def test_no_name_opens_the_machine_port_without_a_certificate(site):
    """One port that switches contexts by SNI lets such callers in; two ports do not."""
    before = site.app.requests
    for name in (tls_name(site.authority.server_id), NEVER_RESOLVED):
        with connected(site.machine_port, site.context(), name) as tls:
            assert _answer(tls) == b""
    assert site.app.requests == before


def _answer(tls: ssl.SSLSocket) -> bytes:
    try:
        tls.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return tls.recv(1)
    except OSError:
        return b""


def test_fault_43_a_trusted_peer_may_not_name_our_workers(site):
    key, uri = new_key(), f"cpc://{site.authority.server_id}/worker/w-01"
    issuer = Issuer(
        x509.load_pem_x509_certificate(site.peer.ca_pem.encode()), site.peer._issuer.key
    )
    liar = _save(
        site, "liar", build_worker_leaf(issuer, key.public_key(), uri, DAY, utc_now()), key
    )

    answer = site.get(site.context(liar), site.machine_port)

    assert answer.json()["certificate"] is True, (
        "TLS itself accepts it, because the peer is trusted"
    )
    assert answer.status_code == 401
    assert "not one of a worker of this server" in answer.json()["error"]


def test_a_server_is_known_by_its_id_not_its_address(site):
    context = site.context()
    assert site.get(context, site.user_port).status_code == 200
    with pytest.raises(httpx2.ConnectError, match="Hostname mismatch"):
        site.get(context, site.user_port, server_id="a" * 26)
    with site.client(context, site.user_port) as client, pytest.raises(httpx2.ConnectError):
        client.get("/")


def test_another_server_cannot_answer_under_the_id(site):
    context = client_context(site.peer.ca_pem)
    with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        site.get(context, site.user_port)


def _session_is_reused(site: Site, port: int) -> bool:
    context, name = site.context(site.worker), tls_name(site.authority.server_id)
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with connected(port, context, name) as tls:
        tls.sendall(request)
        while tls.recv(4096):
            pass
        session = tls.session
    with connected(port, context, name, session=session) as tls:
        return bool(tls.session_reused)


def test_fault_42_no_session_is_resumed_because_that_skips_the_dates(site):
    assert not _session_is_reused(site, site.machine_port)


def test_the_check_for_resumption_can_see_one(site):
    context = server_context(site.folder / "ours", require_client_certificate=True)
    context.num_tickets = 2
    with serving([server_config(site.app, context, host="127.0.0.1", port=0)]) as (port,):
        assert _session_is_reused(site, port)


def test_fault_42_an_open_connection_ends_with_its_certificate(site):
    extension = server_name_extension(site.authority.server_id)
    try:
        with site.client(site.context(site.worker), site.machine_port) as client:
            assert client.get("/", extensions=extension).status_code == 200
            site.app.clock = lambda: utc_now() + 2 * DAY
            late = client.get("/", extensions=extension)
    finally:
        site.app.clock = utc_now
    assert late.status_code == 401
    assert "expired" in late.json()["error"]


def _served_serial(site: Site) -> int:
    with connected(site.user_port, site.context(), NEVER_RESOLVED) as tls:
        return x509.load_der_x509_certificate(tls.getpeercert(binary_form=True)).serial_number


def test_a_renewed_leaf_is_served_without_a_restart(tmp_path):
    authority = make_authority(tmp_path / "ours")
    context = server_context(tmp_path / "ours", require_client_certificate=False)
    app = WhoAmI(authority.ca_pem)
    with serving([server_config(app, context, host="127.0.0.1", port=0)]) as (port,):
        alone = Site(tmp_path, authority, authority, app, context, port, port, (tmp_path, tmp_path))
        before = _served_serial(alone)
        assert authority.renew_leaf_if_due(utc_now(), [NEVER_RESOLVED, "10.0.0.7"])
        load_server_leaf(context, tmp_path / "ours")
        assert _served_serial(alone) != before


def test_an_expired_worker_proves_its_key_on_the_user_port(site):
    """The way back: TLS refuses the certificate, a signed challenge shows that the key is there."""
    key_pem, csr_pem = make_key_and_csr()
    cert_pem = site.authority.issue_worker(csr_pem, "w-02", DAY, utc_now() - 10 * DAY)
    der = certificate_der(cert_pem)

    identity = verify_worker_certificate(der, site.authority.ca_pem, utc_now(), grace=90 * DAY)

    assert identity.worker_id == "w-02"
    assert verify_challenge(cert_pem, b"nonce", sign_challenge(key_pem, b"nonce"))
