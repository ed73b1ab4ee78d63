"""Users, their tokens, who may let workers in, and the audit log: mostly for administrators."""

from __future__ import annotations

from typing import Literal
from urllib.parse import quote

from copernicus.client.transport import Transport
from copernicus.protocol import NewPassword, NewUser, UserView
from copernicus.protocol.accounts import (
    AdminRight,
    AuditChain,
    AuditView,
    JoinTokenView,
    NewToken,
    TokenReply,
    TokenView,
)


class Administering:
    """What a ``Client`` can ask about accounts."""

    _transport: Transport

    def users(self) -> list[UserView]:
        """All users (for administrators)."""
        return self._transport.get("/v1/users", list[UserView])

    def add_user(self, name: str, password: str, *, admin: bool = False) -> UserView:
        """Make a user (for administrators)."""
        return self._transport.post("/v1/users", NewUser(name, password, admin), UserView)

    def remove_user(self, name: str) -> None:
        """Remove a user (for administrators); their connections are cut at once."""
        self._transport.send("DELETE", f"/v1/users/{_quoted(name)}")

    def set_admin(self, name: str, *, admin: bool) -> UserView:
        """Make a user an administrator, or one no more (for administrators).

        Raises:
            Conflict: it is the last administrator.
        """
        path = f"/v1/users/{_quoted(name)}/admin"
        return self._transport.put(path, AdminRight(admin), UserView)

    def set_password(self, password: str, user: str | None = None) -> None:
        """Change one's own password, or (for administrators) that of another user."""
        path = f"/v1/users/{_quoted(user)}/password" if user else "/v1/me/password"
        self._transport.send("PUT", path, NewPassword(password))

    def own_token(self) -> TokenView:
        """The login, or the token, that this client shows."""
        return self._transport.get("/v1/me/token", TokenView)

    def tokens(self, user: str | None = None) -> list[TokenView]:
        """One's own logins and tokens, or (for administrators) those of a user."""
        return self._transport.get(_tokens(user), list[TokenView])

    def make_token(
        self,
        name: str = "",
        scope: Literal["read", "edit", "all"] = "read",
        days: float = 30.0,
        project: str = "",
    ) -> TokenReply:
        """A token for a program; the text of it is in this answer only.

        Args:
            name: what it is for, as in the list of tokens.
            scope: ``read`` looks and fetches, ``edit`` also changes and runs, ``all`` may do what
                the user may, but for changing the account.
            days: for how long; at most 366.
            project: the only project that it is good for; default: all of the user's.
        """
        body = NewToken(name, scope, days, project)
        return self._transport.post("/v1/me/tokens", body, TokenReply)

    def end_token(self, token: str, user: str | None = None) -> None:
        """End a login or token by its id, at once; (for administrators) also of another user."""
        self._transport.send("DELETE", f"{_tokens(user)}/{_quoted(token)}")

    def join_tokens(self) -> list[JoinTokenView]:
        """The join tokens of all worker bundles, newest first (for administrators)."""
        return self._transport.get("/v1/join-tokens", list[JoinTokenView])

    def revoke_join_token(self, token: str, *, workers: bool = False) -> JoinTokenView:
        """Let nobody in with a bundle any more (for administrators).

        Args:
            token: its id.
            workers: revoke also the workers that came in with it.
        """
        path = f"/v1/join-tokens/{_quoted(token)}"
        return self._transport.delete(path, JoinTokenView, workers=workers)

    def audit(
        self,
        *,
        actor: str = "",
        source: str = "",
        action: str = "",
        about: str = "",
        outcome: str = "",
        after: float | None = None,
        before: float | None = None,
        older: int | None = None,
        count: int = 100,
    ) -> list[AuditView]:
        """Who did what, newest first (for administrators); what is empty does not matter.

        Args:
            actor: the user's name or the worker's id.
            source: the address that it came from.
            action: such as ``project.delete``; ``project`` stands for all that begin with it.
            about: a text in what was acted on.
            outcome: ``done`` or ``refused``.
            after: a time, epoch seconds.
            before: a time, epoch seconds.
            older: only entries before this number, for the next page.
            count: at most so many, up to 1000.
        """
        return self._transport.get(
            "/v1/audit",
            list[AuditView],
            actor=actor,
            source=source,
            action=action,
            about=about,
            outcome=outcome,
            after=after,
            before=before,
            older=older,
            count=count,
        )

    def check_audit(self, number: int = 0) -> AuditChain:
        """Whether the audit log was changed; with a number, the link of that entry."""
        return self._transport.get("/v1/audit/chain", AuditChain, number=number)


def _tokens(user: str | None) -> str:
    return f"/v1/users/{_quoted(user)}/tokens" if user else "/v1/me/tokens"


def _quoted(text: str) -> str:
    return quote(text, safe="")
