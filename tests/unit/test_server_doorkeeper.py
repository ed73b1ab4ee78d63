"""Wrong passwords: who has to wait after them, and who not."""

from __future__ import annotations

import asyncio
import threading

import pytest

from copernicus.errors import NotAuthenticated, ServerBusy
from copernicus.security import passwords
from copernicus.server.accounts import Doorkeeper
from copernicus.settings import ServerSettings
from copernicus.store.records import UserRecord

ANN = UserRecord("ann", passwords.hash_password("correct horse"), admin=False, created=0.0)
MOST = 2


@pytest.fixture
def doorkeeper():
    return Doorkeeper(ServerSettings(login_failures=MOST, login_pause_s=30.0))


def outcome(doorkeeper: Doorkeeper, password: str, address: str, now: float, user=ANN) -> str:
    key = (user.name if user else "nobody", address)

    async def knock() -> None:
        doorkeeper.check_pause(key, now)
        await doorkeeper.check(user, password, key, now)

    try:
        asyncio.run(knock())
    except NotAuthenticated as error:
        return "pause" if "wait" in error.message else "wrong"
    return "in"


def test_after_some_wrong_ones_even_the_right_one_has_to_wait(doorkeeper):
    said = [outcome(doorkeeper, "guess", "1.1.1.1", 0.0) for _ in range(MOST)]
    assert said == ["wrong"] * MOST
    assert outcome(doorkeeper, "correct horse", "1.1.1.1", 29.9) == "pause"
    assert outcome(doorkeeper, "correct horse", "1.1.1.1", 30.0) == "in"


def test_the_right_password_ends_the_count(doorkeeper):
    for _ in range(4):
        for _ in range(MOST - 1):
            outcome(doorkeeper, "guess", "1.1.1.1", 0.0)
        assert outcome(doorkeeper, "correct horse", "1.1.1.1", 0.0) == "in"


def test_unknown_names_are_counted_like_known_ones(doorkeeper):
    said = [outcome(doorkeeper, "guess", "1.1.1.1", 0.0, user=None) for _ in range(MOST + 1)]
    assert said == ["wrong"] * MOST + ["pause"]


def test_an_address_that_tries_many_names_has_to_wait(doorkeeper):
    users = [UserRecord(f"u{n}", ANN.password, admin=False, created=0.0) for n in range(15)]
    said = [outcome(doorkeeper, "guess", "6.6.6.6", 0.0, user) for user in users]
    assert said == ["wrong"] * 5 * MOST + ["pause"] * (15 - 5 * MOST)
    assert outcome(doorkeeper, "correct horse", "1.1.1.1", 0.0) == "in"


def test_fault_49_a_name_guessed_at_from_everywhere_is_paused_but_not_where_its_user_is_known(
    doorkeeper,
):
    assert outcome(doorkeeper, "correct horse", "1.1.1.1", 0.0) == "in"
    said = [outcome(doorkeeper, "guess", f"6.6.6.{n}", 0.0) for n in range(10 * MOST + 10)]
    assert said.count("wrong") == 10 * MOST
    assert said[-10:] == ["pause"] * 10
    assert outcome(doorkeeper, "correct horse", "2.2.2.2", 0.0) == "pause"
    assert outcome(doorkeeper, "correct horse", "1.1.1.1", 0.0) == "in"


def test_what_is_remembered_of_guessers_is_bounded(doorkeeper):
    for n in range(12_000):
        doorkeeper._count((f"n{n}", "a"), 0.0, 5)
    assert len(doorkeeper._tries) == doorkeeper._MOST_KEYS


def test_fault_49_two_hashes_at_a_time_and_a_bounded_queue(monkeypatch):
    """Each costs 64 MiB and a core: a flood must neither fill the memory nor wait for ever."""
    running, most, lock, real = 0, 0, threading.Lock(), passwords.verify_password

    def counted(text: str, stored: str | None) -> bool:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        found = real(text, stored)
        with lock:
            running -= 1
        return found

    monkeypatch.setattr(passwords, "verify_password", counted)
    doorkeeper = Doorkeeper(ServerSettings())
    doorkeeper._MOST_WAITING = 6

    async def flood() -> list[BaseException | None]:
        knocks = [
            asyncio.create_task(doorkeeper.check(None, "guess", (f"u{n}", f"a{n}"), 0.0))
            for n in range(1000)
        ]
        await asyncio.sleep(0)
        turned_away = [knock for knock in knocks if knock.done()]
        assert len(turned_away) == 1000 - 6
        return await asyncio.gather(*knocks, return_exceptions=True)

    outcomes = asyncio.run(flood())
    assert most == 2
    assert sum(isinstance(one, ServerBusy) for one in outcomes) == 1000 - 6
    assert sum(isinstance(one, NotAuthenticated) for one in outcomes) == 6
