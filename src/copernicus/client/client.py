"""``Client``: one server, as one user."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import msgspec

from copernicus.calling.addresses import server_url
from copernicus.client.accounts import Administering
from copernicus.client.files import Progress
from copernicus.client.login import Confirm, find_server, find_through
from copernicus.client.peers import Peering
from copernicus.client.profiles import Profile, Profiles
from copernicus.client.project import Project
from copernicus.client.through import Gateway
from copernicus.client.transport import Transport
from copernicus.errors import BadValue, CopernicusError, NotAuthenticated, NotFound
from copernicus.model.pools import Provision
from copernicus.protocol import (
    BundleReply,
    BundleRequest,
    FunctionView,
    Health,
    JobView,
    LoginReply,
    LoginRequest,
    ModuleView,
    NewProject,
    PoolChange,
    PoolView,
    ProjectView,
    UserView,
    WorkerView,
)
from copernicus.protocol.accounts import TokenView
from copernicus.security.bundle import ClientBundle


class Client(Administering, Peering):
    """A server, as the user of a profile sees it; ``Client()`` is the current profile.

    Args:
        profile: the name of another one (``cpc profile list``).
        config: the folder with the profiles; default: ``CPC_CONFIG_DIR``, or the platform's.
        on: the id (or its beginning) of a peer of that profile's server: work with the peer,
            through the server, as the user that logged in there (``login(..., through=...)``).

    Raises:
        NotAuthenticated: there is no login.
    """

    def __init__(
        self, profile: str | None = None, *, config: Path | None = None, on: str | None = None
    ) -> None:
        profiles = Profiles(config)
        name, stored = profiles.get(profile)
        if on:
            name, stored = profiles.through(name, on)
        if not stored.token:
            raise NotAuthenticated(f"You are logged out of {stored.urls[0]}: cpc login")
        self._start(stored, name, profiles)

    @classmethod
    def _of(cls, profile: Profile, name: str, profiles: Profiles | None) -> Self:
        client = cls.__new__(cls)
        Client._start(client, profile, name, profiles)
        return client

    def _start(self, profile: Profile, name: str, profiles: Profiles | None) -> None:
        self.profile = profile
        self.profile_name = name
        self._profiles = profiles
        gateway = None
        if profile.via:
            gateway = _gateway(profiles or Profiles(), profile.via)
        self._transport = Transport(
            profile.server_id, profile.urls, profile.ca_pem, profile.token, profile.user, gateway
        )

    @classmethod
    def login(
        cls,
        server: str | Path,
        user: str,
        password: str,
        server_id: str | None = None,
        *,
        profile: str | None = None,
        config: Path | None = None,
        confirm: Confirm | None = None,
        save: bool = True,
        through: str | None = None,
    ) -> Self:
        """Log in, and remember it as the current profile.

        Args:
            server: a client bundle (``client.cpc``), or an address.
            user: name at that server.
            password: of that user.
            server_id: what the server at the address must prove to be.
            profile: its name; default ``user@host``.
            config: the folder for the profiles.
            confirm: asked with (address, id) where neither bundle, nor ``server_id``, nor an
                earlier login says which server it is; default: a question on the terminal.
            save: False keeps the login in this object only.
            through: the profile at a server of which ``server``, given by its id, is a peer: it is
                reached through that one, which stays the current profile.

        Raises:
            NotAuthenticated: wrong name or password.
            ServerUnreachable: no answer, or another server.
            NotAllowed: nobody confirmed the server's id.
        """
        profiles = Profiles(config)
        expected = server_id or (profiles.known_id(_url(server)) if save else None)
        gateway = None if through is None else _gateway(profiles, through)
        if gateway is None:
            bundle = find_server(server, expected, confirm)
        else:
            bundle = find_through(gateway, str(server))
        transport = Transport(bundle.server_id, bundle.urls, bundle.ca_pem, gateway=gateway)
        try:
            reply = transport.post("/v1/login", LoginRequest(user, password), LoginReply)
        finally:
            transport.close()
        return cls._remember(bundle, reply, profiles, profile, save=save, via=through or "")

    @classmethod
    def with_token(
        cls,
        server: str | Path,
        token: str,
        server_id: str | None = None,
        *,
        profile: str | None = None,
        config: Path | None = None,
        confirm: Confirm | None = None,
        save: bool = True,
    ) -> Self:
        """Use a token that a user made for a program (``make_token``) in place of a login.

        Args:
            server: a client bundle (``client.cpc``), or an address.
            token: the text of the token.
            server_id: what the server at the address must prove to be.
            profile: its name; default ``user@host``.
            config: the folder for the profiles.
            confirm: as in ``login``.
            save: False keeps it in this object only.

        Raises:
            NotAuthenticated: the token is not known, has expired or was revoked.
            ServerUnreachable: no answer, or another server.
            NotAllowed: nobody confirmed the server's id.
        """
        profiles = Profiles(config)
        expected = server_id or (profiles.known_id(_url(server)) if save else None)
        bundle = find_server(server, expected, confirm)
        transport = Transport(bundle.server_id, bundle.urls, bundle.ca_pem, token)
        try:
            me = transport.get("/v1/me", UserView)
            own = transport.get("/v1/me/token", TokenView)
        finally:
            transport.close()
        reply = LoginReply(token, own.expires, me.name, me.admin)
        return cls._remember(bundle, reply, profiles, profile, save=save)

    @classmethod
    def _remember(
        cls,
        bundle: ClientBundle,
        reply: LoginReply,
        profiles: Profiles,
        profile: str | None,
        *,
        save: bool,
        via: str = "",
    ) -> Self:
        url = f"https://{bundle.server_id[:8]}" if via else bundle.urls[0]
        name = profile or profiles.free_name(reply.user, url, bundle.server_id)
        made = Profile(
            bundle.server_id,
            bundle.urls,
            bundle.ca_pem,
            reply.user,
            reply.token,
            reply.expires,
            reply.admin,
            _kept_project(profiles, name, bundle.server_id) if save else "",
            via,
        )
        if save:
            profiles.put(name, made, current=not via)
        return cls._of(made, name, profiles if save else None)

    def __repr__(self) -> str:
        return f"<Client {self.profile.user} at {self._transport.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections; the login stays."""
        self._transport.close()

    def logout(self) -> None:
        """End the login, here and at the server."""
        try:
            self._transport.send("POST", "/v1/logout")
        except NotAuthenticated:
            pass
        finally:
            if self._profiles is not None:
                self._profiles.forget_token(self.profile_name)

    def health(self) -> Health:
        """The server's id, version and time."""
        return self._transport.get("/v1/health", Health)

    def me(self) -> UserView:
        """Who is logged in."""
        return self._transport.get("/v1/me", UserView)

    # --- projects

    def projects(self) -> list[ProjectView]:
        """The projects that one is a member of."""
        return self._transport.get("/v1/projects", list[ProjectView])

    def create_project(self, name: str, seed: int | None = None) -> Project:
        """Make a project, owned by oneself.

        Raises:
            Conflict: There is one of this name.
        """
        self._transport.post("/v1/projects", NewProject(name, seed), ProjectView)
        return self.project(name, check=False)

    def load_project(
        self,
        file: Path | str,
        name: str | None = None,
        *,
        resume: bool = False,
        progress: Progress | None = None,
    ) -> Project:
        """Make a project, owned by oneself, of a file that ``Project.save`` wrote.

        Args:
            file: the archive; all of it is checked before anything is sent.
            name: of the new project; default: the one that it had.
            resume: False leaves it paused.
            progress: called with (name, bytes done, bytes in all).

        Raises:
            BadValue: The file is damaged, or of a newer version.
            Conflict: The name is taken, or the server lacks a module.
        """
        from copernicus.client.moving import load

        view = load(self._transport, Path(file), name, progress, resume=resume)
        return self.project(view.name, check=False)

    def project(self, name: str | None = None, *, check: bool = True) -> Project:
        """A project by name or id; the current one of the profile if none is named.

        Args:
            name: or id.
            check: False asks the server nothing yet.

        Raises:
            NotFound: There is none, or one may not see it; or there is no current one.
        """
        project = Project(self._transport, name or self.current_project())
        if check:
            project.view()
        return project

    def current_project(self) -> str:
        """The name of the project that is used when none is named.

        Raises:
            NotFound: None was chosen.
        """
        if not self.profile.project:
            raise NotFound(
                "No project is chosen: cpc project use NAME, or cpc project create NAME for a new "
                "one, or name one (--project)"
            )
        return self.profile.project

    def use_project(self, name: str) -> None:
        """Remember the project as the current one of the profile."""
        self.profile = msgspec.structs.replace(self.profile, project=name)
        if self._profiles is not None:
            self._profiles.put(self.profile_name, self.profile)

    # --- functions and jobs

    def functions(self) -> list[FunctionView]:
        """What the server's modules offer; broken modules with their problem."""
        return self._transport.get("/v1/functions", list[FunctionView])

    def modules(self) -> list[ModuleView]:
        """The server's modules; broken ones with their problem."""
        return self._transport.get("/v1/modules", list[ModuleView])

    def project_functions(self) -> list[FunctionView]:
        """What was defined in the current project; nothing if none is chosen."""
        project = self.profile.project
        if not project:
            return []
        path = f"/v1/projects/{quote(project, safe='')}/functions"
        try:
            return self._transport.get(path, list[FunctionView])
        except NotFound:
            return []

    def function(self, name: str) -> FunctionView:
        """One function of the server's modules, or one defined in the current project.

        Raises:
            NotFound: Neither has it.
        """
        for view in self.project_functions():
            if view.spec.name == name:
                return view
        return self._transport.get(f"/v1/functions/{quote(name, safe='')}", FunctionView)

    def jobs(self) -> list[JobView]:
        """The queue: all jobs of the projects that one may see."""
        return self._transport.get("/v1/jobs", list[JobView])

    # --- workers

    def workers(self) -> list[WorkerView]:
        """All workers that have joined."""
        return self._transport.get("/v1/workers", list[WorkerView])

    def worker_bundle(
        self, pool: str = "default", uses: int = 100, days: float = 30.0
    ) -> BundleReply:
        """A join token for workers, with what else they need; ``save_worker_bundle`` writes it."""
        return self._transport.post("/v1/bundles", BundleRequest(pool, uses, days), BundleReply)

    def pools(self) -> list[PoolView]:
        """The pools: how many workers each has, and which projects they serve."""
        return self._transport.get("/v1/pools", list[PoolView])

    def set_pool(self, name: str, projects: Sequence[str]) -> list[PoolView]:
        """Say which projects the workers of a pool serve; none named: all."""
        change = PoolChange(tuple(projects))
        return self._transport.put(f"/v1/pools/{quote(name, safe='')}", change, list[PoolView])

    def provision_pool(self, name: str, asked: Provision) -> list[PoolView]:
        """Let a pool start its workers through a batch system, or change how it does.

        Raises:
            BadValue: it cannot be done like this; says what is wrong.
        """
        path = f"/v1/pools/{quote(name, safe='')}/provision"
        return self._transport.put(path, asked, list[PoolView])

    def remove_pool(self, name: str, *, now: bool = False) -> list[PoolView]:
        """Let a pool start no more workers, and let those that run finish; ``now``: end them."""
        path = f"/v1/pools/{quote(name, safe='')}/provision"
        self._transport.send("DELETE", f"{path}?now=true" if now else path)
        return self.pools()

    def drain(self, worker: str) -> None:
        """Let a worker finish what it has, take nothing more, and end."""
        self._transport.send("POST", f"/v1/workers/{quote(worker, safe='')}/drain")

    def resume_worker(self, worker: str) -> None:
        """Give a worker that is drained or quarantined work again."""
        self._transport.send("POST", f"/v1/workers/{quote(worker, safe='')}/resume")

    def revoke(self, worker: str) -> None:
        """Refuse a worker from now on; its jobs go back to the queue at once."""
        self._transport.send("DELETE", f"/v1/workers/{quote(worker, safe='')}")


def save_worker_bundle(path: Path, reply: BundleReply) -> None:
    """Write what a new worker needs to a file that only its owner can read."""
    from datetime import UTC, datetime

    from copernicus.security.bundle import WorkerBundle, write_worker_bundle

    write_worker_bundle(
        path,
        WorkerBundle(
            reply.server_id,
            reply.urls,
            reply.join_urls,
            reply.ca_pem,
            reply.pool,
            reply.join_token,
            datetime.fromtimestamp(reply.expires, UTC),
        ),
    )


def _url(server: Any) -> str:
    try:
        return server_url(str(server))
    except CopernicusError:
        return ""


def _gateway(profiles: Profiles, name: str) -> Gateway:
    """The server of a profile as one that lets its users through; an address of it that answers.

    Raises:
        BadValue: that server is reached through another one itself.
        CopernicusError: it is not known, there is no login, or it does not answer.
    """
    _, near = profiles.get(name)
    if near.via:
        raise BadValue(f"{name} is reached through another server itself: one in between is all")
    if not near.token:
        raise NotAuthenticated(f"You are logged out of {near.urls[0]}, in between: cpc login")
    transport = Transport(near.server_id, near.urls, near.ca_pem)
    try:
        if len(near.urls) > 1:
            transport.get("/v1/health", Health)
        return Gateway(near.server_id, transport.url, near.ca_pem, near.token)
    finally:
        transport.close()


def _kept_project(profiles: Profiles, name: str, server_id: str) -> str:
    old = profiles.all().get(name)
    return old.project if old and old.server_id == server_id else ""
