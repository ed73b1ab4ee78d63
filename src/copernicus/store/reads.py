"""Everything that is read from the database, by any thread, without waiting for the writer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Connection, RowMapping, Select, Table, exists, func, select

from copernicus.errors import NotFound
from copernicus.model.events import Event
from copernicus.scheduling.rows import ENDED, AttemptRow, CheckpointRow, JobRow
from copernicus.store.audit import AuditCheck, AuditSearch, check_chain
from copernicus.store.packing import event_from, record_from, row_from
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

_PAGE = 1000

_S = TypeVar("_S", bound=msgspec.Struct)
_R = TypeVar("_R", JobRow, AttemptRow, CheckpointRow)


class Reads:
    """The queries of a ``Store``; ``reading`` gives a connection that sees the last commit."""

    def __init__(self, reading: Callable[[], AbstractContextManager[Connection]]) -> None:
        self._reading = reading

    def meta(self, key: str) -> str | None:
        """A setting that ``Transaction.set_meta`` kept."""
        rows = self._rows(select(META).where(META.c.key == key))
        return str(rows[0]["value"]) if rows else None

    def metas(self, prefix: str) -> dict[str, str]:
        """The settings whose keys begin like this."""
        rows = self._rows(select(META).where(META.c.key.startswith(prefix, autoescape=True)))
        return {str(row["key"]): str(row["value"]) for row in rows}

    def journal(self, project: str, since: int = 0, limit: int = _PAGE) -> list[Entry]:
        """Entries with a position greater than ``since``, oldest first."""
        columns = (JOURNAL.c.position, JOURNAL.c.revision, JOURNAL.c.at, JOURNAL.c.event)
        query = (
            select(*columns)
            .where(JOURNAL.c.project == project, JOURNAL.c.position > since)
            .order_by(JOURNAL.c.position)
            .limit(limit)
        )
        with self._reading() as connection:
            found = connection.execute(query).all()
        return [
            Entry(position, revision, at, event_from(project, position, data))
            for position, revision, at, data in found
        ]

    def revision_at(self, project: str, revision: int) -> float | None:
        """When a revision was made; ``None`` if it is not there (yet)."""
        query = (
            select(JOURNAL.c.at)
            .where(JOURNAL.c.project == project, JOURNAL.c.revision == revision)
            .order_by(JOURNAL.c.position)
            .limit(1)
        )
        with self._reading() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else float(found)

    def load_project(self, project: str, since: int = 0) -> Iterator[Event]:
        """All events of a project after a position, in order, read as they are asked for."""
        position = since
        while page := self.journal(project, position):
            yield from (entry.event for entry in page)
            position = page[-1].position

    def snapshot(self, project: str) -> tuple[int, bytes] | None:
        """The newest snapshot of a project's state, and the position up to which it tells."""
        table = SNAPSHOTS.c
        query = (
            select(table.position, table.state)
            .where(table.project == project)
            .order_by(table.position.desc())
            .limit(1)
        )
        with self._reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else (row.position, row.state)

    def snapshot_position(self, project: str) -> int:
        """Up to which position the newest snapshot tells; 0 if there is none."""
        query = select(SNAPSHOTS.c.position).where(SNAPSHOTS.c.project == project)
        with self._reading() as connection:
            return max(connection.execute(query).scalars(), default=0)

    def projects(self, *, deleted: bool = False) -> list[ProjectRecord]:
        """All projects by name; with ``deleted``, the deleted ones instead."""
        gone = PROJECTS.c.deleted
        where = gone.is_not(None) if deleted else gone.is_(None)
        return self._records(ProjectRecord, select(PROJECTS).where(where).order_by(PROJECTS.c.name))

    def projects_of(self, user: str) -> list[ProjectRecord]:
        """The projects that a user owns or is a member of, by name."""
        member = exists().where(MEMBERS.c.project == PROJECTS.c.id, MEMBERS.c.user == user)
        query = (
            select(PROJECTS)
            .where((PROJECTS.c.owner == user) | member, PROJECTS.c.deleted.is_(None))
            .order_by(PROJECTS.c.name)
        )
        return self._records(ProjectRecord, query)

    def project(self, project: str) -> ProjectRecord:
        """Raises NotFound, also if it is deleted."""
        alive = PROJECTS.c.deleted.is_(None)
        found = self._records(
            ProjectRecord, select(PROJECTS).where(PROJECTS.c.id == project, alive)
        )
        if not found:
            raise NotFound(f"no project {project}")
        return found[0]

    def project_by_name(self, name: str) -> ProjectRecord | None:
        """The project that has this name now."""
        alive = PROJECTS.c.deleted.is_(None)
        query = select(PROJECTS).where(PROJECTS.c.name == name, alive)
        return _one(self._records(ProjectRecord, query))

    def members(self, project: str) -> list[MemberRecord]:
        """The members of a project, by name."""
        query = select(MEMBERS).where(MEMBERS.c.project == project).order_by(MEMBERS.c.user)
        return self._records(MemberRecord, query)

    def live_jobs(self) -> Iterator[JobRow]:
        """Every job that has not ended or has a live attempt, of projects not deleted.

        They may be a million: they are read as they are asked for.
        """
        query = select(JOBS.c.data).where(_is_live()).execution_options(yield_per=_PAGE)
        with self._reading() as connection:
            for data in connection.execute(query).scalars():
                yield row_from(JobRow, data)

    def jobs(
        self,
        project: str | None = None,
        *,
        states: Collection[str] = (),
        after: str = "",
        limit: int = 100,
    ) -> list[JobRow]:
        """A page of jobs by id (those greater than ``after``), of these states, or of all."""
        query = select(JOBS.c.data).where(JOBS.c.id > after).order_by(JOBS.c.id).limit(limit)
        if project is not None:
            query = query.where(JOBS.c.project == project)
        if states:
            query = query.where(JOBS.c.state.in_(states))
        return self._scheduler_rows(JobRow, JOBS, query)

    def ended_jobs(self, project: str, older: str = "", limit: int = 100) -> list[JobRow]:
        """A page of a project's ended jobs, newest first; ``older`` than the job of this id."""
        length = func.length(JOBS.c.id)
        query = (
            select(JOBS.c.data)
            .where(JOBS.c.project == project, JOBS.c.state.in_(ENDED))
            .order_by(length.desc(), JOBS.c.id.desc())
            .limit(limit)
        )
        if older:
            shorter = length < len(older)
            query = query.where(shorter | ((length == len(older)) & (JOBS.c.id < older)))
        return self._scheduler_rows(JobRow, JOBS, query)

    def job(self, job: str) -> JobRow | None:
        """One job."""
        return _one(self._scheduler_rows(JobRow, JOBS, select(JOBS.c.data).where(JOBS.c.id == job)))

    def attempts(self, job: str) -> list[AttemptRow]:
        """The attempts of a job, by number."""
        query = select(ATTEMPTS.c.data).where(ATTEMPTS.c.job == job).order_by(ATTEMPTS.c.number)
        return self._scheduler_rows(AttemptRow, ATTEMPTS, query)

    def live_attempts(self) -> list[AttemptRow]:
        """Every attempt, ended or not, of the jobs that ``live_jobs`` gives."""
        query = (
            select(ATTEMPTS.c.data)
            .join(JOBS, JOBS.c.id == ATTEMPTS.c.job)
            .where(_is_live())
            .order_by(ATTEMPTS.c.job, ATTEMPTS.c.number)
        )
        return self._scheduler_rows(AttemptRow, ATTEMPTS, query)

    def unjournaled_attempts(self, project: str) -> list[AttemptRow]:
        """The attempts of a project that no journal names: of live and of cancelled jobs."""
        query = (
            select(ATTEMPTS.c.data)
            .join(JOBS, JOBS.c.id == ATTEMPTS.c.job)
            .where(JOBS.c.project == project, _is_live() | (JOBS.c.state == "cancelled"))
        )
        return self._scheduler_rows(AttemptRow, ATTEMPTS, query)

    def checkpoints(
        self, project: str | None = None, key: str | None = None
    ) -> list[CheckpointRow]:
        """The checkpoints of a project, or of all that are not deleted; with ``key``, its own."""
        query = select(CHECKPOINTS.c.data).order_by(CHECKPOINTS.c.project, CHECKPOINTS.c.key)
        if project is not None:
            query = query.where(CHECKPOINTS.c.project == project)
        else:
            query = query.where(~_is_deleted(CHECKPOINTS))
        if key is not None:
            query = query.where(CHECKPOINTS.c.key == key)
        return self._scheduler_rows(CheckpointRow, CHECKPOINTS, query)

    def users(self) -> list[UserRecord]:
        """All users, by name."""
        return self._records(UserRecord, select(USERS).order_by(USERS.c.name))

    def user(self, name: str) -> UserRecord | None:
        """One user."""
        return _one(self._records(UserRecord, select(USERS).where(USERS.c.name == name)))

    def session(self, sha256: str, now: float) -> SessionRecord | None:
        """The login with this hash, unless it has expired."""
        query = select(SESSIONS).where(SESSIONS.c.sha256 == sha256, SESSIONS.c.expires > now)
        return _one(self._records(SessionRecord, query))

    def sessions_of(self, user: str) -> list[SessionRecord]:
        """All logins of a user, newest first."""
        query = select(SESSIONS).where(SESSIONS.c.user == user)
        return self._records(SessionRecord, query.order_by(SESSIONS.c.created.desc()))

    def has_sent(self, sender: str, sha256: str) -> bool:
        """Whether somebody has sent all bytes of this blob, lately."""
        query = select(UPLOADS.c.at).where(UPLOADS.c.sender == sender, UPLOADS.c.sha256 == sha256)
        return bool(self._rows(query))

    def all_sent(self) -> set[str]:
        """Every blob that somebody has sent lately, and may be about to name."""
        return {row.sha256 for row in self._rows(select(UPLOADS.c.sha256).distinct())}

    def join_tokens(self) -> list[JoinTokenRecord]:
        """All join tokens, newest first."""
        newest = JOIN_TOKENS.c.created.desc()
        return self._records(JoinTokenRecord, select(JOIN_TOKENS).order_by(newest))

    def workers(self) -> list[WorkerRecord]:
        """All workers, by id."""
        return self._records(WorkerRecord, select(WORKERS).order_by(WORKERS.c.id))

    def worker(self, worker: str) -> WorkerRecord | None:
        """One worker."""
        return _one(self._records(WorkerRecord, select(WORKERS).where(WORKERS.c.id == worker)))

    def audit_log(self, since: int = 0, limit: int = _PAGE) -> list[AuditEntry]:
        """Entries of the audit log with a number greater than ``since``, oldest first."""
        query = select(AUDIT).where(AUDIT.c.number > since).order_by(AUDIT.c.number).limit(limit)
        return self._records(AuditEntry, query)

    def audit_page(
        self, wanted: AuditSearch, older: int | None = None, limit: int = _PAGE
    ) -> list[AuditEntry]:
        """The newest entries that fit, newest first; ``older``: of those before this number."""
        table = AUDIT.c
        exact = {"actor": wanted.actor, "source": wanted.source, "outcome": wanted.outcome}
        where = [table[column] == value for column, value in exact.items() if value]
        if wanted.action:
            starts = table.action.startswith(f"{wanted.action}.", autoescape=True)
            where.append((table.action == wanted.action) | starts)
        if wanted.about:
            where.append(table.object.contains(wanted.about, autoescape=True))
        if wanted.after is not None:
            where.append(table.at >= wanted.after)
        if wanted.before is not None:
            where.append(table.at < wanted.before)
        if older is not None:
            where.append(table.number < older)
        query = select(AUDIT).where(*where).order_by(table.number.desc()).limit(limit)
        return self._records(AuditEntry, query)

    def check_audit(self, note: int = 0) -> AuditCheck:
        """Whether the chain of the audit log holds; ``note``: the entry whose link is wanted."""
        return check_chain(self._whole_audit_log(), note)

    def _whole_audit_log(self) -> Iterator[AuditEntry]:
        number = 0
        while page := self.audit_log(number):
            yield from page
            number = page[-1].number

    def _rows(self, query: Select[Any]) -> Sequence[RowMapping]:
        with self._reading() as connection:
            return connection.execute(query).mappings().all()

    def _records(self, kind: type[_S], query: Select[Any]) -> list[_S]:
        return [record_from(kind, row) for row in self._rows(query)]

    def _scheduler_rows(self, kind: type[_R], table: Table, query: Select[Any]) -> list[_R]:
        return [row_from(kind, row[table.c.data]) for row in self._rows(query)]


def _is_deleted(table: Table) -> ColumnElement[bool]:
    return exists().where(PROJECTS.c.id == table.c.project, PROJECTS.c.deleted.is_not(None))


def _is_live() -> ColumnElement[bool]:
    # A second name: the attempts may be selected from in the same query.
    other = ATTEMPTS.alias()
    running = exists().where(other.c.job == JOBS.c.id, other.c.state == "live")
    return (JOBS.c.state.not_in(ENDED) | running) & ~_is_deleted(JOBS)


_T = TypeVar("_T")


def _one(found: Sequence[_T]) -> _T | None:
    return found[0] if found else None
