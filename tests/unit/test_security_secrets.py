"""Tokens, passwords and private files."""

import stat

import pytest

from copernicus.errors import BadSettings, BadValue, NotAuthenticated
from copernicus.security import passwords
from copernicus.security.files import (
    check_private,
    is_private,
    make_private_folder,
    read_private,
    write_private,
)
from copernicus.security.passwords import hash_password, needs_rehash, verify_password
from copernicus.security.tokens import TokenKind, hash_token, new_token, parse_token, token_matches


@pytest.mark.parametrize("kind", TokenKind)
def test_a_token_comes_back_as_it_went_out(kind):
    token = new_token(kind)
    assert parse_token(token.text, kind) == token
    assert token.text.startswith(f"{kind}{token.id}.")
    assert token_matches(token.text, token.digest)
    assert token.digest == hash_token(token.text)


def test_two_tokens_differ():
    first, second = new_token(TokenKind.USER), new_token(TokenKind.USER)
    assert first.id != second.id
    assert not token_matches(first.text, second.digest)


def test_a_token_s_secret_does_not_show_in_its_repr():
    token = new_token(TokenKind.JOIN)
    assert token.text.partition(".")[2] not in repr(token)


@pytest.mark.parametrize("change", [str.upper, lambda t: t + "a", lambda t: t[:-1], lambda t: ""])
def test_a_malformed_token_is_refused_without_repeating_it(change):
    text = change(new_token(TokenKind.USER).text)
    with pytest.raises(NotAuthenticated) as refusal:
        parse_token(text, TokenKind.USER)
    assert not text or text not in str(refusal.value)


def test_a_join_token_does_not_log_in():
    with pytest.raises(NotAuthenticated):
        parse_token(new_token(TokenKind.JOIN).text, TokenKind.USER)


def test_a_password_is_verified_and_salted():
    stored = hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert stored != hash_password("correct horse")
    assert verify_password("correct horse", stored)
    assert not verify_password("Correct horse", stored)
    assert not needs_rehash(stored)


def test_one_letter_typed_in_two_ways_is_the_same_password():
    assert verify_password("a\u030angstr\u00f6m", hash_password("\u00e5ngstro\u0308m"))


def test_fault_49_an_unknown_user_costs_what_a_known_one_does():
    assert not needs_rehash(passwords._NOBODY), "the work for nobody has today's parameters"
    assert not verify_password("anything", None)


def test_no_password_logs_nobody_in(monkeypatch):
    monkeypatch.setattr(passwords, "_NOBODY", hash_password("found out"))
    assert not verify_password("found out", None)


@pytest.mark.parametrize("password", ["", "x" * 1025])
def test_a_password_has_a_sensible_length(password):
    with pytest.raises(BadValue):
        hash_password(password)
    assert not verify_password(password, hash_password("x" * 1024))


def test_a_damaged_hash_or_text_refuses_the_login():
    assert not verify_password("a", "nonsense")
    assert not verify_password("a\ud800", None)


def test_a_private_file_is_replaced_whole(tmp_path):
    path = tmp_path / "key"
    write_private(path, b"one")
    write_private(path, b"two")
    assert read_private(path) == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_nothing(tmp_path):
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "in_the_way").touch()
    with pytest.raises(BadSettings, match="Cannot write"):
        write_private(tmp_path / "key", b"one")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    with pytest.raises(BadSettings, match="Cannot write"):
        write_private(tmp_path / "missing" / "key", b"one")


def test_files_open_to_others_are_refused(tmp_path):
    path = tmp_path / "key"
    write_private(path, b"one")
    for mode in (0o604, 0o640, 0o620, 0o610):
        path.chmod(mode)
        assert not is_private(path)
        with pytest.raises(BadSettings, match="chmod 600"):
            read_private(path)


def test_an_empty_folder_is_closed_and_a_used_one_refused(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    make_private_folder(folder)
    check_private(folder)
    folder.chmod(0o755)
    (folder / "something").touch()
    with pytest.raises(BadSettings, match="chmod 700"):
        make_private_folder(folder)
    with pytest.raises(BadSettings, match="Cannot make the folder"):
        make_private_folder(folder / "something" / "below")
