"""One batch of the runtime: changes to what is in memory, with all that must be kept of them.

A report of the queue fires the engine, what the engine wants goes into the queue, and so on until
nothing moves: ``settle``. So one transaction holds a result, the end of its activation, all that
this fires, and the jobs that are queued for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from copernicus.engine.core import (
    create_project,
    effects_of,
    go_on,
    has_more_to_fire,
    open_effects,
    submit_edits,
    submit_report,
    take_over,
    wanted_start,
)
from copernicus.engine.retention import Plan, drop
from copernicus.errors import Conflict
from copernicus.model.edits import Edit
from copernicus.model.effects import (
    CancelJob,
    Effect,
    EndEvaluation,
    Evaluate,
    HoldQueue,
    QueueJob,
    RetryBy,
    StreamJob,
)
from copernicus.model.evaluation import Start
from copernicus.model.events import Event, RevisionMade
from copernicus.model.reports import JobEnded, Report
from copernicus.protocol import EditReply, ProgressReport
from copernicus.scheduling.rows import (
    ENDED,
    AttemptRow,
    CheckpointRow,
    JobRow,
    Row,
)
from copernicus.security.policy import Role
from copernicus.server.holdings import Holdings, Loaded, Project
from copernicus.server.shares import ASIDE, RATES
from copernicus.store.records import Entry, MemberRecord, ProjectRecord
from copernicus.store.store import Store
from copernicus.store.transaction import Transaction

Write = Callable[[Transaction], object]
Mark = tuple[int, int, int, int]

# So that no batch takes longer than a few tenths of a second, however much there is to fire.
FIRED_AT_ONCE = 500


class Batch:
    """What requests may do, and what is to be committed for them.

    ``touched`` are the projects that were changed, ``unfinished`` those in which more is to fire
    than one batch should take: ``go_on`` with them in the next. ``lent_news`` are the jobs of peers
    of which the queue has told anything, ``ended`` the jobs of projects here that came to an end,
    ``sent_away`` the workers that are to wait for work no more.
    """

    def __init__(self, holdings: Holdings, store: Store, now: float) -> None:
        self.holdings = holdings
        self._store = store
        self.now = now
        self.entries: list[tuple[str, Entry]] = []
        self.outside: list[tuple[str, Effect]] = []
        self.progress: list[tuple[str, str, ProgressReport]] = []
        self.lent_news: list[str] = []
        self.ended: list[tuple[str, str]] = []
        self.sent_away: list[str] = []
        self.touched: set[str] = set()
        self.unfinished: set[str] = set()
        self._arrivals = holdings.scheduler.arrivals
        self._writes: list[Write] = []
        self._audits: list[Write] = []
        self._rows: list[Row] = []

    @property
    def stirred(self) -> bool:
        """Whether there may be work now that there was not before."""
        return self.holdings.scheduler.arrivals != self._arrivals

    @property
    def rows(self) -> Sequence[Row]:
        """The rows of the queue that are to be kept, in order of change."""
        return self._rows

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._writes or self._audits or self._rows or self.entries)

    def mark(self) -> Mark:
        """How far the batch is, for ``back_to``."""
        return len(self._writes), len(self._rows), len(self.entries), len(self.outside)

    def back_to(self, mark: Mark) -> None:
        """Leave out what came after ``mark``. What is in memory must then be loaded again."""
        writes, rows, entries, outside = mark
        del self._writes[writes:], self._rows[rows:], self.entries[entries:], self.outside[outside:]

    def write(self, write: Write) -> None:
        """Have this done in the transaction."""
        self._writes.append(write)

    def audit(
        self, actor: str, source: str, action: str, thing: str, outcome: str = "done"
    ) -> None:
        """Keep who did what; also of requests that are refused."""
        at = self.now
        self._audits.append(
            lambda tx: tx.audit(
                at=at, actor=actor, source=source, action=action, object=thing, outcome=outcome
            )
        )

    def write_to(self, store: Store) -> None:
        """Commit; blocks until it is durable.

        Raises:
            ServerBusy: the disk is full; nothing was kept.
            StoreFailed: nobody knows what was kept.
        """
        newest = {_row_key(row): row for row in self._rows}
        journals: dict[str, list[Entry]] = {}
        for project, entry in self.entries:
            journals.setdefault(project, []).append(entry)
        with store.transaction() as transaction:
            for write in (*self._writes, *self._audits):
                write(transaction)
            for project, entries in journals.items():
                transaction.append(project, entries)
            if newest:
                transaction.save_rows(newest.values())

    # --- projects ---------------------------------------------------------------------------

    def create_project(self, project_id: str, name: str, owner: str, seed: int) -> Project:
        """A new project.

        Raises:
            Conflict: the name is taken.
            NotFound: there is no such user (any more).
        """
        self.holdings.accounts.user(owner)
        self._refuse_taken(name)
        self.touched.add(project_id)
        state, events = create_project(project_id, name, owner, seed)
        record = ProjectRecord(project_id, name, owner, self.now, self.now)
        project = Project(record, state, {owner: Role.OWNER})
        self.holdings.projects.put(project)
        self.write(lambda tx: tx.add_project(record))
        self.write(lambda tx: tx.set_member(MemberRecord(project_id, owner, "owner")))
        self._record(project, events)
        return project

    def load_project(self, loaded: Loaded, *, resume: bool) -> Project:
        """A project that was saved on another server (or this one) goes on here as a new one.

        Raises:
            Conflict: the name is taken.
            NotFound: there is no such user (any more).
        """
        record, state = loaded.record, loaded.state
        self.holdings.accounts.user(record.owner)
        self._refuse_taken(record.name)
        self.touched.add(record.id)
        scheduler = self.holdings.scheduler
        scheduler.set_on_hold(record.id, True)
        scheduler.set_retries(record.id, state.retries)
        scheduler.adopt(loaded.jobs, loaded.attempts, loaded.checkpoints, self.now)
        position, revision = loaded.entries[-1].position, loaded.entries[-1].revision
        kept = msgspec.structs.replace(record, position=position, revision=revision)
        project = Project(kept, state, {record.owner: Role.OWNER})
        self.holdings.projects.put(project)
        self.write(lambda tx: tx.add_project(record))
        self.write(lambda tx: tx.set_member(MemberRecord(record.id, record.owner, "owner")))
        self.entries.extend((record.id, entry) for entry in loaded.entries)
        catalog = self.holdings.catalog
        origin = loaded.origin
        self._record(project, take_over(state, origin, record.owner, catalog, resume=resume))
        self._carry_out(project, open_effects(state))
        return project

    def _refuse_taken(self, name: str) -> None:
        if self.holdings.projects.find(name) is not None:
            raise Conflict(f"There is already a project {name!r}: choose another name.")

    def edit(
        self,
        project: Project,
        edits: Sequence[Edit],
        author: str,
        expected: int | None = None,
        *,
        note: str = "",
        reuse: bool = False,
    ) -> EditReply:
        """A user's transaction; ``note`` stands first in the history.

        ``reuse`` takes earlier results where inputs are equal again.

        Raises:
            Conflict: the project is at another revision than ``expected``.
            UserError: it cannot be; the state is unchanged.
        """
        state, before = project.state, project.record.position
        self.check_revision(project, expected)
        self.touched.add(project.record.id)
        catalog = self.holdings.catalog
        made = submit_edits(state, edits, author, catalog, FIRED_AT_ONCE, note=note, reuse=reuse)
        self._record(project, made)
        position = project.record.position
        return EditReply(state.revision, position, changed=position > before)

    def revision_at(self, project: Project, revision: int) -> float:
        """When a revision was made (epoch seconds)."""
        found = self._store.revision_at(project.record.id, revision)
        return self.now if found is None else found

    def check_revision(self, project: Project, expected: int | None) -> None:
        """Refuse if somebody has changed the project.

        Raises:
            Conflict: it is at another revision than ``expected``.
        """
        if expected is not None and expected != project.state.revision:
            raise Conflict(
                f"Project {project.record.name!r} is at revision {project.state.revision}, not at "
                f"{expected}: somebody changed it. Look again, then repeat the edit."
            )

    def report(self, project_id: str, report: Report) -> None:
        """What was asked for outside has come; a project that is gone has no use of it."""
        project = self.holdings.projects.find(project_id)
        if project is not None:
            self.touched.add(project_id)
            state, catalog = project.state, self.holdings.catalog
            self._record(project, submit_report(state, report, catalog, FIRED_AT_ONCE))

    def go_on(self, project_id: str) -> None:
        """Fire what the last batch has left."""
        project = self.holdings.projects.find(project_id)
        if project is not None:
            self.touched.add(project_id)
            self._record(project, go_on(project.state, self.holdings.catalog, FIRED_AT_ONCE))
            if has_more_to_fire(project.state):
                self.unfinished.add(project_id)

    def drop_files(self, project: Project, planned: Plan) -> None:
        """The project does not keep these files any more."""
        project_id = project.record.id
        self.touched.add(project_id)
        self.holdings.scheduler.forget_lines(project_id, planned.lines)
        self._record(project, drop(project.state, planned, self.now))

    def delete_project(self, project: Project) -> None:
        """Mark a project as deleted; its running work is told to end."""
        project_id = project.record.id
        self.touched.add(project_id)
        scheduler = self.holdings.scheduler
        for row in scheduler.jobs_of(project_id):
            if row.state not in ENDED:
                scheduler.cancel(row.id, row.version + 1, checkpoint=False, now=self.now)
        for effect in open_effects(project.state):
            if isinstance(effect, Evaluate):
                start = effect.start
                end = EndEvaluation(start.path, start.eid, start.number)
                self.outside.append((project_id, end))
        self.holdings.projects.drop(project_id)
        at = self.now
        self.write(lambda tx: tx.delete_project(project_id, at))

    def open_work(self) -> None:
        """After a start: carry out again whatever is open; all of it is idempotent."""
        for project in self.holdings.projects:
            self._carry_out(project, self._with_rows(project.record.id))
            self.unfinished.add(project.record.id)

    def _with_rows(self, project_id: str) -> Iterator[Effect]:
        """What is open in a project; rows of its jobs are in memory, also of those that ended."""
        for effect in open_effects(self.holdings.projects.get(project_id).state):
            if isinstance(effect, QueueJob):
                self.recall(job_id(project_id, effect.activation))
            yield effect

    def start_of(self, project_id: str, path: str, eid: str, number: int) -> Start | None:
        """How to begin an evaluation again, with its recorded answers; ``None`` if unwanted."""
        project = self.holdings.projects.find(project_id)
        if project is None:
            return None
        start = wanted_start(project.state, path, eid)
        return start if start is not None and start.number == number else None

    # --- the queue ---------------------------------------------------------------------------

    def tick(self) -> None:
        """Time has passed: leases expire, back-offs end."""
        self.holdings.scheduler.tick(self.now)

    def job_row(self, job: str) -> JobRow | None:
        """A job, taken back into memory if it ended long ago."""
        self.recall(job)
        return self.holdings.scheduler.job_row(job)

    def recall(self, job: str) -> None:
        """Take a job that ended long ago back into memory, if it is not there."""
        scheduler = self.holdings.scheduler
        if not scheduler.knows(job):
            row = self._store.job(job)
            if row is not None:
                scheduler.restore_job(row, self._store.attempts(job))

    def settle(self) -> None:
        """Pass reports and effects between queue and engine until nothing moves."""
        scheduler = self.holdings.scheduler
        while notes := scheduler.take_notes():
            for note in notes:
                if note.job in self.holdings.peers.lent:
                    self.lent_news.append(note.job)
                else:
                    self.report(note.project, note.report)
                    if isinstance(note.report, JobEnded):
                        self.ended.append((note.project, note.job))
        records = scheduler.take_records()
        self.holdings.peers.note(records)
        self._rows.extend(records)
        for rate in scheduler.take_rates():
            self.write(RATES.keep(msgspec.json.encode(rate.key).decode(), rate))
        for aside in scheduler.take_quarantine():
            self.write(ASIDE.keep(aside.worker, aside))
        # The sweep finds by itself what no row names any more.
        scheduler.take_dropped()

    def _record(self, project: Project, events: Sequence[Event]) -> None:
        if not events:
            return
        record = project.record
        position, revision = record.position, record.revision
        for event in events:
            position += 1
            if isinstance(event, RevisionMade):
                revision = event.number
            self.entries.append((record.id, Entry(position, revision, self.now, event)))
        project.record = msgspec.structs.replace(
            record, position=position, revision=revision, changed=self.now
        )
        if has_more_to_fire(project.state):
            self.unfinished.add(record.id)
        self._carry_out(project, effects_of(project.state, events))

    def _carry_out(self, project: Project, effects: Iterable[Effect]) -> None:
        project_id, scheduler = project.record.id, self.holdings.scheduler
        for effect in effects:
            match effect:
                case QueueJob(version=version, spec=spec, parent=parent, on_hold=on_hold):
                    name = job_id(project_id, effect.activation)
                    scheduler.submit(name, project_id, version, spec, parent, on_hold, self.now)
                case CancelJob():
                    self._cancel(job_id(project_id, effect.activation), effect)
                case StreamJob(version=version, ports=ports):
                    scheduler.stream(job_id(project_id, effect.activation), version, ports)
                case HoldQueue(on_hold=on_hold):
                    scheduler.set_on_hold(project_id, on_hold)
                case RetryBy(retries=retries):
                    scheduler.set_retries(project_id, retries)
                case _:
                    self.outside.append((project_id, effect))

    def _cancel(self, job: str, effect: CancelJob) -> None:
        row = self.job_row(job)
        if effect.only_idle and not (row is not None and self._is_idle(row)):
            return
        self.holdings.scheduler.cancel(job, effect.version, effect.checkpoint, self.now)

    def idle(self, project_id: str, activations: Iterable[str]) -> set[str]:
        """Those of these activations whose jobs have not begun, and have nothing to go on from."""
        found = set()
        for activation in activations:
            row = self.job_row(job_id(project_id, activation))
            if row is not None and self._is_idle(row):
                found.add(activation)
        return found

    def _is_idle(self, row: JobRow) -> bool:
        """Whether a job waits, has never been given out, and has nothing to continue from."""
        if row.state != "queued" or row.attempts or row.spec is None:
            return False
        lines = self._store.checkpoints(row.project, row.spec.checkpoint_key)
        return not any(line.refs for line in lines)


def job_id(project_id: str, activation: str) -> str:
    """The id of an activation's job."""
    return f"{project_id}.{activation}"


def _row_key(row: Row) -> tuple[Any, ...]:
    match row:
        case JobRow():
            return ("job", row.id)
        case AttemptRow():
            return ("attempt", row.job, row.number)
        case CheckpointRow():
            return ("checkpoint", row.project, row.key)
