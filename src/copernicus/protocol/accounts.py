"""The user port (JSON): tokens of users, join tokens, the audit log."""

from __future__ import annotations

from typing import Literal

import msgspec


class AdminRight(msgspec.Struct, frozen=True):
    """Whether a user is to be an administrator."""

    admin: bool


class NewToken(msgspec.Struct, frozen=True):
    """A token for a program: what it may do, for how long, and perhaps in one project only."""

    name: str = ""
    scope: Literal["read", "edit", "all"] = "read"
    days: float = 30.0
    project: str = ""


class TokenView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A login (scope ``login``) or a token, as shown; ``id`` names it and proves nothing."""

    id: str
    user: str
    scope: str
    created: float
    expires: float
    last_used: float
    name: str = ""
    project: str = ""
    current: bool = False


class TokenReply(msgspec.Struct, frozen=True):
    """A new token, shown this once."""

    token: str
    view: TokenView


class JoinTokenView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The join token of a bundle, as shown: how often it is good, and whom it let in."""

    id: str
    pool: str
    uses: int
    uses_left: int
    expires: float
    creator: str
    created: float
    workers: tuple[str, ...] = ()
    revoked: bool = False


class AuditView(msgspec.Struct, frozen=True):
    """Who did what, when, from where, and how it ended."""

    number: int
    at: float
    actor: str
    source: str
    action: str
    object: str
    outcome: str


class AuditChain(msgspec.Struct, frozen=True):
    """How far the chain of the audit log holds: ``broken`` is the first entry that does not fit."""

    entries: int
    head: str
    broken: int | None = None
    noted: str = ""
