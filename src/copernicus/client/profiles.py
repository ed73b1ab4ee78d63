"""Which servers a user knows, as whom, and with which token: one file that only its owner reads."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from copernicus.errors import BadSettings, BadValue, NotAuthenticated, NotFound
from copernicus.protocol import USER_PORT
from copernicus.security.files import make_private_folder, read_private, write_private

FILE = "profiles.json"


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """One login at one server. ``urls`` are tried in order; ``project`` is the current one.

    ``via`` is the name of the profile at the server through which this one is reached; empty:
    directly.
    """

    server_id: str
    urls: tuple[str, ...]
    ca_pem: str
    user: str
    token: str = ""
    expires: float = 0.0
    admin: bool = False
    project: str = ""
    via: str = ""

    def __repr__(self) -> str:
        return f"Profile(server_id={self.server_id!r}, urls={self.urls!r}, user={self.user!r})"


class _Stored(msgspec.Struct, omit_defaults=True):
    format: int = 1
    current: str = ""
    profiles: dict[str, Profile] = {}


def config_folder() -> Path:
    """Where the profiles are: ``CPC_CONFIG_DIR``, or this platform's place for settings."""
    chosen = os.environ.get("CPC_CONFIG_DIR")
    if chosen:
        return Path(chosen)
    from platformdirs import user_config_path

    return user_config_path("copernicus", appauthor=False)


def profile_name(user: str, url: str) -> str:
    """The name that a login gets by itself: ``alice@host``, with the port if it is an unusual one.

    Raises:
        BadSettings: The address has a port that is no number.
    """
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        raise BadSettings(f"{url!r} is no address: write for example https://host:14807") from None
    usual = port is None or port == USER_PORT
    return f"{user}@{parts.hostname}" if usual else f"{user}@{parts.hostname}:{port}"


class Profiles:
    """The file of profiles in a folder; read at every question, replaced whole at every change."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or config_folder()

    @property
    def path(self) -> Path:
        """The file; it need not exist."""
        return self.folder / FILE

    @property
    def current(self) -> str:
        """The name of the profile that is used when none is named (``""`` if there is none)."""
        stored = self._load()
        chosen = os.environ.get("CPC_PROFILE")
        return chosen or stored.current

    def all(self) -> dict[str, Profile]:
        """All profiles by name."""
        return dict(self._load().profiles)

    def get(self, name: str | None = None) -> tuple[str, Profile]:
        """A profile and its name; the current one if none is named.

        Raises:
            NotAuthenticated: There is no login yet.
            NotFound: There is none of this name.
        """
        stored = self._load()
        wanted = name or os.environ.get("CPC_PROFILE") or stored.current
        if not wanted:
            raise NotAuthenticated(
                "You are not logged in: cpc login FILE, where FILE is client.cpc of the server's "
                "folder, or cpc login https://SERVER:14807"
            )
        if wanted not in stored.profiles:
            known = ", ".join(sorted(stored.profiles)) or "none"
            raise NotFound(f"There is no profile {wanted!r}; there are: {known} (cpc profile list)")
        return wanted, stored.profiles[wanted]

    def through(self, via: str, server: str) -> tuple[str, Profile]:
        """The login at a server that is reached through that of the profile ``via``.

        Args:
            via: the profile at the server in between.
            server: the id of the far one, or the beginning of it.

        Raises:
            NotAuthenticated: There is none.
            BadValue: There are several.
        """
        found = {
            name: profile
            for name, profile in self._load().profiles.items()
            if profile.via == via and profile.server_id.startswith(server)
        }
        if not found:
            raise NotAuthenticated(
                f"You are not logged in at {server} through {via}: cpc --on {server} login "
                "--user NAME"
            )
        if len(found) > 1:
            raise BadValue(
                f"{server!r} means several logins: choose one with --profile, of "
                f"{', '.join(sorted(found))}"
            )
        return found.popitem()

    def known_id(self, url: str) -> str | None:
        """The id of the server that was met at this address before; None if there were several."""
        profiles = self._load().profiles.values()
        met = {profile.server_id for profile in profiles if url in profile.urls}
        return met.pop() if len(met) == 1 else None

    def free_name(self, user: str, url: str, server_id: str) -> str:
        """The name for a login: with the end of the server's id where another server has it."""
        name = profile_name(user, url)
        known = self._load().profiles.get(name)
        if known is None or known.server_id == server_id:
            return name
        return f"{name}-{server_id[-6:]}"

    def put(self, name: str, profile: Profile, *, current: bool = False) -> None:
        """Add or replace a profile; ``current`` makes it the one that is used."""
        stored = self._load()
        stored.profiles[name] = profile
        if current or not stored.current:
            stored.current = name
        self._save(stored)

    def use(self, name: str) -> None:
        """Make a profile the current one.

        Raises:
            NotFound: There is none of this name.
        """
        self.get(name)
        stored = self._load()
        stored.current = name
        self._save(stored)

    def forget_token(self, name: str) -> None:
        """Keep the profile (server, user, project), without its login."""
        _, profile = self.get(name)
        self.put(name, msgspec.structs.replace(profile, token="", expires=0.0))

    def _load(self) -> _Stored:
        if not self.path.exists():
            return _Stored()
        try:
            return msgspec.json.decode(read_private(self.path), type=_Stored)
        except msgspec.DecodeError:
            raise BadSettings(
                f"{self.path} is damaged: remove it and log in again (cpc login)"
            ) from None

    def _save(self, stored: _Stored) -> None:
        make_private_folder(self.folder)
        write_private(self.path, msgspec.json.format(msgspec.json.encode(stored), indent=2))
