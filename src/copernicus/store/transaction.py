"""What can be changed in one transaction. All of it is kept, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from copernicus.store.records import (
    Entry,
    JoinTokenRecord,
    MemberRecord,
    ProjectRecord,
    SessionRecord,
    UserRecord,
    WorkerRecord,
)

if TYPE_CHECKING:
    from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow


class Transaction:
    """The changes of one ``with store.transaction()`` block."""

    def set_meta(self, key: str, value: str) -> None:
        """Keep a setting of the server itself."""
        raise NotImplementedError

    def add_project(self, project: ProjectRecord) -> None:
        """Keep a new project (``position`` 0: its events are appended after this).

        Raises:
            Conflict: there is a project of this name.
        """
        raise NotImplementedError

    def rename_project(self, project: str, name: str) -> None:
        """Raises NotFound, or Conflict if there is a project of this name."""
        raise NotImplementedError

    def delete_project(self, project: str, at: float) -> None:
        """Mark it as deleted; journal and rows stay. Raises NotFound."""
        raise NotImplementedError

    def set_member(self, member: MemberRecord) -> None:
        """Give a user a role in a project, in place of the one they had."""
        raise NotImplementedError

    def remove_member(self, project: str, user: str) -> bool:
        """Whether there was such a member."""
        raise NotImplementedError

    def append(self, project: str, entries: Sequence[Entry]) -> None:
        """Append events to a project's journal.

        Raises:
            PositionConflict: they do not follow its last event.
        """
        raise NotImplementedError

    def save_rows(self, rows: Iterable[JobRow | AttemptRow | CheckpointRow]) -> None:
        """Keep rows of the scheduler, each in place of the one of the same key."""
        raise NotImplementedError

    def add_user(self, user: UserRecord) -> None:
        """Raises Conflict if there is a user of this name."""
        raise NotImplementedError

    def set_password(self, user: str, password: str) -> None:
        """Change the password's hash and end every session of the user. Raises NotFound."""
        raise NotImplementedError

    def set_admin(self, user: str, *, admin: bool) -> None:
        """Raises NotFound."""
        raise NotImplementedError

    def delete_user(self, user: str) -> None:
        """Remove a user with their sessions and memberships. Raises NotFound."""
        raise NotImplementedError

    def add_session(self, session: SessionRecord) -> None:
        """Keep a login."""
        raise NotImplementedError

    def touch_sessions(self, used: Mapping[str, float]) -> None:
        """Note when sessions (by SHA-256) were used; unknown ones are left out."""
        raise NotImplementedError

    def end_session(self, sha256: str) -> bool:
        """Whether there was such a session."""
        raise NotImplementedError

    def end_sessions_of(self, user: str) -> int:
        """How many sessions the user had."""
        raise NotImplementedError

    def sweep_expired(self, now: float) -> int:
        """Remove expired sessions; how many there were."""
        raise NotImplementedError

    def add_join_token(self, token: JoinTokenRecord) -> None:
        """Keep a join token."""
        raise NotImplementedError

    def use_join_token(self, token_id: str, sha256: str, now: float) -> JoinTokenRecord:
        """Take one use of a join token; the record says how many are left.

        Raises:
            NotAuthenticated: it is unknown, expired, revoked or used up.
        """
        raise NotImplementedError

    def revoke_join_token(self, token_id: str) -> None:
        """Leave it no uses. Raises NotFound."""
        raise NotImplementedError

    def save_worker(self, worker: WorkerRecord) -> None:
        """Keep a worker, in place of what was known of it."""
        raise NotImplementedError

    def touch_workers(self, seen: Mapping[str, float]) -> None:
        """Note when workers were seen; unknown ones are left out."""
        raise NotImplementedError

    def revoke_worker(self, worker: str, at: float) -> None:
        """Trust it no more, for ever. Raises NotFound."""
        raise NotImplementedError

    def set_draining(self, worker: str, *, draining: bool) -> None:
        """Raises NotFound."""
        raise NotImplementedError

    def audit(  # noqa: PLR0913
        self, *, at: float, actor: str, source: str, action: str, object: str, outcome: str
    ) -> None:
        """Append to the audit log."""
        raise NotImplementedError
