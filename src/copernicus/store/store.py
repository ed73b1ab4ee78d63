"""Everything durable of a server but its files: one SQLite database in the server's folder.

One process at a time writes it, in one transaction at a time; any thread may read. What a
transaction changed is on the disk when its ``with`` block has ended.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from copernicus.model.events import Event
from copernicus.store.records import (
    AuditEntry,
    Entry,
    JoinTokenRecord,
    MemberRecord,
    ProjectRecord,
    SessionRecord,
    UserRecord,
    WorkerRecord,
)
from copernicus.store.transaction import Transaction

if TYPE_CHECKING:
    from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow


class Store:
    """The database of one server, opened.

    ``epoch`` counts the starts on this folder. ``restored`` says that this is the first start
    after a backup was put back. No attempt number at or below ``attempt_base`` may be granted by
    the scheduler: they may have been granted after the backup was made.
    """

    folder: Path
    epoch: int
    restored: bool
    attempt_base: int

    @classmethod
    def open(cls, folder: Path, *, create: bool = False) -> Self:
        """Open the database of a folder; with ``create``, make it if there is none.

        Raises:
            BadSettings: there is none, another server has it open, a newer version wrote it, or
                it is damaged. Nothing was changed.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Release the folder; closing again does nothing."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Change something: durable when the block has ended, nothing if it raises.

        Raises:
            ServerBusy: the disk is full; nothing was changed, and it may be tried again.
            StoreFailed: the database cannot be written; end the process.
        """
        raise NotImplementedError
        yield

    def meta(self, key: str) -> str | None:
        """A setting that ``Transaction.set_meta`` kept."""
        raise NotImplementedError

    def journal(self, project: str, since: int = 0, limit: int = 1000) -> list[Entry]:
        """Entries with a position greater than ``since``, oldest first."""
        raise NotImplementedError

    def load_project(self, project: str) -> Iterator[Event]:
        """All events of a project in order, read as they are asked for."""
        raise NotImplementedError

    def projects(self, *, deleted: bool = False) -> list[ProjectRecord]:
        """All projects by name; with ``deleted``, the deleted ones instead."""
        raise NotImplementedError

    def projects_of(self, user: str) -> list[ProjectRecord]:
        """The projects that a user owns or is a member of, by name."""
        raise NotImplementedError

    def project(self, project: str) -> ProjectRecord:
        """Raises NotFound, also if it is deleted."""
        raise NotImplementedError

    def project_by_name(self, name: str) -> ProjectRecord | None:
        """The project that has this name now."""
        raise NotImplementedError

    def members(self, project: str) -> list[MemberRecord]:
        """The members of a project, by name."""
        raise NotImplementedError

    def live_jobs(self) -> list[JobRow]:
        """Every job that has not ended, of projects that are not deleted."""
        raise NotImplementedError

    def jobs(
        self,
        project: str | None = None,
        *,
        states: Collection[str] = (),
        after: str = "",
        limit: int = 100,
    ) -> list[JobRow]:
        """A page of jobs by id (those greater than ``after``), of these states, or of all."""
        raise NotImplementedError

    def job(self, job: str) -> JobRow | None:
        """One job."""
        raise NotImplementedError

    def attempts(self, job: str) -> list[AttemptRow]:
        """The attempts of a job, by number."""
        raise NotImplementedError

    def live_attempts(self) -> list[AttemptRow]:
        """The attempts of live jobs, and those of ended jobs that have not ended themselves."""
        raise NotImplementedError

    def checkpoints(self, project: str, key: str | None = None) -> list[CheckpointRow]:
        """The checkpoints of a project, or those of one key in it."""
        raise NotImplementedError

    def users(self) -> list[UserRecord]:
        """All users, by name."""
        raise NotImplementedError

    def user(self, name: str) -> UserRecord | None:
        """One user."""
        raise NotImplementedError

    def session(self, sha256: str, now: float) -> SessionRecord | None:
        """The login with this hash, unless it has expired."""
        raise NotImplementedError

    def sessions_of(self, user: str) -> list[SessionRecord]:
        """All logins of a user, newest first."""
        raise NotImplementedError

    def join_tokens(self) -> list[JoinTokenRecord]:
        """All join tokens, newest first."""
        raise NotImplementedError

    def workers(self) -> list[WorkerRecord]:
        """All workers, by id."""
        raise NotImplementedError

    def worker(self, worker: str) -> WorkerRecord | None:
        """One worker."""
        raise NotImplementedError

    def audit_log(self, since: int = 0, limit: int = 1000) -> list[AuditEntry]:
        """Entries of the audit log with a number greater than ``since``, oldest first."""
        raise NotImplementedError

    def check_audit(self) -> int | None:
        """The number of the first entry that does not follow from the one before, if any."""
        raise NotImplementedError

    def backup(self, destination: Path) -> None:
        """Copy the database to a new file, while it is written.

        Raises:
            BadSettings: the file exists, or cannot be written.
        """
        raise NotImplementedError
