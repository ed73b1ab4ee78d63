"""What a TLS context refuses to be made of."""

import ssl
from datetime import UTC, datetime

import pytest

from copernicus.errors import BadSettings
from copernicus.security.identity import Authority, create_authority
from copernicus.security.tls import client_context, server_context, server_name_extension


@pytest.fixture
def folder(tmp_path):
    create_authority(tmp_path / "id", ["cpc.example.org"], datetime.now(UTC))
    return tmp_path / "id"


@pytest.mark.parametrize("required", [True, False])
def test_a_server_speaks_tls_1_3_and_gives_no_tickets(folder, required):
    context = server_context(folder, require_client_certificate=required)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.num_tickets == 0
    assert context.verify_mode is (ssl.CERT_REQUIRED if required else ssl.CERT_NONE)
    assert len(context.get_ca_certs()) == (1 if required else 0)


def test_a_client_trusts_one_server_s_authority(folder):
    context = client_context(Authority.load(folder).ca_pem)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


def test_a_server_is_asked_for_by_its_id():
    assert server_name_extension("abc") == {"sni_hostname": "abc.cpc.internal"}


@pytest.mark.parametrize("name", [".", "ca.key", "server.key"])
def test_a_server_does_not_start_with_its_secrets_open(folder, name):
    (folder / name).chmod(0o755)
    with pytest.raises(BadSettings, match="open to other accounts"):
        server_context(folder, require_client_certificate=True)


def test_a_server_runs_while_its_authority_s_key_is_locked_away(folder):
    (folder / "ca.key").unlink()
    server_context(folder, require_client_certificate=True)


@pytest.mark.parametrize("name", ["ca.pem", "server.key", "server.pem"])
def test_a_missing_or_damaged_file_is_named(folder, name):
    path = folder / name
    path.write_text("nonsense")
    with pytest.raises(BadSettings, match=name):
        server_context(folder, require_client_certificate=True)
    path.unlink()
    with pytest.raises(BadSettings, match=rf"{name}.*No such file"):
        server_context(folder, require_client_certificate=True)


def test_a_key_of_something_else_is_refused(folder):
    (folder / "server.key").write_bytes((folder / "ca.key").read_bytes())
    with pytest.raises(BadSettings, match="do not belong together"):
        server_context(folder, require_client_certificate=False)


@pytest.mark.parametrize("pem", ["", "nonsense", "å"])
def test_an_authority_that_is_none_is_refused(folder, pem):
    with pytest.raises(BadSettings, match="The authority's certificate"):
        client_context(pem)
    with pytest.raises(BadSettings, match="A peer's"):
        server_context(folder, require_client_certificate=True, peer_ca_pems=[pem])


def test_a_worker_s_key_is_for_its_owner_only(folder):
    ca_pem = Authority.load(folder).ca_pem
    cert, key = folder / "server.pem", folder / "server.key"
    client_context(ca_pem, cert_file=cert, key_file=key)
    key.chmod(0o644)
    with pytest.raises(BadSettings, match="chmod 600"):
        client_context(ca_pem, cert_file=cert, key_file=key)
    with pytest.raises(BadSettings, match="both"):
        client_context(ca_pem, cert_file=cert)
