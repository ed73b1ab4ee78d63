"""Certificates: who issues what to whom, and what is believed."""

import stat
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from copernicus.errors import BadSettings, BadValue, Conflict, NotAuthenticated
from copernicus.security import certificates
from copernicus.security.certificates import (
    Issuer,
    build_authority,
    build_server_leaf,
    build_worker_leaf,
    certificate_to_pem,
    names_of,
    new_key,
    server_id_of_key,
)
from copernicus.security.identity import (
    Authority,
    certificate_der,
    certificate_validity,
    create_authority,
    make_key_and_csr,
    server_id_of,
    sign_challenge,
    verify_challenge,
    verify_worker_certificate,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path):
    create_authority(tmp_path / "id", ["cpc.example.org", "10.0.0.7", "::1"], NOW)
    return Authority.load(tmp_path / "id")


def leaf_of(authority):
    return x509.load_pem_x509_certificate((authority._folder / "server.pem").read_bytes())


def issue(authority, worker_id="w-01"):
    key_pem, csr_pem = make_key_and_csr()
    return key_pem, authority.issue_worker(csr_pem, worker_id, DAY, NOW)


def test_the_files_are_for_their_owner_only(authority, tmp_path):
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "id").iterdir()}
    assert modes == dict.fromkeys(("ca.key", "ca.pem", "server.key", "server.pem"), 0o600)
    assert stat.S_IMODE((tmp_path / "id").stat().st_mode) == 0o700


def test_the_server_id_is_the_hash_of_the_authority_s_key(authority):
    assert server_id_of(authority.ca_pem) == authority.server_id
    assert len(authority.server_id) == 26
    assert authority.server_id == authority.server_id.lower()


def test_the_leaf_names_the_id_before_the_addresses(authority):
    expected = [f"{authority.server_id}.cpc.internal", "cpc.example.org", "10.0.0.7", "::1"]
    assert names_of(leaf_of(authority)) == expected


def test_an_identity_is_never_replaced(authority, tmp_path):
    with pytest.raises(Conflict, match="never replaced"):
        create_authority(tmp_path / "id", ["a"], NOW)
    assert Authority.load(tmp_path / "id").server_id == authority.server_id


def test_a_creation_that_was_cut_off_can_be_repeated(authority, tmp_path):
    (tmp_path / "id" / "ca.key").unlink()
    create_authority(tmp_path / "id", ["a"], NOW)
    assert Authority.load(tmp_path / "id").server_id != authority.server_id


@pytest.mark.parametrize("name", ["", "no spaces", "a..b", "x" * 64 + ".org", "b\udc80d", "*"])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    with pytest.raises(BadSettings, match="neither a host name nor an IP address"):
        create_authority(tmp_path / "id", [name], NOW)


def test_names_in_any_script_and_of_any_length_work(tmp_path):
    long = ".".join(["x" * 60] * 3)
    create_authority(tmp_path / "id", ["räknare.example", long], NOW)
    assert names_of(leaf_of(Authority.load(tmp_path / "id")))[1:] == [
        "xn--rknare-bua.example",
        long,
    ]


def test_a_folder_open_to_others_is_refused(authority, tmp_path):
    (tmp_path / "id" / "ca.key").chmod(0o640)
    with pytest.raises(BadSettings, match=r"ca.key is open to other accounts .*chmod 600"):
        Authority.load(tmp_path / "id")


def test_a_missing_or_damaged_key_is_named(authority, tmp_path):
    key = tmp_path / "id" / "ca.key"
    key.write_bytes(b"nonsense")
    with pytest.raises(BadSettings, match="not a private key"):
        Authority.load(tmp_path / "id")
    key.unlink()
    with pytest.raises(BadSettings, match=r"Cannot read .*ca.key: No such file"):
        Authority.load(tmp_path / "id")


def test_a_key_of_another_authority_is_refused(authority, tmp_path):
    create_authority(tmp_path / "other", ["a"], NOW)
    (tmp_path / "other" / "ca.key").replace(tmp_path / "id" / "ca.key")
    with pytest.raises(BadSettings, match="do not belong together"):
        Authority.load(tmp_path / "id")


def test_the_leaf_is_renewed_at_two_thirds_of_its_life(authority):
    first = leaf_of(authority)
    assert not authority.renew_leaf_if_due(NOW + 59 * DAY)
    assert authority.renew_leaf_if_due(NOW + 61 * DAY)
    renewed = leaf_of(authority)
    assert names_of(renewed) == names_of(first)
    assert renewed.public_key() == first.public_key()
    assert renewed.not_valid_after_utc == NOW + 151 * DAY


def test_the_leaf_is_renewed_when_the_names_change(authority):
    names = ["NEW.räknare.example", "2001:0db8::0001"]
    assert authority.renew_leaf_if_due(NOW, names)
    assert not authority.renew_leaf_if_due(NOW, names)
    assert names_of(leaf_of(authority))[1:] == ["new.xn--rknare-bua.example", "2001:db8::1"]


def test_a_worker_is_who_its_certificate_says(authority):
    _, cert_pem = issue(authority)
    identity = verify_worker_certificate(certificate_der(cert_pem), authority.ca_pem, NOW)
    assert identity.worker_id == "w-01"
    assert identity.not_after == NOW + DAY
    leaf = x509.load_pem_x509_certificate(cert_pem.encode())
    assert identity.fingerprint == leaf.fingerprint(hashes.SHA256()).hex()


def test_the_worker_s_dates_are_checked_each_time(authority):
    der, ca = certificate_der(issue(authority)[1]), authority.ca_pem
    verify_worker_certificate(der, ca, NOW)
    with pytest.raises(NotAuthenticated, match="expired at 2026-03-02"):
        verify_worker_certificate(der, ca, NOW + 2 * DAY)
    with pytest.raises(NotAuthenticated, match="not valid before"):
        verify_worker_certificate(der, ca, NOW - DAY)
    assert verify_worker_certificate(der, ca, NOW + 2 * DAY, grace=90 * DAY).worker_id == "w-01"
    with pytest.raises(NotAuthenticated, match="expired"):
        verify_worker_certificate(der, ca, NOW + 92 * DAY, grace=90 * DAY)


@pytest.fixture
def ours():
    key = new_key()
    return Issuer(build_authority(key, NOW), key)


@pytest.fixture
def theirs():
    key = new_key()
    return Issuer(build_authority(key, NOW), key)


def refused(leaf: x509.Certificate, authority: Issuer) -> bool:
    der = leaf.public_bytes(serialization.Encoding.DER)
    with pytest.raises(NotAuthenticated, match="not one of a worker of this server"):
        verify_worker_certificate(der, certificate_to_pem(authority.certificate), NOW)
    return True


def worker_leaf(issuer: Issuer, uri: str) -> x509.Certificate:
    return build_worker_leaf(issuer, new_key().public_key(), uri, DAY, NOW)


def id_of(issuer: Issuer) -> str:
    return server_id_of_key(issuer.key.public_key())


def test_fault_43_another_authority_may_not_name_our_workers(ours, theirs):
    liar = worker_leaf(theirs, f"cpc://{id_of(ours)}/worker/w-01")
    assert refused(liar, ours)
    assert refused(liar, theirs)


def test_fault_43_our_authority_names_only_our_own(ours, theirs):
    assert refused(worker_leaf(ours, f"cpc://{id_of(theirs)}/worker/w-01"), ours)


def test_an_authority_of_the_same_name_is_not_the_same(ours, theirs):
    rogue = Issuer(ours.certificate, theirs.key)
    assert refused(worker_leaf(rogue, f"cpc://{id_of(ours)}/worker/w-01"), ours)


@pytest.mark.parametrize("tail", ["", "/", "/worker/", "/server/a", "/worker/a/b", "/worker/a\n"])
def test_a_name_that_is_no_worker_s_is_refused(ours, tail):
    assert refused(worker_leaf(ours, f"cpc://{id_of(ours)}{tail}"), ours)


def test_a_server_s_certificate_is_not_a_worker_s(ours):
    leaf = build_server_leaf(ours, new_key().public_key(), ["cpc.example.org"], DAY, NOW)
    assert refused(leaf, ours)
    assert refused(ours.certificate, ours)


def test_a_worker_s_name_in_a_server_s_certificate_is_refused(ours):
    leaf = certificates._build_leaf(
        ours,
        new_key().public_key(),
        common_name="a",
        alternative_names=[x509.UniformResourceIdentifier(f"cpc://{id_of(ours)}/worker/w-01")],
        usage=ExtendedKeyUsageOID.SERVER_AUTH,
        validity=certificates.Validity(NOW, NOW + DAY),
    )
    assert refused(leaf, ours)


def test_what_is_no_certificate_is_refused(authority):
    for der in (b"", b"nonsense", certificate_der(authority.ca_pem)[:-1]):
        with pytest.raises(NotAuthenticated):
            verify_worker_certificate(der, authority.ca_pem, NOW)


@pytest.mark.parametrize("worker_id", ["", "../a", "a b", "a/b", "-a", "a" * 65, "å"])
def test_a_worker_id_must_be_plain(authority, worker_id):
    with pytest.raises(BadValue, match="cannot be a worker id"):
        authority.issue_worker(make_key_and_csr()[1], worker_id, DAY, NOW)


def request_for(key) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_a_request_is_for_a_p256_key(authority):
    csr_pem = request_for(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    with pytest.raises(BadValue, match="P-256"):
        authority.issue_worker(csr_pem, "w", DAY, NOW)


def test_a_damaged_request_is_refused(authority):
    other = x509.load_pem_x509_csr(make_key_and_csr()[1].encode())
    request = x509.load_pem_x509_csr(make_key_and_csr()[1].encode())
    der = request.public_bytes(serialization.Encoding.DER)
    key_info = [
        r.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        for r in (request, other)
    ]
    swapped = x509.load_der_x509_csr(der.replace(key_info[0], key_info[1]))
    pem = swapped.public_bytes(serialization.Encoding.PEM).decode()
    with pytest.raises(BadValue, match="not signed by its own key"):
        authority.issue_worker(pem, "w", DAY, NOW)
    for text in ("", "nonsense", "\u00e5"):
        with pytest.raises(BadValue, match="cannot be read"):
            authority.issue_worker(text, "w", DAY, NOW)


def test_a_certificate_tells_its_owner_when_to_renew(authority):
    validity = certificate_validity(issue(authority)[1])
    assert not validity.renewal_due(NOW + timedelta(hours=15))
    assert validity.renewal_due(NOW + timedelta(hours=17))


def test_only_the_key_of_the_certificate_answers_the_challenge(authority):
    key_pem, cert_pem = issue(authority)
    signature = sign_challenge(key_pem, b"nonce")
    assert verify_challenge(cert_pem, b"nonce", signature)
    assert not verify_challenge(cert_pem, b"other", signature)
    assert not verify_challenge(cert_pem, b"nonce", sign_challenge(issue(authority)[0], b"nonce"))
    assert not verify_challenge(cert_pem, b"nonce", b"")


def test_a_leaf_does_not_outlive_its_authority(ours):
    leaf = worker_leaf(ours, "cpc://a/worker/b")
    late = build_worker_leaf(ours, new_key().public_key(), "cpc://a/worker/b", 9999 * DAY, NOW)
    assert leaf.not_valid_after_utc == NOW + DAY
    assert late.not_valid_after_utc == ours.certificate.not_valid_after_utc


def test_a_key_for_something_else_is_named():
    for pem in ("nonsense", "\u00e5"):
        with pytest.raises(BadSettings, match="not a certificate"):
            server_id_of(pem)
    with pytest.raises(BadSettings, match="not a private key"):
        sign_challenge("nonsense", b"")
