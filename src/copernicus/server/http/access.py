"""Who asks, and may they: run before every route, which declares its action; none is no entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.handlers import BaseRouteHandler

from copernicus.errors import NotAllowed, NotAuthenticated
from copernicus.protocol.common import PROTOCOL_HEADER, check_client
from copernicus.security.asgi import peer_certificate
from copernicus.security.identity import WorkerIdentity, verify_worker_certificate
from copernicus.security.policy import (
    ANONYMOUS,
    Action,
    Principal,
    PrincipalKind,
    Role,
    Scope,
    authorize,
)
from copernicus.server.batch import Batch
from copernicus.server.holdings import Holdings, Project, no_project
from copernicus.server.http.hosts import check_called
from copernicus.server.site import Site
from copernicus.store.records import SessionRecord, WorkerRecord

T = TypeVar("T")
Connection = ASGIConnection[Any, Any, Any, State]
AnyRequest = Request[Any, Any, State]

ENDS_ITSELF = "ends_itself"
"""In the ``opt`` of a route whose answer ends by itself when the rights to it do."""
WITHDRAWS = "withdraws"
"""In the ``opt`` of a route that takes rights away, perhaps its own: it is answered yet."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, from which address, and what they proved it with."""

    principal: Principal
    address: str
    session: SessionRecord | None = None
    worker: WorkerRecord | None = None

    @property
    def name(self) -> str:
        """The user's name or the worker's id."""
        return self.principal.name


def does(action: Action, *, withdraws: bool = False) -> dict[str, Any]:
    """The ``opt`` by which a route declares what it does, and whether it takes rights away."""
    return {"action": action, **({WITHDRAWS: True} if withdraws else {})}


def site_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Site:
    """The server that was asked."""
    return cast("Site", connection.app.state.site)


def caller_of(request: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """Who asks."""
    return cast("Caller", request.scope["user"])


def worker_of(request: AnyRequest) -> WorkerRecord:
    """The worker that asks.

    Raises:
        NotAuthenticated: it is none.
    """
    worker = caller_of(request).worker
    if worker is None:
        raise NotAuthenticated("Only a worker with its certificate may ask this.")
    return worker


def project_of(request: AnyRequest) -> Project:
    """The project that the request is about; the guard has seen to it that it may be seen."""
    return site_of(request).runtime.holdings.projects.get(request.path_params["project"])


async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
    """Find out who asks, and refuse what they may not do.

    Raises:
        NotAuthenticated: nobody in particular asks, or with a token or certificate that is over.
        NotFound: it is about a project that they may not see.
        NotAllowed: they may see it, but not do this; or the route declares no action.
        UpgradeNeeded: it comes from a client of quite another version.
    """
    action = handler.opt.get("action")
    if not isinstance(action, Action):
        raise NotAllowed("This may not be done by anybody.")
    check_client(connection.headers.get(PROTOCOL_HEADER, ""))
    site = site_of(connection)
    if action is not Action.SEE_HEALTH and peer_certificate(scope_of(connection)) is None:
        headers = connection.headers
        check_called(headers.get("host", ""), headers.get("origin"), site)
    caller = _authenticate(connection, site)
    connection.scope["user"] = caller
    name = connection.path_params.get("project")
    if name is None or caller.principal.kind is PrincipalKind.ANONYMOUS:
        # Whether an attempt is held is for the queue to say: it looks in the same step as it acts.
        authorize(caller.principal, action, holds_attempt=caller.worker is not None)
        return
    _authorized_in(site.runtime.holdings, caller, name, action)


def check_role(request: AnyRequest, batch: Batch) -> Project:
    """The project again, with the rights looked up at the moment of the change itself."""
    name, action = request.path_params["project"], request.route_handler.opt["action"]
    return _authorized_in(batch.holdings, caller_of(request), name, action)


def role_in(holdings: Holdings, caller: Caller, project: Project) -> Role | None:
    """What the caller is in a project as of now; ``None`` if it is not there for them."""
    user = holdings.accounts.users.get(caller.name)
    if user is None or caller.principal.project not in ("", project.record.id):
        return None
    return Role.OWNER if user.admin else project.roles.get(user.name)


def visible_to(holdings: Holdings, caller: Caller) -> list[Project]:
    """The projects that the caller may know of."""
    return [one for one in holdings.projects if role_in(holdings, caller, one) is not None]


def check_still_holds(site: Site, scope: Mapping[str, Any]) -> None:
    """Whether a request that is being answered would still be let in.

    Raises:
        NotAuthenticated: the login has ended, the worker was revoked.
        NotFound: the project is not there for them any more.
        NotAllowed: they may not do this any more.
    """
    holdings, caller = site.runtime.holdings, cast("Caller | None", scope.get("user"))
    if caller is None:
        return
    if caller.worker is not None:
        holdings.machines.trusted(caller.worker.id)
    if caller.session is None:
        return
    if caller.session.sha256 not in holdings.accounts.sessions:
        raise NotAuthenticated("This login has ended: log in again (cpc login).")
    name = scope["path_params"].get("project")
    if name is not None:
        _authorized_in(holdings, caller, name, scope["route_handler"].opt["action"])


def _authorized_in(holdings: Holdings, caller: Caller, name: str, action: Action) -> Project:
    project = holdings.projects.find(name)
    role = None if project is None else role_in(holdings, caller, project)
    if project is None or role is None:
        raise no_project(name)
    authorize(caller.principal, action, role)
    return project


def _authenticate(connection: Connection, site: Site) -> Caller:
    address = connection.client.host if connection.client else ""
    machines = site.runtime.holdings.machines
    certificate = peer_certificate(scope_of(connection))
    if certificate is not None:
        identity = holder_of(certificate, site)
        worker = machines.trusted(identity.worker_id)
        return Caller(Principal.worker(worker.id), address, worker=worker)
    if connection.client is not None and site.tunnels is not None:
        address = site.tunnels.origin(*connection.client) or address
    return session_caller(site, connection.headers.get("authorization", ""), address)


def session_caller(site: Site, authorization: str, address: str) -> Caller:
    """Who shows this ``Authorization`` header; nobody in particular without one.

    Raises:
        NotAuthenticated: the token is not known, or over.
    """
    scheme, _, token = authorization.partition(" ")
    if not token:
        return Caller(ANONYMOUS, address)
    if scheme.lower() != "bearer":
        raise NotAuthenticated("The Authorization header must be: Bearer TOKEN.")
    now = site.clock.now()
    accounts = site.runtime.holdings.accounts
    user, session = accounts.check(token.strip(), now, site.settings.session_idle_s)
    used = accounts.note_use(session, now)
    if used is not None:
        site.runtime.post(
            lambda batch: batch.write(lambda tx: tx.touch_sessions({used.sha256: now}))
        )
    principal = Principal.user(
        user.name, admin=user.admin, scope=Scope(session.scope), project=session.project
    )
    return Caller(principal, address, session=session)


def scope_of(connection: Connection) -> dict[str, Any]:
    """What the port knows of a connection."""
    return cast("dict[str, Any]", connection.scope)


def holder_of(certificate: bytes, site: Site) -> WorkerIdentity:
    """The worker that shows a certificate.

    Raises:
        NotAuthenticated: it is none of this server's, or over.
    """
    ca_pem = site.authority.ca_pem
    return site.clock.by_either(lambda now: verify_worker_certificate(certificate, ca_pem, now))


async def packed(request: AnyRequest, kind: type[T]) -> T:
    """The body of a request of the machine port.

    Raises:
        msgspec.ValidationError: it is no ``kind``.
    """
    return msgspec.msgpack.decode(await request.body(), type=kind)
