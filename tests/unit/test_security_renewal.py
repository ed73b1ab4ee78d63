"""Renewing a certificate that has expired."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from copernicus.errors import NotAuthenticated
from copernicus.security.identity import Authority, create_authority, make_key_and_csr
from copernicus.security.renewal import make_challenge, sign_renewal, verify_renewal

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("a") / "id"
    create_authority(folder, ["cpc.example.org"], NOW)
    return Authority.load(folder)


@dataclass
class Renewal:
    authority: Authority
    key: str
    certificate: str
    csr: str
    challenge: str
    signature: str = ""

    def signed(self) -> "Renewal":
        return replace(self, signature=sign_renewal(self.key, self.challenge, self.csr))

    def verify(self, now=NOW):
        return verify_renewal(
            self.certificate,
            self.csr,
            self.challenge,
            self.signature,
            ca_pem=self.authority.ca_pem,
            now=now,
        )


@pytest.fixture
def renewal(authority):
    key, csr = make_key_and_csr()
    certificate = authority.issue_worker(csr, "w-01", DAY, NOW - 30 * DAY)
    challenge = make_challenge(authority.server_id, "w-01", NOW)
    return Renewal(authority, key, certificate, make_key_and_csr()[1], challenge).signed()


def test_the_old_key_renews_an_expired_certificate(renewal):
    assert renewal.verify().worker_id == "w-01"
    assert renewal.verify(NOW + 9 * MINUTE).worker_id == "w-01"


def test_after_90_days_the_worker_joins_anew(renewal, authority):
    late = NOW + 62 * DAY
    again = replace(renewal, challenge=make_challenge(authority.server_id, "w-01", late)).signed()
    with pytest.raises(NotAuthenticated, match="expired"):
        again.verify(late)


@pytest.mark.parametrize("minutes", [-11, 11])
def test_an_old_message_is_refused_with_the_server_s_time(renewal, minutes):
    with pytest.raises(NotAuthenticated, match="clock says 2026-03-01T1"):
        renewal.verify(NOW + minutes * MINUTE)


def test_a_copied_message_cannot_carry_another_key(renewal):
    with pytest.raises(NotAuthenticated, match="not signed"):
        replace(renewal, csr=make_key_and_csr()[1]).verify()


def test_another_key_cannot_renew(renewal):
    with pytest.raises(NotAuthenticated, match="not signed"):
        replace(renewal, key=make_key_and_csr()[0]).signed().verify()


@pytest.mark.parametrize("signature", ["", "zz", "00" * 70])
def test_what_is_no_signature_is_refused(renewal, signature):
    with pytest.raises(NotAuthenticated, match="not signed"):
        replace(renewal, signature=signature).verify()


@pytest.mark.parametrize(
    ("challenge", "reason"),
    [
        ("a:w-01:1772366400", "another server"),
        ("{id}:w-02:1772366400", "another server or worker"),
        ("{id}:w-01:", "no time"),
        ("{id}:w-01:-5", "no time"),
        ("{id}:w-01:²", "no time"),
        ("{id}:w-01:" + "9" * 5000, "no time"),
        ("{id}:w-01:1772366400:1", "no time"),
        ("", "another server"),
        ("\ud800", "another server"),
    ],
)
def test_a_challenge_for_something_else_is_refused(renewal, authority, challenge, reason):
    text = challenge.replace("{id}", authority.server_id)
    with pytest.raises(NotAuthenticated, match=reason):
        replace(renewal, challenge=text).signed().verify()


@pytest.mark.parametrize("certificate", ["", "nonsense", "å\ud800"])
def test_what_is_no_certificate_is_refused(renewal, certificate):
    with pytest.raises(NotAuthenticated, match="join again"):
        replace(renewal, certificate=certificate).verify()


def test_the_authority_itself_is_no_worker(renewal, authority):
    with pytest.raises(NotAuthenticated, match="not one of a worker"):
        replace(renewal, certificate=authority.ca_pem).verify()
