"""Who answers, logging in and out, one's own account; and for administrators, all users."""

from __future__ import annotations

from litestar import Router, delete, get, post, put
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_204_NO_CONTENT

import copernicus
from copernicus.errors import NotAuthenticated
from copernicus.protocol import (
    PROTOCOL,
    Health,
    LoginReply,
    LoginRequest,
    NewPassword,
    NewUser,
    UserView,
)
from copernicus.protocol.accounts import AdminRight
from copernicus.security.passwords import needs_rehash
from copernicus.security.policy import Action
from copernicus.server.batch import Batch
from copernicus.server.http.access import AnyRequest, caller_of, does, site_of
from copernicus.server.http.withdrawal import withdraw
from copernicus.server.site import Site
from copernicus.store.records import UserRecord, sender_of

_NO_CONTENT = HTTP_204_NO_CONTENT


@get("/health", opt=does(Action.SEE_HEALTH))
async def health(state: State) -> Health:
    """Who answers; needs no login."""
    site: Site = state.site
    return Health(
        site.authority.server_id,
        copernicus.__version__,
        PROTOCOL,
        site.clock.now(),
        site.authority.ca_pem,
    )


@post("/login", opt=does(Action.LOG_IN), status_code=200)
async def login(request: AnyRequest, data: JSONBody[LoginRequest]) -> LoginReply:
    """A token for name and password."""
    site, address = site_of(request), caller_of(request).address
    user = site.runtime.holdings.accounts.users.get(data.user)
    shown = data.user[:64]
    key, now = (shown, address), site.clock.now()
    # Not in the audit log: a flood of tries must not become a flood of entries.
    site.doorkeeper.check_pause(key, now)
    try:
        await site.doorkeeper.check(user, data.password, key, now)
    except NotAuthenticated:
        site.runtime.post(lambda batch: batch.audit(shown, address, "session.begin", "", "refused"))
        raise
    assert user is not None
    rehashed = await site.doorkeeper.hash(data.password) if needs_rehash(user.password) else None

    def begin(batch: Batch) -> LoginReply:
        accounts = batch.holdings.accounts
        token, session = accounts.begin(user.name, batch.now, site.settings.session_life_s)
        batch.write(lambda tx: tx.add_session(session))
        batch.audit(user.name, address, "session.begin", "")
        return LoginReply(token.text, session.expires, user.name, user.admin)

    if rehashed is not None:
        await _store_password(request, user.name, rehashed)
    return await site.runtime.do(begin)


@post("/logout", opt=does(Action.END_SESSION, withdraws=True), status_code=_NO_CONTENT)
async def logout(request: AnyRequest) -> None:
    """End this login."""
    caller = caller_of(request)
    session = caller.session
    if session is None:
        return

    def end(batch: Batch) -> None:
        batch.holdings.accounts.end(session.sha256)
        batch.write(lambda tx: tx.end_session(session.sha256))
        batch.audit(caller.name, caller.address, "session.end", "")

    await site_of(request).runtime.do(end)
    withdraw(site_of(request))


@get("/me", opt=does(Action.SEE_OWN_ACCOUNT))
async def me(request: AnyRequest) -> UserView:
    """The user whose login this is."""
    return _view(site_of(request).runtime.holdings.accounts.user(caller_of(request).name))


@put("/me/password", opt=does(Action.MANAGE_OWN_ACCOUNT, withdraws=True), status_code=_NO_CONTENT)
async def change_password(request: AnyRequest, data: JSONBody[NewPassword]) -> None:
    """Change one's own password; ends every login, this one too."""
    hashed = await site_of(request).doorkeeper.hash(data.password)
    await _store_password(request, caller_of(request).name, hashed)


@get("/users", opt=does(Action.MANAGE_USERS))
async def list_users(request: AnyRequest) -> list[UserView]:
    """All users."""
    users = site_of(request).runtime.holdings.accounts.users
    return [_view(users[name]) for name in sorted(users)]


@post("/users", opt=does(Action.MANAGE_USERS))
async def add_user(request: AnyRequest, data: JSONBody[NewUser]) -> UserView:
    """A new user."""
    caller, site = caller_of(request), site_of(request)
    hashed = await site.doorkeeper.hash(data.password)

    def add(batch: Batch) -> UserView:
        user = UserRecord(data.name, hashed, data.admin, batch.now)
        batch.holdings.accounts.add(user)
        batch.write(lambda tx: tx.add_user(user))
        batch.audit(caller.name, caller.address, "user.add", data.name)
        return _view(user)

    return await site.runtime.do(add)


@put(
    "/users/{name:str}/password",
    opt=does(Action.MANAGE_USERS, withdraws=True),
    status_code=_NO_CONTENT,
)
async def reset_password(
    request: AnyRequest, name: FromPath[str], data: JSONBody[NewPassword]
) -> None:
    """Give a user another password; ends every login of theirs."""
    site_of(request).runtime.holdings.accounts.user(name)
    hashed = await site_of(request).doorkeeper.hash(data.password)
    await _store_password(request, name, hashed)


@put("/users/{name:str}/admin", opt=does(Action.MANAGE_USERS, withdraws=True), status_code=200)
async def set_admin(
    request: AnyRequest, name: FromPath[str], data: JSONBody[AdminRight]
) -> UserView:
    """Make a user an administrator, or one no more."""
    caller = caller_of(request)

    def change(batch: Batch) -> UserView:
        batch.holdings.accounts.set_admin(name, admin=data.admin)
        batch.write(lambda tx: tx.set_admin(name, admin=data.admin))
        thing = f"{name}: {'administrator' if data.admin else 'no administrator'}"
        batch.audit(caller.name, caller.address, "user.admin", thing)
        return _view(batch.holdings.accounts.user(name))

    view = await site_of(request).runtime.do(change)
    withdraw(site_of(request))
    return view


@delete("/users/{name:str}", opt=does(Action.MANAGE_USERS, withdraws=True))
async def delete_user(request: AnyRequest, name: FromPath[str]) -> None:
    """Remove a user; their projects stay, for administrators."""
    caller = caller_of(request)

    def remove(batch: Batch) -> None:
        batch.holdings.accounts.delete(name)
        for project in batch.holdings.projects:
            project.roles.pop(name, None)
        site_of(request).uploads.chunks.forget(sender_of("user", name))
        batch.write(lambda tx: tx.delete_user(name))
        batch.audit(caller.name, caller.address, "user.delete", name)

    await site_of(request).runtime.do(remove)
    withdraw(site_of(request))


async def _store_password(request: AnyRequest, name: FromPath[str], hashed: str) -> None:
    caller = caller_of(request)

    def change(batch: Batch) -> None:
        batch.holdings.accounts.set_password(name, hashed)
        batch.write(lambda tx: tx.set_password(name, hashed))
        batch.audit(caller.name or name, caller.address, "user.password", name)

    await site_of(request).runtime.do(change)
    withdraw(site_of(request))


def _view(user: UserRecord) -> UserView:
    return UserView(user.name, user.admin, user.created)


SESSION_ROUTES = Router(
    "/v1",
    route_handlers=[
        health,
        login,
        logout,
        me,
        change_password,
        list_users,
        add_user,
        reset_password,
        set_admin,
        delete_user,
    ],
    tags=["accounts"],
)
