"""The durable state of a server: journals, jobs, identities, audit log."""

from copernicus.store.backup import backup_folder, upkeep
from copernicus.store.failures import PositionConflict, StoreFailed
from copernicus.store.records import (
    AuditEntry,
    Entry,
    JoinTokenRecord,
    MemberRecord,
    ProjectRecord,
    Role,
    SessionRecord,
    UserRecord,
    WorkerRecord,
)
from copernicus.store.store import Store
from copernicus.store.transaction import Transaction

__all__ = [
    "AuditEntry",
    "Entry",
    "JoinTokenRecord",
    "MemberRecord",
    "PositionConflict",
    "ProjectRecord",
    "Role",
    "SessionRecord",
    "Store",
    "StoreFailed",
    "Transaction",
    "UserRecord",
    "WorkerRecord",
    "backup_folder",
    "upkeep",
]
