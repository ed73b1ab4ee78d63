"""The tables as they are now; ``migrations`` says how they came to be so.

Columns hold what is searched for; the rest of a row is one msgpack blob. Nothing here is special
to SQLite.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    text,
)

FORMAT = 3
"""Grows with every migration, and is its number."""

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

META = Table(
    "meta",
    METADATA,
    Column("key", String, primary_key=True),
    Column("value", String, nullable=False),
)

PROJECTS = Table(
    "projects",
    METADATA,
    Column("id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("owner", String, nullable=False),
    Column("created", Double, nullable=False),
    Column("changed", Double, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("deleted", Double),
)
# The name of a deleted project is free again.
_ALIVE = text("deleted IS NULL")
Index(
    "ix_projects_name", PROJECTS.c.name, unique=True, sqlite_where=_ALIVE, postgresql_where=_ALIVE
)

MEMBERS = Table(
    "members",
    METADATA,
    Column("project", ForeignKey("projects.id"), primary_key=True),
    Column("user", ForeignKey("users.name"), primary_key=True, index=True),
    Column("role", String, nullable=False),
)

JOURNAL = Table(
    "journal",
    METADATA,
    Column("project", ForeignKey("projects.id"), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("at", Double, nullable=False),
    Column("kind", String, nullable=False),
    Column("event", LargeBinary, nullable=False),
)

SNAPSHOTS = Table(
    "snapshots",
    METADATA,
    Column("project", ForeignKey("projects.id"), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("state", LargeBinary, nullable=False),
)

JOBS = Table(
    "jobs",
    METADATA,
    Column("id", String, primary_key=True),
    Column("project", String, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("data", LargeBinary, nullable=False),
)
Index("ix_jobs_project_id", JOBS.c.project, JOBS.c.id)

ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("job", String, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String, nullable=False, index=True),
    Column("worker", String, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

CHECKPOINTS = Table(
    "checkpoints",
    METADATA,
    Column("project", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

USERS = Table(
    "users",
    METADATA,
    Column("name", String, primary_key=True),
    Column("password", String, nullable=False),
    Column("admin", Boolean, nullable=False),
    Column("created", Double, nullable=False),
)

SESSIONS = Table(
    "sessions",
    METADATA,
    Column("sha256", String, primary_key=True),
    Column("user", ForeignKey("users.name"), nullable=False, index=True),
    Column("created", Double, nullable=False),
    Column("expires", Double, nullable=False, index=True),
    Column("last_used", Double, nullable=False),
    Column("scope", String, nullable=False, server_default="login"),
    Column("name", String, nullable=False, server_default=""),
    Column("project", String, nullable=False, server_default=""),
)

JOIN_TOKENS = Table(
    "join_tokens",
    METADATA,
    Column("id", String, primary_key=True),
    Column("sha256", String, nullable=False),
    Column("pool", String, nullable=False),
    Column("uses_left", Integer, nullable=False),
    Column("expires", Double, nullable=False),
    Column("creator", String, nullable=False),
    Column("created", Double, nullable=False),
    Column("uses", Integer, nullable=False, server_default="0"),
    Column("revoked_at", Double),
)

WORKERS = Table(
    "workers",
    METADATA,
    Column("id", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("pool", String, nullable=False),
    Column("facts", LargeBinary, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("joined", Double, nullable=False),
    Column("last_seen", Double, nullable=False),
    Column("token", String, nullable=False),
    Column("revoked_at", Double),
    Column("draining", Boolean, nullable=False),
)

# Who has sent which blob, byte by byte: only that, and what a project names, may be named.
UPLOADS = Table(
    "uploads",
    METADATA,
    Column("sender", String, primary_key=True),
    Column("sha256", String, primary_key=True),
    Column("at", Double, nullable=False, index=True),
)

AUDIT = Table(
    "audit",
    METADATA,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Double, nullable=False),
    Column("actor", String, nullable=False),
    Column("source", String, nullable=False),
    Column("action", String, nullable=False),
    Column("object", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("previous", String, nullable=False),
)
