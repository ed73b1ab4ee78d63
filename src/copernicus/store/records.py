"""What the store keeps, as its callers see it. All times are seconds since the epoch."""

from __future__ import annotations

from typing import Literal

import msgspec

from copernicus.model.events import Event
from copernicus.protocol import WorkerFacts

Role = Literal["owner", "editor", "viewer"]


def sender_of(kind: str, name: str, project: str = "") -> str:
    """How the sender of a file is kept; ``project`` is the only one that their token is good for.

    A user and a worker of one name are not the same.
    """
    return f"{kind} {name}/{project}" if project else f"{kind} {name}"


class Entry(msgspec.Struct, frozen=True):
    """One fact of a project's journal.

    ``position`` counts the project's events from 1 without a gap; ``revision`` is that of the
    project after the event.
    """

    position: int
    revision: int
    at: float
    event: Event


class ProjectRecord(msgspec.Struct, frozen=True):
    """A project; ``position``, ``revision`` and ``changed`` are those of its last event.

    ``deleted`` is when it was deleted: its name is free again, its journal is still there.
    """

    id: str
    name: str
    owner: str
    created: float
    changed: float
    position: int = 0
    revision: int = 0
    deleted: float | None = None


class MemberRecord(msgspec.Struct, frozen=True):
    """The role of a user in a project."""

    project: str
    user: str
    role: Role


class UserRecord(msgspec.Struct, frozen=True):
    """A user; ``password`` is the hash that ``copernicus.security.passwords`` makes."""

    name: str
    password: str
    admin: bool
    created: float


class SessionRecord(msgspec.Struct, frozen=True):
    """A login; ``sha256`` is that of the token, which is kept nowhere.

    With another ``scope`` than ``login`` it is a token that the user made for a program, called
    ``name``, which may be good for one ``project`` (its id) alone.
    """

    sha256: str
    user: str
    created: float
    expires: float
    last_used: float
    scope: str = "login"
    name: str = ""
    project: str = ""


class JoinTokenRecord(msgspec.Struct, frozen=True):
    """A join token that may make ``uses_left`` more workers of ``pool`` until it expires.

    ``uses`` is how many it was made for; a revoked one has none left.
    """

    id: str
    sha256: str
    pool: str
    uses_left: int
    expires: float
    creator: str
    created: float
    uses: int = 0
    revoked_at: float | None = None


class WorkerRecord(msgspec.Struct, frozen=True):
    """A worker that joined; ``token`` is the id of the join token that let it in.

    ``fingerprint`` is the SHA-256 of its newest certificate.
    """

    id: str
    host: str
    pool: str
    facts: WorkerFacts
    fingerprint: str
    joined: float
    last_seen: float
    token: str = ""
    revoked_at: float | None = None
    draining: bool = False


class AuditEntry(msgspec.Struct, frozen=True):
    """Who did what, from where, and how it ended; ``previous`` is the hash of the entry before."""

    number: int
    at: float
    actor: str
    source: str
    action: str
    object: str
    outcome: str
    previous: str
