"""Users and their logins, in memory; what changes goes through the runtime into the store."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import msgspec

from copernicus.errors import BadValue, Conflict, NotAuthenticated, NotFound, ServerBusy
from copernicus.security import passwords
from copernicus.security.policy import Scope
from copernicus.security.tokens import Token, TokenKind, new_token, parse_token
from copernicus.settings import ServerSettings
from copernicus.store.records import SessionRecord, UserRecord
from copernicus.store.store import Store

MIN_PASSWORD = 8
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NOTE_USE_EVERY_S = 600.0
_MOST_TOKENS = 200


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
        self.end_all(name)

    def delete(self, name: str) -> None:
        """Remove a user, but never the last administrator.

        Raises:
            NotFound: there is none.
            Conflict: nobody could administer the server any more.
        """
        if self.user(name).admin:
            self._refuse_last(name)
        del self.users[name]
        self.end_all(name)

    def _refuse_last(self, name: str) -> None:
        if sum(other.admin for other in self.users.values()) == 1:
            raise Conflict(
                f"{name!r} is the last administrator: make another one first (cpc user admin NAME)."
            )

    def set_admin(self, name: str, *, admin: bool) -> None:
        """Make a user an administrator, or one no more; never the last one.

        Raises:
            NotFound: there is no such user.
            Conflict: nobody could administer the server any more.
        """
        user = self.user(name)
        if user.admin and not admin:
            self._refuse_last(name)
        self.users[name] = msgspec.structs.replace(user, admin=admin)

    def begin(
        self,
        user: str,
        now: float,
        life_s: float,
        *,
        scope: Scope = Scope.LOGIN,
        name: str = "",
        project: str = "",
    ) -> tuple[Token, SessionRecord]:
        """A new login, or a token for a program. It is shown once, only its hash is kept.

        Raises:
            NotFound: there is no such user.
            Conflict: the user has too many.
        """
        self.user(user)
        if scope is not Scope.LOGIN and len(self.sessions_of(user)) >= _MOST_TOKENS:
            raise Conflict(
                f"{user!r} has {_MOST_TOKENS} logins and tokens: end one first (cpc user token "
                "list, cpc user token revoke ID)."
            )
        token = new_token(TokenKind.USER)
        session = SessionRecord(
            token.digest, user, now, now + life_s, now, scope.value, name, project
        )
        self.sessions[session.sha256] = session
        return token, session

    def sessions_of(self, user: str) -> list[SessionRecord]:
        """The logins and tokens of a user, oldest first."""
        found = [one for one in self.sessions.values() if one.user == user]
        return sorted(found, key=lambda one: one.created)

    def check(self, text: str, now: float, idle_s: float) -> tuple[UserRecord, SessionRecord]:
        """Whose token this is.

        Raises:
            NotAuthenticated: nobody's, or its time is over.
        """
        session = self.sessions.get(parse_token(text, TokenKind.USER).digest)
        if session is None or not is_in_force(session, now, idle_s):
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

    def end_all(self, name: str) -> None:
        """End every login and every token of a user."""
        self.sessions = {key: s for key, s in self.sessions.items() if s.user != name}


def is_in_force(session: SessionRecord, now: float, idle_s: float) -> bool:
    """Whether a login or token is good now; a token for a program may lie unused."""
    idle = session.scope == Scope.LOGIN and now >= session.last_used + idle_s
    return now < session.expires and not idle


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

    Wrong ones are counted per name and address together, per address, and per name. Guesses at one
    name from many addresses pause it too, but not where its user has logged in from before: nobody
    is locked out from elsewhere.
    """

    _MOST_KEYS = 10_000
    _MOST_WAITING = 64

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._hashing = asyncio.Semaphore(2)
        self._tries: dict[tuple[str, str], _Tries] = {}
        self._known: dict[tuple[str, str], None] = {}
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The hash to store.

        Raises:
            BadValue: empty, too short or too long.
        """
        check_new_password(password)
        async with self._turn():
            return await asyncio.to_thread(passwords.hash_password, password)

    def check_pause(self, key: tuple[str, str], now: float) -> None:
        """Refuse without looking who has to wait; ``key`` as in ``check``.

        Raises:
            NotAuthenticated: too many wrong passwords came before.
        """
        for tries in map(self._tries.get, self._limits(key)):
            if tries is not None and now < tries.pause_until:
                raise NotAuthenticated(
                    "Too many wrong passwords: wait "
                    f"{tries.pause_until - now:.0f} s, then try again."
                )

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
            NotAuthenticated: it is not.
            ServerBusy: too many are waiting to be checked.
        """
        limits = self._limits(key)
        # Counted before the slow check, so that a flood of parallel guesses is one too.
        for one, limit in limits.items():
            self._count(one, now, limit)
        async with self._turn():
            right = await asyncio.to_thread(
                passwords.verify_password, password, user.password if user else None
            )
        if not right:
            raise NotAuthenticated("Wrong user name or password.")
        for one in limits:
            self._tries.pop(one, None)
        if len(self._known) >= self._MOST_KEYS:
            self._known.pop(next(iter(self._known)))
        self._known[key] = None

    def _limits(self, key: tuple[str, str]) -> dict[tuple[str, str], int]:
        """What a try is counted for, and after how many wrong ones there is a pause."""
        name, address = key
        most = self._settings.login_failures
        limits = {key: most, ("", address): 5 * most}
        if key not in self._known:
            limits[name, ""] = 10 * most
        return limits

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """One of two places; the queue for them is bounded, as each costs 64 MiB and a core."""
        if self._waiting >= self._MOST_WAITING:
            raise ServerBusy("Too many passwords are being checked: try again in a moment.")
        self._waiting += 1
        try:
            async with self._hashing:
                yield
        finally:
            self._waiting -= 1

    def _count(self, key: tuple[str, str], now: float, limit: int) -> None:
        if len(self._tries) >= self._MOST_KEYS and key not in self._tries:
            self._tries.pop(next(iter(self._tries)))
        tries = self._tries.setdefault(key, _Tries())
        tries.failures += 1
        if tries.failures >= limit:
            tries.failures = 0
            tries.pause_until = now + self._settings.login_pause_s
