"""Commands about logins, users and profiles."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from copernicus.cli.options import AT_SERVER, LOCAL, AtServer, Local
from copernicus.cli.output import emit, note
from copernicus.cli.session import client_for, confirm, read_password
from copernicus.errors import BadValue, CopernicusError, UserError

PasswordFile = Annotated[Path | None, Parameter(name="--password-file", allow_leading_hyphen=True)]


def login(
    server: str | None = None,
    /,
    *,
    user: Annotated[str | None, Parameter(name=["--user", "-u"])] = None,
    server_id: str | None = None,
    password_file: PasswordFile = None,
    token_file: Annotated[
        Path | None, Parameter(name="--token-file", allow_leading_hyphen=True)
    ] = None,
    profile: str | None = None,
    on: Annotated[str | None, Parameter(env_var="CPC_ON", show_env_var=False)] = None,
    options: Local = LOCAL,
) -> None:
    """Log in.

    Args:
        server: The server's client bundle (client.cpc), or its address: https://host:14807
        on: In place of an address, the whole id of a peer of the current server, through which it
            is reached.
        user: Your name at that server; default: asked for.
        server_id: The id that the server must have; its administrator knows it.
        password_file: A file with the password (- is standard input); default: asked for.
        token_file: A file with a token (cpc user token create), in place of name and password.
        profile: Name for this login; default: user@host.
        options: Common ones.
    """
    from copernicus.client import Client
    from copernicus.client.profiles import Profiles

    if (server is None) == (on is None):
        raise BadValue("say where: a bundle or an address, or the id of a peer with --on")
    if on is not None and token_file is not None:
        raise BadValue("through another server, log in with name and password")
    if token_file is not None and server is not None:
        token = read_password(token_file)
        client = Client.with_token(server, token, server_id, profile=profile)
    else:
        name = user or _ask_user()
        password = read_password(password_file, f"Password of {name}: ")
        through = None if on is None else Profiles().get()[0]
        client = Client.login(
            server or on or "", name, password, server_id, profile=profile, through=through
        )
    data = {
        "user": client.profile.user,
        "admin": client.profile.admin,
        "server_id": client.profile.server_id,
        "urls": client.profile.urls,
        "profile": client.profile_name,
        "expires": client.profile.expires,
    }
    emit(
        options.json,
        data,
        f"Logged in as {client.profile.user} at {client.profile.urls[0]} "
        f"(server {client.profile.server_id}, profile {client.profile_name})",
    )


def _ask_user() -> str:
    if not sys.stdin.isatty():
        raise UserError("There is no terminal to ask for your name: give --user NAME")
    name = input("User: ").strip()
    if not name:
        raise UserError("No name was given")
    return name


def logout(*, options: AtServer = AT_SERVER) -> None:
    """Log out."""
    client = client_for(options)
    client.logout()
    emit(options.json, {"profile": client.profile_name}, f"Logged out of {client.profile_name}")


def whoami(*, options: AtServer = AT_SERVER) -> None:
    """Show the login."""
    from copernicus.cli.render.tables import facts, moment

    client = client_for(options)
    me, health = client.me(), client.health()
    data = {
        "user": me.name,
        "admin": me.admin,
        "profile": client.profile_name,
        "server_id": client.profile.server_id,
        "server_version": health.version,
        "urls": client.profile.urls,
        "project": client.profile.project,
        "expires": client.profile.expires,
    }
    rows = [
        ("user", f"{me.name} (administrator)" if me.admin else me.name),
        ("server", f"{client.profile.urls[0]} (id {client.profile.server_id})"),
        ("version", health.version),
        ("profile", client.profile_name),
        ("project", client.profile.project or "none chosen"),
        ("login until", moment(client.profile.expires)),
    ]
    emit(options.json, data, lambda: facts(rows))


def user_add(
    name: str,
    /,
    *,
    admin: Annotated[bool, Parameter(show_default=False)] = False,
    password_file: PasswordFile = None,
    options: AtServer = AT_SERVER,
) -> None:
    """Make a user.

    Args:
        name: The new user's name.
        admin: May manage users and workers.
        password_file: A file with the password (- is standard input); default: asked for.
        options: Common ones.
    """
    client = client_for(options)
    password = read_password(password_file, f"Password for {name}: ", twice=True)
    made = client.add_user(name, password, admin=admin)
    emit(options.json, made, f"{made.name} can log in: cpc login {client.profile.urls[0]}")


def user_list(*, options: AtServer = AT_SERVER) -> None:
    """List the users."""
    from copernicus.cli.render.tables import moment, table

    users = client_for(options).users()
    rows = [(u.name, "administrator" if u.admin else "", moment(u.created)) for u in users]
    emit(options.json, users, lambda: table(("user", "", "since"), rows))


def user_passwd(
    name: str | None = None,
    /,
    *,
    password_file: PasswordFile = None,
    options: AtServer = AT_SERVER,
) -> None:
    """Change a password; ends that user's logins.

    Args:
        name: The user (for administrators); default: yourself.
        password_file: A file with the new password (- is standard input); default: asked for.
        options: Common ones.
    """
    client = client_for(options)
    password = read_password(password_file, "New password: ", twice=True)
    own = name in (None, client.profile.user)
    client.set_password(password, None if own else name)
    text = "Your password is changed; log in again: cpc login" if own else f"{name} has it"
    emit(options.json, {"user": name or client.profile.user}, text)


def user_admin(
    name: str,
    /,
    *,
    remove: Annotated[bool, Parameter(show_default=False)] = False,
    options: AtServer = AT_SERVER,
) -> None:
    """Make a user an administrator.

    Args:
        name: The user.
        remove: Make them an administrator no more.
        options: Common ones.
    """
    view = client_for(options).set_admin(name, admin=not remove)
    text = f"{view.name} is {'an administrator' if view.admin else 'no administrator any more'}"
    emit(options.json, view, text)


def user_remove(
    name: str,
    /,
    *,
    yes: Annotated[bool, Parameter(show_default=False)] = False,
    options: AtServer = AT_SERVER,
) -> None:
    """Remove a user.

    Args:
        name: The user.
        yes: Do not ask.
        options: Common ones.
    """
    client = client_for(options)
    confirm(f"Remove the user {name}?", yes=yes, otherwise=f"To remove {name}, add --yes")
    client.remove_user(name)
    emit(options.json, {"user": name}, f"{name} is removed")


def profile_list(*, options: Local = LOCAL) -> None:
    """List the logins on this machine."""
    from copernicus.cli.render.tables import short_id, table
    from copernicus.client.profiles import Profiles

    profiles = Profiles()
    found, current = profiles.all(), profiles.current
    data = [
        {
            "name": name,
            "current": name == current,
            "user": p.user,
            "server_id": p.server_id,
            "urls": p.urls,
            "project": p.project,
            "logged_in": bool(p.token),
        }
        for name, p in sorted(found.items())
    ]
    rows = [
        (
            "*" if name == current else "",
            name,
            short_id(p.server_id),
            p.project or "-",
            "logged in" if p.token else "logged out",
        )
        for name, p in sorted(found.items())
    ]
    if not found and not options.json:
        note("No logins yet: cpc login https://SERVER:14807")
        return
    emit(options.json, data, lambda: table(("", "profile", "server", "project", ""), rows))


def profile_use(name: str, /, *, options: Local = LOCAL) -> None:
    """Choose the current login.

    Args:
        name: As in cpc profile list.
        options: Common ones.
    """
    from copernicus.client.profiles import Profiles

    profiles = Profiles()
    try:
        profiles.use(name)
    except CopernicusError:
        by_host = [n for n in profiles.all() if n.partition("@")[2].partition(":")[0] == name]
        if len(by_host) != 1:
            raise
        name = by_host[0]
        profiles.use(name)
    emit(options.json, {"profile": name}, f"Using {name}")
