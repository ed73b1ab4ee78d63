"""Bundles: written, read back, and refused with a reason."""

import dataclasses
import stat
import tomllib
from datetime import UTC, datetime, timedelta, timezone

import pytest

from copernicus.errors import BadSettings
from copernicus.security.bundle import (
    ClientBundle,
    WorkerBundle,
    read_client_bundle,
    read_worker_bundle,
    write_client_bundle,
    write_worker_bundle,
)
from copernicus.security.certificates import build_authority, certificate_to_pem, new_key
from copernicus.security.identity import server_id_of
from copernicus.security.tokens import TokenKind, new_token

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CA_PEM = certificate_to_pem(build_authority(new_key(), NOW))
OTHER_PEM = certificate_to_pem(build_authority(new_key(), NOW))
TOKEN = new_token(TokenKind.JOIN).text
CLIENT = ClientBundle(server_id_of(CA_PEM), ("https://cpc.example.org:14807",), CA_PEM)
WORKER = WorkerBundle(
    server_id=server_id_of(CA_PEM),
    urls=("https://cpc.example.org:13807", "https://[::1]:13807"),
    join_urls=("https://cpc.example.org:14807",),
    ca_pem=CA_PEM,
    pool="lab",
    join_token=TOKEN,
    expires=NOW + timedelta(days=30),
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lab.cpc"


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_client_bundle_comes_back_as_it_went_out(path):
    write_client_bundle(path, CLIENT)
    assert read_client_bundle(path) == CLIENT
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_worker_bundle_comes_back_as_it_went_out(path):
    write_worker_bundle(path, WORKER)
    assert read_worker_bundle(path, NOW) == WORKER
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("pool", ['a"b', "a\\b", "a\nb\r\t", "å\x7f\x00\x1b", "𝄞", "a'''b", "]x"])
def test_any_text_survives(path, pool):
    write_worker_bundle(path, dataclasses.replace(WORKER, pool=pool))
    assert read_worker_bundle(path, NOW).pool == pool


def test_the_end_is_written_in_utc(path):
    zone = timezone(timedelta(hours=2))
    expires = datetime(2027, 1, 31, 1, 30, 0, 5, tzinfo=zone)
    write_worker_bundle(path, dataclasses.replace(WORKER, expires=expires))
    assert "expires = 2027-01-30T23:30:00Z\n" in path.read_text()


def test_the_token_does_not_show_in_the_repr():
    assert TOKEN not in repr(WORKER)


def test_an_expired_bundle_joins_nobody_but_still_tells_addresses(path):
    write_worker_bundle(path, WORKER)
    with pytest.raises(BadSettings, match=r"expired at 2026-03-31.*new one"):
        read_worker_bundle(path, NOW + timedelta(days=30))
    assert read_worker_bundle(path, None).urls == WORKER.urls


@pytest.mark.parametrize("key", ["server_id", "urls", "ca_pem", "join_token", "pool"])
def test_a_missing_key_is_named(path, key):
    write_worker_bundle(path, WORKER)
    lines = [line for line in path.read_text().splitlines() if not line.startswith(f"{key} =")]
    path.write_text("\n".join(lines))
    with pytest.raises(BadSettings, match=f"not complete: {key} missing"):
        read_worker_bundle(path, NOW)


def test_an_unknown_key_is_named(path):
    write_client_bundle(path, CLIENT)
    path.write_text(path.read_text() + "verify = false\n")
    with pytest.raises(BadSettings, match=r"does not know: \['verify'\]"):
        read_client_bundle(path)


@pytest.mark.parametrize("number", ["2", '"1"', "true", "[1]"])
def test_another_format_is_refused(path, number):
    write_client_bundle(path, CLIENT)
    change(path, "format = 1", f"format = {number}")
    with pytest.raises(BadSettings, match="reads format 1"):
        read_client_bundle(path)


def test_a_forged_authority_is_refused(path):
    write_client_bundle(path, CLIENT)
    change(path, repr(CA_PEM)[1:-1], repr(OTHER_PEM)[1:-1])
    with pytest.raises(BadSettings, match=r"belongs to the server .* do not use it"):
        read_client_bundle(path)


def test_a_contradiction_is_not_even_written(path):
    with pytest.raises(BadSettings, match="belongs to the server"):
        write_client_bundle(path, dataclasses.replace(CLIENT, ca_pem=OTHER_PEM))
    with pytest.raises(BadSettings, match="time zone"):
        write_worker_bundle(path, dataclasses.replace(WORKER, expires=NOW.replace(tzinfo=None)))
    assert not path.exists()


def test_what_is_not_a_certificate_is_named(path):
    write_client_bundle(path, CLIENT)
    change(path, repr(CA_PEM)[1:-1], "nonsense")
    with pytest.raises(BadSettings, match="'ca_pem' is not a certificate"):
        read_client_bundle(path)


@pytest.mark.parametrize(
    "content",
    [b"format = ", b"\xff\xfe", b"a = " + b"[" * 5000, f'join_token = "{TOKEN}'.encode()],
    ids=["no value", "no UTF-8", "too deep", "text that does not end"],
)
def test_what_is_not_toml_is_refused_without_quoting_it(path, content):
    path.write_bytes(content)
    with pytest.raises(BadSettings, match="not valid TOML") as refusal:
        read_worker_bundle(path, NOW)
    assert refusal.value.__cause__ is None
    assert TOKEN not in str(refusal.value)


def test_a_missing_file_is_named(path):
    with pytest.raises(BadSettings, match=r"lab.cpc: No such file"):
        read_client_bundle(path)


def test_the_two_kinds_are_not_mixed_up(path):
    write_worker_bundle(path, WORKER)
    with pytest.raises(BadSettings, match="bundle for workers"):
        read_client_bundle(path)
    write_client_bundle(path, CLIENT)
    with pytest.raises(BadSettings, match="bundle for clients"):
        read_worker_bundle(path, NOW)


@pytest.mark.parametrize(
    "urls",
    [
        "[]",
        '"https://a"',
        "[1]",
        '["http://a:1"]',
        '["https://"]',
        '["https://a:99999"]',
        '["https://user:password@a"]',
        '["https://a/?token=b"]',
        '["https://a/path"]',
        '["https://[a"]',
    ],
)
def test_an_address_that_is_none_is_refused(path, urls):
    write_client_bundle(path, CLIENT)
    change(path, '["https://cpc.example.org:14807"]', urls)
    with pytest.raises(BadSettings, match="'urls' must be a list of addresses"):
        read_client_bundle(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("pool", "3"), ("pool", '""'), ("expires", '"soon"'), ("expires", "2027-01-31T00:00:00")],
)
def test_a_value_of_the_wrong_type_is_named(path, key, value):
    write_worker_bundle(path, WORKER)
    fields = tomllib.loads(path.read_text())
    old = "2026-03-31T12:00:00Z" if key == "expires" else f'"{fields[key]}"'
    change(path, f"{key} = {old}", f"{key} = {value}")
    with pytest.raises(BadSettings, match=f"'{key}' must be"):
        read_worker_bundle(path, NOW)
