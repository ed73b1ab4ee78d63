"""Logins and tokens of a user: making one for a program, listing all, ending them."""

from __future__ import annotations

from litestar import Router, delete, get, post
from litestar.params import FromPath, JSONBody

from copernicus.errors import BadValue, NotFound
from copernicus.protocol.accounts import NewToken, TokenReply, TokenView
from copernicus.security.policy import Action, Scope
from copernicus.server.batch import Batch
from copernicus.server.holdings import no_project
from copernicus.server.http.access import (
    AnyRequest,
    Caller,
    caller_of,
    does,
    role_in,
    site_of,
)
from copernicus.server.http.withdrawal import withdraw
from copernicus.store.records import SessionRecord

_DAY_S = 86400.0
_MOST_DAYS = 366.0
_SHORT = 12


@get("/me/token", opt=does(Action.SEE_OWN_ACCOUNT))
async def own_token(request: AnyRequest) -> TokenView:
    """What the request itself was proved with."""
    caller = caller_of(request)
    if caller.session is None:
        raise NotFound("This request came without a token.")
    session = caller.session
    return await site_of(request).runtime.do(lambda batch: _view(batch, session, caller))


@get("/me/tokens", opt=does(Action.MANAGE_OWN_ACCOUNT))
async def list_own_tokens(request: AnyRequest) -> list[TokenView]:
    """One's own logins and tokens, oldest first."""
    return await _list(request, caller_of(request).name)


@post("/me/tokens", opt=does(Action.MANAGE_OWN_ACCOUNT))
async def make_token(request: AnyRequest, data: JSONBody[NewToken]) -> TokenReply:
    """A token for a program: it is shown this once."""
    caller = caller_of(request)
    scope = Scope.of_token(data.scope)
    if not 0 < data.days <= _MOST_DAYS:
        raise BadValue(f"A token holds for more than 0 and at most {_MOST_DAYS:.0f} days.")
    if len(data.name) > 100:
        raise BadValue("The name of a token has at most 100 characters.")

    def make(batch: Batch) -> TokenReply:
        project = _project_id(batch, caller, data.project)
        token, session = batch.holdings.accounts.begin(
            caller.name,
            batch.now,
            data.days * _DAY_S,
            scope=scope,
            name=data.name,
            project=project,
        )
        batch.write(lambda tx: tx.add_session(session))
        thing = f"{_id(session)} {scope.value} {data.name}".strip()
        batch.audit(caller.name, caller.address, "token.make", thing)
        return TokenReply(token.text, _view(batch, session, caller))

    return await site_of(request).runtime.do(make)


@delete("/me/tokens/{token:str}", opt=does(Action.MANAGE_OWN_ACCOUNT, withdraws=True))
async def end_own_token(request: AnyRequest, token: FromPath[str]) -> None:
    """End one of one's own logins or tokens, at once."""
    await _end(request, caller_of(request).name, token)


@get("/users/{name:str}/tokens", opt=does(Action.MANAGE_USERS))
async def list_tokens(request: AnyRequest, name: FromPath[str]) -> list[TokenView]:
    """The logins and tokens of a user, oldest first."""
    return await _list(request, name)


@delete("/users/{name:str}/tokens/{token:str}", opt=does(Action.MANAGE_USERS, withdraws=True))
async def end_token(request: AnyRequest, name: FromPath[str], token: FromPath[str]) -> None:
    """End a login or a token of a user, at once."""
    await _end(request, name, token)


async def _list(request: AnyRequest, user: str) -> list[TokenView]:
    caller = caller_of(request)

    def look(batch: Batch) -> list[TokenView]:
        accounts = batch.holdings.accounts
        accounts.user(user)
        return [_view(batch, one, caller) for one in accounts.sessions_of(user)]

    return await site_of(request).runtime.do(look)


async def _end(request: AnyRequest, user: str, token: str) -> None:
    caller = caller_of(request)

    def end(batch: Batch) -> None:
        accounts = batch.holdings.accounts
        accounts.user(user)
        for session in accounts.sessions_of(user):
            if _id(session) == token:
                accounts.end(session.sha256)
                batch.write(lambda tx, sha256=session.sha256: tx.end_session(sha256))  # type: ignore[misc]
                batch.audit(caller.name, caller.address, "token.revoke", f"{user}: {token}")
                return
        raise NotFound(f"{user!r} has no login or token {token[:40]!r} (cpc user token list).")

    await site_of(request).runtime.do(end)
    withdraw(site_of(request))


def _project_id(batch: Batch, caller: Caller, name: str) -> str:
    if not name:
        return ""
    project = batch.holdings.projects.find(name)
    if project is None or role_in(batch.holdings, caller, project) is None:
        raise no_project(name)
    return project.record.id


def _id(session: SessionRecord) -> str:
    # Of the hash, not of the token: it may be shown and logged.
    return session.sha256[:_SHORT]


def _view(batch: Batch, session: SessionRecord, caller: Caller) -> TokenView:
    project = batch.holdings.projects.find(session.project)
    return TokenView(
        _id(session),
        session.user,
        session.scope,
        session.created,
        session.expires,
        session.last_used,
        name=session.name,
        project=project.record.name if project else session.project,
        current=caller.session is not None and caller.session.sha256 == session.sha256,
    )


TOKEN_ROUTES = Router(
    "/v1",
    route_handlers=[
        own_token,
        list_own_tokens,
        make_token,
        end_own_token,
        list_tokens,
        end_token,
    ],
    tags=["accounts"],
)
