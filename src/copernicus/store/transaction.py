"""What can be changed in one transaction. All of it is kept, or nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Table,
    bindparam,
    delete,
    insert,
    literal,
    select,
    update,
)

from copernicus.errors import Conflict, NotAuthenticated, NotFound
from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow
from copernicus.store.audit import START, link_of
from copernicus.store.database import add, upsert
from copernicus.store.failures import PositionConflict
from copernicus.store.packing import (
    SchedulerRow,
    entry_values,
    record_from,
    record_values,
    row_values,
)
from copernicus.store.records import (
    AuditEntry,
    Entry,
    JoinTokenRecord,
    MemberRecord,
    ProjectRecord,
    SessionRecord,
    UserRecord,
    WorkerRecord,
    sender_of,
)
from copernicus.store.schema import (
    ATTEMPTS,
    AUDIT,
    CHECKPOINTS,
    JOBS,
    JOIN_TOKENS,
    JOURNAL,
    MEMBERS,
    META,
    PROJECTS,
    SESSIONS,
    SNAPSHOTS,
    UPLOADS,
    USERS,
    WORKERS,
)

_TABLE_OF: Mapping[type[SchedulerRow], Table] = {
    JobRow: JOBS,
    AttemptRow: ATTEMPTS,
    CheckpointRow: CHECKPOINTS,
}

# What nearly every transaction does: to build a statement anew costs more than to carry it out.
_MOVE_PROJECT = (
    update(PROJECTS)
    .where(PROJECTS.c.id == bindparam("of"), PROJECTS.c.position == bindparam("before"))
    .values({name: bindparam(name) for name in ("position", "revision", "changed")})
)
_NEWEST_AUDIT = select(AUDIT).order_by(AUDIT.c.number.desc()).limit(1)
_ADD_AUDIT = insert(AUDIT)


class Transaction:
    """The changes of one ``with store.transaction()`` block."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def save_snapshot(self, project: str, position: int, state: bytes) -> None:
        """Keep a snapshot of a project's state in place of all earlier ones."""
        self._connection.execute(delete(SNAPSHOTS).where(SNAPSHOTS.c.project == project))
        row = {"project": project, "position": position, "state": state}
        self._connection.execute(insert(SNAPSHOTS).values(row))

    def set_meta(self, key: str, value: str) -> None:
        """Keep a setting of the server itself."""
        upsert(self._connection, META, [{"key": key, "value": value}])

    def drop_meta(self, key: str) -> None:
        """Forget a setting of the server itself."""
        self._remove(META, META.c.key == key)

    def forget_job(self, job: str) -> None:
        """Keep a job and its attempts no more; what continues from it is not asked."""
        self._remove(ATTEMPTS, ATTEMPTS.c.job == job)
        self._remove(JOBS, JOBS.c.id == job)

    def forget_checkpoints(self, project: str) -> None:
        """Keep no checkpoint of a project any more."""
        self._remove(CHECKPOINTS, CHECKPOINTS.c.project == project)

    def add_project(self, project: ProjectRecord) -> None:
        """Keep a new project (``position`` 0: its events are appended after this).

        Raises:
            Conflict: there is a project of this name.
        """
        self._refuse_taken_name(project.name)
        self._connection.execute(insert(PROJECTS), record_values(project))

    def rename_project(self, project: str, name: str) -> None:
        """Raises NotFound, or Conflict if there is a project of this name."""
        self._refuse_taken_name(name)
        self._change(PROJECTS, _alive(project), f"no project {project}", name=name)

    def delete_project(self, project: str, at: float) -> None:
        """Mark it as deleted; journal and rows stay. Raises NotFound."""
        self._change(PROJECTS, _alive(project), f"no project {project}", deleted=at)

    def set_member(self, member: MemberRecord) -> None:
        """Give a user a role in a project, in place of the one they had."""
        upsert(self._connection, MEMBERS, [record_values(member)])

    def remove_member(self, project: str, user: str) -> bool:
        """Whether there was such a member."""
        return bool(self._remove(MEMBERS, MEMBERS.c.project == project, MEMBERS.c.user == user))

    def append(self, project: str, entries: Sequence[Entry]) -> None:
        """Append events to a project's journal.

        Raises:
            PositionConflict: they do not follow its last event.
        """
        if not entries:
            return
        first, last = entries[0], entries[-1]
        gapless = all(e.position == first.position + n for n, e in enumerate(entries))
        new = {"position": last.position, "revision": last.revision, "changed": last.at}
        follows = {"of": project, "before": first.position - 1}
        moved = self._connection.execute(_MOVE_PROJECT, new | follows).rowcount
        if not gapless or not moved:
            raise PositionConflict(
                f"the events {first.position}..{last.position} do not follow the journal of "
                f"project {project}: somebody else wrote it"
            )
        add(self._connection, JOURNAL, [entry_values(project, entry) for entry in entries])

    def save_rows(self, rows: Iterable[SchedulerRow]) -> None:
        """Keep rows of the scheduler, each in place of the one of the same key."""
        by_table: dict[Table, list[dict[str, Any]]] = {}
        for row in rows:
            by_table.setdefault(_TABLE_OF[type(row)], []).append(row_values(row))
        for table, values in by_table.items():
            upsert(self._connection, table, values)

    def add_user(self, user: UserRecord) -> None:
        """Raises Conflict if there is a user of this name."""
        if self._has(USERS, USERS.c.name == user.name):
            raise Conflict(f"there is a user {user.name} already")
        self._connection.execute(insert(USERS), record_values(user))

    def set_password(self, user: str, password: str) -> None:
        """Change the password's hash and end every session of the user. Raises NotFound."""
        self._change(USERS, USERS.c.name == user, f"no user {user}", password=password)
        self.end_sessions_of(user)

    def set_admin(self, user: str, *, admin: bool) -> None:
        """Raises NotFound."""
        self._change(USERS, USERS.c.name == user, f"no user {user}", admin=admin)

    def delete_user(self, user: str) -> None:
        """Remove a user with their sessions and memberships. Raises NotFound."""
        self.end_sessions_of(user)
        self._remove(MEMBERS, MEMBERS.c.user == user)
        sender = sender_of("user", user)
        by_token = UPLOADS.c.sender.startswith(f"{sender}/", autoescape=True)
        self._remove(UPLOADS, (UPLOADS.c.sender == sender) | by_token)
        if not self._remove(USERS, USERS.c.name == user):
            raise NotFound(f"no user {user}")

    def add_session(self, session: SessionRecord) -> None:
        """Keep a login."""
        self._connection.execute(insert(SESSIONS), record_values(session))

    def touch_sessions(self, used: Mapping[str, float]) -> None:
        """Note when sessions (by SHA-256) were used; unknown ones are left out."""
        self._touch(SESSIONS, "sha256", "last_used", used)

    def end_session(self, sha256: str) -> bool:
        """Whether there was such a session."""
        return bool(self._remove(SESSIONS, SESSIONS.c.sha256 == sha256))

    def end_sessions_of(self, user: str) -> int:
        """How many sessions the user had."""
        return self._remove(SESSIONS, SESSIONS.c.user == user)

    def sweep_expired(self, now: float) -> int:
        """Remove expired sessions; how many there were."""
        return self._remove(SESSIONS, SESSIONS.c.expires <= now)

    def note_uploads(self, sender: str, blobs: Iterable[str], at: float) -> None:
        """Keep that somebody has sent all bytes of these blobs."""
        rows = [{"sender": sender, "sha256": blob, "at": at} for blob in blobs]
        upsert(self._connection, UPLOADS, rows)

    def sweep_uploads(self, before: float) -> int:
        """Forget what was sent before this time; how many there were."""
        return self._remove(UPLOADS, UPLOADS.c.at < before)

    def add_join_token(self, token: JoinTokenRecord) -> None:
        """Keep a join token."""
        self._connection.execute(insert(JOIN_TOKENS), record_values(token))

    def use_join_token(self, token_id: str, sha256: str, now: float) -> JoinTokenRecord:
        """Take one use of a join token; the record says how many are left.

        Raises:
            NotAuthenticated: it is unknown, expired, revoked or used up.
        """
        table = JOIN_TOKENS
        valid = [table.c.id == token_id, table.c.sha256 == sha256, table.c.expires > now]
        fewer = (
            update(table)
            .where(*valid, table.c.uses_left > 0)
            .values(uses_left=table.c.uses_left - 1)
        )
        if not self._connection.execute(fewer).rowcount:
            raise NotAuthenticated(
                "the join token is unknown, expired, revoked or used up: "
                "make a new worker bundle on the server"
            )
        query = select(table).where(table.c.id == token_id)
        return record_from(JoinTokenRecord, self._connection.execute(query).mappings().one())

    def revoke_join_token(self, token_id: str, at: float) -> None:
        """Leave it no uses. Raises NotFound."""
        self._change(
            JOIN_TOKENS,
            JOIN_TOKENS.c.id == token_id,
            f"no join token {token_id}",
            uses_left=0,
            revoked_at=at,
        )

    def save_worker(self, worker: WorkerRecord) -> None:
        """Keep a worker, in place of what was known of it."""
        upsert(self._connection, WORKERS, [record_values(worker)])

    def touch_workers(self, seen: Mapping[str, float]) -> None:
        """Note when workers were seen; unknown ones are left out."""
        self._touch(WORKERS, "id", "last_seen", seen)

    def revoke_worker(self, worker: str, at: float) -> None:
        """Trust it no more, for ever. Raises NotFound."""
        self._change(WORKERS, WORKERS.c.id == worker, f"no worker {worker}", revoked_at=at)

    def set_draining(self, worker: str, *, draining: bool) -> None:
        """Raises NotFound."""
        self._change(WORKERS, WORKERS.c.id == worker, f"no worker {worker}", draining=draining)

    def audit(
        self,
        *,
        at: float,
        actor: str,
        source: str,
        action: str,
        object: str,  # noqa: A002
        outcome: str,
    ) -> None:
        """Append to the audit log."""
        row = self._connection.execute(_NEWEST_AUDIT).mappings().first()
        last = record_from(AuditEntry, row) if row else None
        entry = AuditEntry(
            number=last.number + 1 if last else 1,
            at=float(at),  # as the database gives it back, for the hash
            actor=actor,
            source=source,
            action=action,
            object=object,
            outcome=outcome,
            previous=link_of(last) if last else START,
        )
        self._connection.execute(_ADD_AUDIT, record_values(entry))

    def _refuse_taken_name(self, name: str) -> None:
        if self._has(PROJECTS, PROJECTS.c.name == name, PROJECTS.c.deleted.is_(None)):
            raise Conflict(f"there is a project {name} already: choose another name")

    def _has(self, table: Table, *where: ColumnElement[bool]) -> bool:
        query = select(literal(1)).select_from(table).where(*where).limit(1)
        return self._connection.execute(query).first() is not None

    def _change(
        self, table: Table, where: ColumnElement[bool], otherwise: str, **values: object
    ) -> None:
        if not self._connection.execute(update(table).where(where).values(values)).rowcount:
            raise NotFound(otherwise)

    def _remove(self, table: Table, *where: ColumnElement[bool]) -> int:
        return self._connection.execute(delete(table).where(*where)).rowcount

    def _touch(self, table: Table, key: str, column: str, times: Mapping[str, float]) -> None:
        if not times:
            return
        statement = (
            update(table)
            .where(table.c[key] == bindparam("touched"))
            .values({column: bindparam("at_time")})
        )
        rows = [{"touched": name, "at_time": at} for name, at in times.items()]
        self._connection.execute(statement, rows)


def _alive(project: str) -> ColumnElement[bool]:
    return (PROJECTS.c.id == project) & PROJECTS.c.deleted.is_(None)
