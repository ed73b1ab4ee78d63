"""A running server with a project, and somebody of every kind who might ask it for something."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from litestar import Litestar

from copernicus.errors import NotAllowed, NotAuthenticated
from copernicus.security.policy import ANONYMOUS, Action, Principal, Role, Scope, authorize
from copernicus.server.embedded import EmbeddedServer
from copernicus.server.http import apps
from support.server_client import PASSWORD, User, add, define, echo_function

FIELDS = {
    "sha256": "0" * 64,
    "job": "a1",
    "user": "viewer",
    "name": "nobody",
    "token": "0",
    "worker": "w",
}
MEMBERS = ("viewer", "editor", "owner")
PROJECT = "cells"


@dataclass(frozen=True)
class Route:
    method: str
    path: str
    action: Action
    source: str = field(default="", repr=False, compare=False)

    @property
    def in_project(self) -> bool:
        return "{project}" in self.path

    @property
    def url(self) -> str:
        fields = {"project": PROJECT, **FIELDS}
        return re.sub(r"{(\w+)}", lambda found: fields.get(found[1], "x"), self.path)


@dataclass(frozen=True)
class Caller:
    """Who asks: what the policy knows of them, and their right in the project."""

    name: str
    principal: Principal
    role: Role | None = None

    def expected(self, route: Route) -> int:
        """200 stands for whatever comes once one is let in."""
        if route.in_project and self.principal != ANONYMOUS and self.role is None:
            return 404
        try:
            authorize(self.principal, route.action, self.role)
        except NotAuthenticated:
            return 401
        except NotAllowed:
            return 403
        return 200


CALLERS = (
    Caller("anonymous", ANONYMOUS),
    Caller("stranger", Principal.user("stranger")),
    Caller("viewer", Principal.user("viewer"), Role.VIEWER),
    Caller("editor", Principal.user("editor"), Role.EDITOR),
    Caller("owner", Principal.user("owner"), Role.OWNER),
    Caller("admin", Principal.user("admin", admin=True), Role.OWNER),
    Caller("token to read", Principal.user("owner", scope=Scope.READ), Role.OWNER),
    Caller("token to edit", Principal.user("owner", scope=Scope.EDIT), Role.OWNER),
    Caller("token for all", Principal.user("owner", scope=Scope.ALL), Role.OWNER),
    Caller("token elsewhere", Principal.user("owner", scope=Scope.ALL, project="other")),
)


class World:
    """A project with members, and somebody of each kind; mended after what a cell did to it."""

    def __init__(self, server: EmbeddedServer, routes: dict[str, list[Route]]) -> None:
        self.server, self.routes = server, routes
        self.admin = User(server, "admin")
        self.users: dict[str, User] = {}
        for name in ("stranger", *MEMBERS):
            self.admin.call("POST", "/v1/users", {"name": name, "password": PASSWORD})
        self.people = {name: User(server, name) for name in ("stranger", *MEMBERS)}
        self.people["owner"].call("POST", "/v1/projects", {"name": "other"})
        self.mend()

    def mend(self) -> None:
        if self.admin.send("GET", f"/v1/projects/{PROJECT}").status_code == 404:
            owner = User(self.server, "owner")
            owner.call("POST", "/v1/projects", {"name": PROJECT})
            owner.edit(PROJECT, define(echo_function()), add("one"))
            owner.close()
        for name in ("viewer", "editor"):
            member = {"user": name, "role": name}
            self.admin.call("PUT", f"/v1/projects/{PROJECT}/members", member)
        for caller in CALLERS:
            known = self.users.get(caller.name)
            if known is None or (known.token and known.send("GET", "/v1/me").status_code == 401):
                if known is not None:
                    known.close()
                self.users[caller.name] = self._new(caller)

    def _new(self, caller: Caller) -> User:
        name, scope = caller.principal.name, caller.principal.scope
        if scope is Scope.LOGIN:
            return User(self.server, name)
        owner, user = User(self.server, name), User(self.server)
        wanted = {"scope": scope.value, "project": caller.principal.project}
        user.token = owner.call("POST", "/v1/me/tokens", wanted)["token"]
        owner.close()
        return user

    def close(self) -> None:
        for user in (self.admin, *self.people.values(), *self.users.values()):
            user.close()


@contextmanager
def running_world(folder: Path, settings: Mapping[str, Any] | None = None) -> Iterator[World]:
    """A server with everybody; its routes are those of the applications that it really runs."""
    made: list[Litestar] = []
    build = apps._app
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apps, "_app", lambda *given: made.append(build(*given)) or made[-1])
        _, server = EmbeddedServer.make(folder / "s", PASSWORD, settings)
        with server as running:
            assert running.running.user_port, "both applications are there"
            machine, user = (list(routes_of(app)) for app in made)
            world = World(running, {"machine": machine, "user": user})
            try:
                yield world
            finally:
                world.close()


def routes_of(app: Litestar) -> Iterator[Route]:
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            for method in sorted(handler.http_methods - {"OPTIONS", "HEAD"}):
                if route.path_format.startswith("/v1/"):
                    source = inspect.getsource(handler.fn)
                    yield Route(method, route.path_format, handler.opt["action"], source)
