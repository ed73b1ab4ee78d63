"""Commands about tokens: of users and their programs, and of bundles that let workers in."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from copernicus.cli.options import AT_SERVER, AtServer
from copernicus.cli.output import emit, note
from copernicus.cli.session import client_for, confirm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from copernicus.protocol.accounts import JoinTokenView, TokenView

_EVERY = "all"
Flag = Annotated[bool, Parameter(show_default=False)]


def create(
    name: str,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    scope: Literal["read", "edit", "all"] = "read",
    days: float = 30.0,
    project: Annotated[str, Parameter(name=["--project", "-p"], show_default=False)] = "",
    options: AtServer = AT_SERVER,
) -> None:
    """Make a token for a program, in a file that only you can read.

    Args:
        name: What it is for, to know it again in the list.
        output: The file to write; whoever has it can do what the token may.
        scope: Look and fetch; also change and run; or all that you may but change your account.
        days: For how long; at most 366.
        project: The only project that it is good for; default: all of yours.
        options: Common ones.
    """
    from copernicus.cli.render.tables import moment
    from copernicus.security.files import write_private

    client = client_for(options)
    made = client.make_token(name, scope, days, project)
    write_private(output, f"{made.token}\n".encode())
    data = {"file": str(output), **_plain(made.view)}
    where = f" in {made.view.project}" if made.view.project else ""
    emit(
        options.json,
        data,
        f"{output} holds the token {made.view.id} ({scope}{where}) until "
        f"{moment(made.view.expires)}; the program logs in with:\n"
        f"  cpc login {client.profile.urls[0]} --token-file {output.name}",
    )


def _plain(view: TokenView) -> dict[str, object]:
    import msgspec

    plain: dict[str, object] = msgspec.to_builtins(view)
    return plain


def list_all(*, user: str | None = None, options: AtServer = AT_SERVER) -> None:
    """List logins and tokens.

    Args:
        user: Whose (for administrators); default: yours.
        options: Common ones.
    """
    found = client_for(options).tokens(user)
    emit(options.json, found, lambda: tokens_table(found))


def tokens_table(found: Sequence[TokenView]) -> Table:
    """``cpc user token list``."""
    from copernicus.cli.render.tables import moment, table

    rows = []
    for one in found:
        may = "everything" if one.scope == "login" else one.scope
        kind = "login" if one.scope == "login" else f"token {one.name}".rstrip()
        scope = f"{may} in {one.project}" if one.project else may
        here = "this one" if one.current else ""
        rows.append((one.id, kind, scope, moment(one.last_used), moment(one.expires), here))
    headers = ("id", "what", "may", "last used", "until", "")
    return table(headers, rows)


def revoke(
    token: str,
    /,
    *,
    user: str | None = None,
    options: AtServer = AT_SERVER,
) -> None:
    """End a login or a token.

    Args:
        token: Its id, as in cpc user token list; or all: each but the one in use.
        user: Whose (for administrators); default: yours.
        options: Common ones.
    """
    client = client_for(options)
    known = client.tokens(user)
    if token == _EVERY:
        ended = [one.id for one in known if not one.current]
    else:
        ended = [_find(token, [one.id for one in known])]
    for one in ended:
        client.end_token(one, user)
    said = ", ".join(ended) or "nothing"
    emit(options.json, {"ended": ended}, f"Ended: {said}")


def _find(wanted: str, known: Sequence[str]) -> str:
    from copernicus.cli.render.tables import find_id

    return find_id(wanted, known, "user token")


def list_joining(*, options: AtServer = AT_SERVER) -> None:
    """List the join tokens.

    Args:
        options: Common ones.
    """
    found = client_for(options).join_tokens()
    if not found and not options.json:
        note("No bundles yet: cpc worker bundle -o lab.cpc")
        return
    emit(options.json, found, lambda: joining_table(found, time.time()))


def joining_table(found: Sequence[JoinTokenView], now: float) -> Table:
    """``cpc worker token list``."""
    from copernicus.cli.render.tables import moment, table

    rows = [
        (
            one.id,
            one.pool,
            f"{len(one.workers)} of {one.uses}",
            _state(one, now),
            moment(one.expires),
            one.creator,
        )
        for one in found
    ]
    return table(("token", "pool", "used", "state", "until", "made by"), rows)


def _state(one: JoinTokenView, now: float) -> str:
    if one.revoked:
        return "revoked"
    if now >= one.expires:
        return "expired"
    return "good" if one.uses_left else "used up"


def revoke_joining(
    token: str,
    /,
    *,
    workers: Flag = False,
    dry_run: Flag = False,
    yes: Flag = False,
    options: AtServer = AT_SERVER,
) -> None:
    """Revoke a join token.

    Args:
        token: Its id, as in cpc worker token list; it stands in the bundle after jt_, too.
        workers: Revoke also the workers that came in with it; their jobs go back to the queue.
        dry_run: Only say what would be revoked.
        yes: Do not ask.
        options: Common ones.
    """
    from copernicus.cli.render.tables import counted, find_id

    client = client_for(options)
    known = {one.id: one for one in client.join_tokens()}
    found = known[find_id(token, known, "worker token")]
    also = f" and {counted(len(found.workers), 'worker')}" if workers else ""
    what = f"the join token {found.id} ({found.uses_left} uses left){also}"
    if dry_run:
        emit(options.json, found, f"Would revoke {what}")
        return
    if workers and found.workers:
        confirm(f"Revoke {what}?", yes=yes, otherwise=f"To revoke {what}, add --yes")
    view = client.revoke_join_token(found.id, workers=workers)
    emit(options.json, view, f"Revoked {what}")
