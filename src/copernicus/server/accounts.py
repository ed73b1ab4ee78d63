"""Users and their logins, in memory; what changes goes through the runtime into the store."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import msgspec

from copernicus.errors import BadValue, Conflict, NotAuthenticated, NotFound
from copernicus.security import passwords
from copernicus.security.tokens import Token, TokenKind, new_token, parse_token
from copernicus.settings import ServerSettings
from copernicus.store.records import SessionRecord, UserRecord
from copernicus.store.store import Store

MIN_PASSWORD = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOTE_USE_EVERY_S = 600.0


class Accounts:
    """Who may log in, and who has. The methods that change return what is to be stored."""

    def __init__(self) -> None:
        self.users: dict[str, UserRecord] = {}
        self.sessions: dict[str, SessionRecord] = {}

    def load(self, store: Store) -> None:
        """Read all of it from the store."""
        self.users = {user.name: user for user in store.users()}
        self.sessions = {
            session.sha256: session for name in self.users for session in store.sessions_of(name)
        }

    def user(self, name: str) -> UserRecord:
        """The user of this name.

        Raises:
            NotFound: there is none.
        """
        found = self.users.get(name)
        if found is None:
            raise NotFound(f"There is no user {name!r}.")
        return found

    def add(self, user: UserRecord) -> None:
        """Raises Conflict if the name is taken, BadValue if it cannot be one."""
        if not _NAME.fullmatch(user.name):
            raise BadValue(
                f"{user.name!r} cannot be a user's name: at most 64 letters, digits, '.', '-', '_'."
            )
        if user.name in self.users:
            raise Conflict(f"There is already a user {user.name!r}.")
        self.users[user.name] = user

    def set_password(self, name: str, hashed: str) -> None:
        """Change it, and end every login of the user."""
        self.users[name] = msgspec.structs.replace(self.user(name), password=hashed)
        self._end_all(name)

    def delete(self, name: str) -> None:
        """Remove a user, but never the last administrator.

        Raises:
            NotFound: there is none.
            Conflict: nobody could administer the server any more.
        """
        user = self.user(name)
        if user.admin and sum(other.admin for other in self.users.values()) == 1:
            raise Conflict(f"{name!r} is the last administrator: make another one first.")
        del self.users[name]
        self._end_all(name)

    def begin(self, user: str, now: float, life_s: float) -> tuple[Token, SessionRecord]:
        """A new login. The token is shown once, only its hash is kept."""
        self.user(user)
        token = new_token(TokenKind.USER)
        session = SessionRecord(token.digest, user, now, now + life_s, now)
        self.sessions[session.sha256] = session
        return token, session

    def check(self, text: str, now: float, idle_s: float) -> tuple[UserRecord, SessionRecord]:
        """Whose token this is.

        Raises:
            NotAuthenticated: nobody's, or its time is over.
        """
        session = self.sessions.get(parse_token(text, TokenKind.USER).digest)
        if session is None or now >= session.expires or now >= session.last_used + idle_s:
            raise NotAuthenticated("This login has ended: log in again (cpc login).")
        return self.user(session.user), session

    def note_use(self, session: SessionRecord, now: float) -> SessionRecord | None:
        """The session to be stored, if its last use was noted long enough ago."""
        if now < session.last_used + _NOTE_USE_EVERY_S or session.sha256 not in self.sessions:
            return None
        used = msgspec.structs.replace(session, last_used=now)
        self.sessions[session.sha256] = used
        return used

    def end(self, sha256: str) -> None:
        """End a login."""
        self.sessions.pop(sha256, None)

    def _end_all(self, name: str) -> None:
        self.sessions = {key: s for key, s in self.sessions.items() if s.user != name}


def check_new_password(password: str) -> None:
    """Raises BadValue if it is too short."""
    if len(password) < MIN_PASSWORD:
        raise BadValue(f"A password needs at least {MIN_PASSWORD} characters.")


@dataclass(slots=True)
class _Tries:
    failures: int = 0
    pause_until: float = 0.0


class Doorkeeper:
    """Checks passwords: two at a time, and after some wrong ones only after a pause.

    Wrong ones are counted per name and address together, so that nobody can lock others out from
    elsewhere, and per address.
    """

    _MOST_KEYS = 10_000

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._hashing = asyncio.Semaphore(2)
        self._tries: dict[tuple[str, str], _Tries] = {}

    async def hash(self, password: str) -> str:
        """The hash to store.

        Raises:
            BadValue: empty, too short or too long.
        """
        check_new_password(password)
        async with self._hashing:
            return await asyncio.to_thread(passwords.hash_password, password)

    async def check(
        self, user: UserRecord | None, password: str, key: tuple[str, str], now: float
    ) -> None:
        """Whether this is the password of ``user`` (``None``: there is no such user).

        Args:
            user: as found by the name given.
            password: as given.
            key: the name given and the address it comes from.
            now: the server's time.

        Raises:
            NotAuthenticated: it is not, or it is too early to try again.
        """
        keys = (key, ("", key[1]))
        for tries in map(self._tries.get, keys):
            if tries is not None and now < tries.pause_until:
                raise NotAuthenticated(
                    "Too many wrong passwords: wait "
                    f"{tries.pause_until - now:.0f} s, then try again."
                )
        # Counted before the slow check, so that a flood of parallel guesses is one too.
        for one, limit in zip(keys, (1, 5), strict=True):
            self._count(one, now, self._settings.login_failures * limit)
        async with self._hashing:
            right = await asyncio.to_thread(
                passwords.verify_password, password, user.password if user else None
            )
        if not right:
            raise NotAuthenticated("Wrong user name or password.")
        for one in keys:
            self._tries.pop(one, None)

    def _count(self, key: tuple[str, str], now: float, limit: int) -> None:
        if len(self._tries) >= self._MOST_KEYS and key not in self._tries:
            self._tries.pop(next(iter(self._tries)))
        tries = self._tries.setdefault(key, _Tries())
        tries.failures += 1
        if tries.failures >= limit:
            tries.failures = 0
            tries.pause_until = now + self._settings.login_pause_s
