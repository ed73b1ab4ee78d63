"""A disk that keeps what was committed, all of a transaction or nothing, and can be full or broken.

``Disk`` outlives the server; a ``SimStore`` is one server's hold on it, as ``store.Store`` is.
Everything is kept encoded, so nothing on the disk shares a byte with anybody's memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from copernicus.errors import ServerBusy
from copernicus.model.events import Event
from copernicus.scheduling.rows import ENDED, AttemptRow, CheckpointRow, JobRow, Row, attempt_id
from copernicus.store.failures import PositionConflict, StoreFailed
from copernicus.store.records import (
    Entry,
    JoinTokenRecord,
    MemberRecord,
    ProjectRecord,
    SessionRecord,
    UserRecord,
    WorkerRecord,
)
from support.scheduling import key_of

_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = {
    kind: msgspec.msgpack.Decoder(kind).decode for kind in (JobRow, AttemptRow, CheckpointRow)
}
_KINDS = {"job": JobRow, "attempt": AttemptRow, "checkpoint": CheckpointRow}
_ENTRY = msgspec.msgpack.Decoder(Entry).decode


class Disk:
    """What survives: rows and journals encoded, files by their SHA-256 with the time they came."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now = now
        self.rows: dict[tuple[str, ...], bytes] = {}
        self.journals: dict[str, list[bytes]] = {}
        self.projects: dict[str, ProjectRecord] = {}
        self.members: list[MemberRecord] = []
        self.users: dict[str, UserRecord] = {}
        self.blobs: dict[str, tuple[float, str]] = {}
        self.metas: dict[str, str] = {}
        self.full_until = -1.0
        self.breaks_at = float("inf")
        self.watcher: Callable[[Staged], None] = lambda _staged: None

    def put_blob(self, sha256: str, text: str) -> None:
        """A file is here for good once this has ended; again is as if it had just come."""
        self._refuse_if_full()
        self.blobs[sha256] = (self.now(), text)

    def job(self, job: str) -> JobRow | None:
        return self._row(JobRow, ("job", job))

    def attempt(self, attempt: str) -> AttemptRow | None:
        return self._row(AttemptRow, ("attempt", attempt))

    def line(self, project: str, key: str) -> CheckpointRow | None:
        return self._row(CheckpointRow, ("checkpoint", project, key))

    def all(self, kind: type[Any]) -> list[Any]:
        rows = self.rows.items()
        return [_DECODE[kind](data) for key, data in rows if _KINDS[key[0]] is kind]

    def entries(self, project: str, since: int = 0) -> list[Entry]:
        return [_ENTRY(data) for data in self.journals.get(project, [])[since:]]

    def _row(self, kind: type[Any], key: tuple[str, ...]) -> Any:
        data = self.rows.get(key)
        return None if data is None else _DECODE[kind](data)

    def _refuse_if_full(self) -> None:
        if self.now() < self.full_until:
            raise ServerBusy("The disk is full.")

    def commit(self, staged: Staged) -> None:
        """All of it, or nothing."""
        self._refuse_if_full()
        if self.now() >= self.breaks_at:
            raise StoreFailed("a write failed")
        for project, entry in staged.entries:
            if entry.position != self.projects[project].position + 1:
                raise PositionConflict(f"{entry.position} does not follow in {project}")
            self.journals.setdefault(project, []).append(_ENCODE(entry))
            self.projects[project] = msgspec.structs.replace(
                self.projects[project],
                position=entry.position,
                revision=entry.revision,
                changed=entry.at,
            )
        for change in staged.changes:
            change()
        for row in staged.rows:
            self.rows[key_of(row)] = _ENCODE(row)
        self.watcher(staged)

    def forget(self, wanted: Callable[[Any], bool]) -> None:
        """Keep such rows no more."""
        for key in list(self.rows):
            if wanted(_DECODE[_KINDS[key[0]]](self.rows[key])):
                del self.rows[key]


class Staged:
    """The changes of one transaction, as ``store.Transaction`` takes them."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.entries: list[tuple[str, Entry]] = []
        self.rows: list[Row] = []
        self.changes: list[Callable[[], object]] = []
        self.forgotten: list[str] = []

    def append(self, project: str, entries: Sequence[Entry]) -> None:
        self.entries.extend((project, entry) for entry in entries)

    def save_rows(self, rows: Iterable[Row]) -> None:
        self.rows.extend(rows)

    def add_project(self, record: ProjectRecord) -> None:
        self._disk.projects[record.id] = record

    def set_member(self, member: MemberRecord) -> None:
        self._disk.members.append(member)

    def add_user(self, user: UserRecord) -> None:
        self._disk.users[user.name] = user

    def set_meta(self, key: str, value: str) -> None:
        self.changes.append(lambda: self._disk.metas.update({key: value}))

    def drop_meta(self, key: str) -> None:
        self.changes.append(lambda: self._disk.metas.pop(key, None))

    def forget_job(self, job: str) -> None:
        self.forgotten.append(job)
        self.changes.append(
            lambda: self._disk.forget(
                lambda row: job in (getattr(row, "id", ""), getattr(row, "job", ""))
            )
        )

    def forget_checkpoints(self, project: str) -> None:
        self.changes.append(
            lambda: self._disk.forget(
                lambda row: isinstance(row, CheckpointRow) and row.project == project
            )
        )

    def audit(self, **_: Any) -> None:
        """Nothing here reads the audit log."""


class SimStore:
    """One server's hold on the disk; what a dead server still tries does nothing."""

    attempt_base = 0

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.dead = False

    @contextmanager
    def transaction(self) -> Iterator[Staged]:
        if self.dead:
            raise StoreFailed("this server is dead")
        staged = Staged(self._disk)
        yield staged
        self._disk.commit(staged)

    # --- what ``store.Reads`` offers, as far as the server's core asks for it

    def projects(self) -> list[ProjectRecord]:
        return list(self._disk.projects.values())

    def members(self, project: str) -> list[MemberRecord]:
        return [one for one in self._disk.members if one.project == project]

    def users(self) -> list[UserRecord]:
        return list(self._disk.users.values())

    def sessions_of(self, user: str) -> list[SessionRecord]:
        return []

    def workers(self) -> list[WorkerRecord]:
        return []

    def join_tokens(self) -> list[JoinTokenRecord]:
        return []

    def metas(self, prefix: str) -> dict[str, str]:
        return {key: value for key, value in self._disk.metas.items() if key.startswith(prefix)}

    def snapshot(self, project: str) -> None:
        return None

    def journal(self, project: str, since: int = 0, limit: int = 1000) -> list[Entry]:
        return self._disk.entries(project, since)[:limit]

    def load_project(self, project: str, since: int = 0) -> Iterator[Event]:
        return (entry.event for entry in self._disk.entries(project, since))

    def revision_at(self, project: str, revision: int) -> float | None:
        found = (one.at for one in self._disk.entries(project) if one.revision == revision)
        return next(found, None)

    def job(self, job: str) -> JobRow | None:
        return self._disk.job(job)

    def attempts(self, job: str) -> list[AttemptRow]:
        row = self._disk.job(job)
        found = (
            self._disk.attempt(attempt_id(job, n + 1)) for n in range(row.attempts if row else 0)
        )
        return [attempt for attempt in found if attempt is not None]

    def live_jobs(self) -> list[JobRow]:
        running = {row.job for row in self._disk.all(AttemptRow) if row.state == "live"}
        rows = self._disk.all(JobRow)
        return [row for row in rows if row.state not in ENDED or row.id in running]

    def live_attempts(self) -> list[AttemptRow]:
        live = {row.id for row in self.live_jobs()}
        return [row for row in self._disk.all(AttemptRow) if row.job in live]

    def unjournaled_attempts(self, project: str) -> list[AttemptRow]:
        live = {row.id for row in self.live_jobs()}
        gone = {row.id for row in self._disk.all(JobRow) if row.state == "cancelled"}
        wanted = {job for job in live | gone if job.startswith(f"{project}.")}
        return [row for row in self._disk.all(AttemptRow) if row.job in wanted]

    def checkpoints(
        self, project: str | None = None, key: str | None = None
    ) -> list[CheckpointRow]:
        if project is not None and key is not None:
            row = self._disk.line(project, key)
            return [] if row is None else [row]
        rows = self._disk.all(CheckpointRow)
        return [row for row in rows if project in (None, row.project)]
