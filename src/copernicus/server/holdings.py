"""What the server holds in memory: projects, the queue, accounts, machines, known functions.

All of it is read from the store at the start, and read again where a commit failed.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from copernicus.engine.core import fold
from copernicus.engine.snapshot import load
from copernicus.engine.state import ProjectState
from copernicus.errors import NotFound
from copernicus.model.events import ProjectLoaded
from copernicus.model.functions import FunctionSpec
from copernicus.protocol import ModuleView
from copernicus.scheduling import Scheduler, SchedulerSettings
from copernicus.scheduling.lending import LENT_RETRIES, LENT_SHARE
from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow
from copernicus.security.policy import Role
from copernicus.server.accounts import Accounts
from copernicus.server.machines import Machines
from copernicus.server.peers import Peers
from copernicus.server.pools import Pools, read_pools
from copernicus.server.shares import ASIDE, RATES, Decided, read_decided
from copernicus.server.verifications import Verifications, read_verifications
from copernicus.store.reads import Reads
from copernicus.store.records import Entry, ProjectRecord
from copernicus.store.store import Store


@dataclass(slots=True)
class Project:
    """A project: what the store says of it, its network, and who may do what in it."""

    record: ProjectRecord
    state: ProjectState
    roles: dict[str, Role]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A saved project as it is to be here: its journal, and its work without any lease."""

    record: ProjectRecord
    state: ProjectState
    origin: ProjectLoaded
    entries: tuple[Entry, ...]
    jobs: tuple[JobRow, ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
    checkpoints: tuple[CheckpointRow, ...] = ()


class Projects:
    """All projects, by id and by name."""

    def __init__(self) -> None:
        self._by_id: dict[str, Project] = {}
        self._ids: dict[str, str] = {}

    def __iter__(self) -> Iterator[Project]:
        return iter(list(self._by_id.values()))

    def ids(self) -> set[str]:
        """The ids of all."""
        return set(self._by_id)

    def find(self, name: str) -> Project | None:
        """The project of this id or name."""
        return self._by_id.get(name) or self._by_id.get(self._ids.get(name, ""))

    def get(self, name: str) -> Project:
        """The project of this id or name.

        Raises:
            NotFound: there is none.
        """
        found = self.find(name)
        if found is None:
            raise no_project(name)
        return found

    def put(self, project: Project) -> None:
        """Hold a project."""
        self._by_id[project.record.id] = project
        self._ids[project.record.name] = project.record.id

    def drop(self, project_id: str) -> None:
        """Hold it no more."""
        gone = self._by_id.pop(project_id, None)
        if gone is not None:
            del self._ids[gone.record.name]


def no_project(name: str) -> NotFound:
    """The answer for a project that is not there, or that this user may not know of."""
    return NotFound(f"There is no project {name!r} (or you are not a member of it).")


class Holdings:
    """Everything in memory; changed by ``Runtime`` alone."""

    def __init__(self, settings: SchedulerSettings) -> None:
        self._settings = settings
        self.projects = Projects()
        self.scheduler = Scheduler(settings)
        self.accounts = Accounts()
        self.machines = Machines()
        self.decided = Decided()
        self.pools = Pools()
        self.peers = Peers()
        self.verifications = Verifications()
        self.catalog: dict[str, FunctionSpec] = {}
        self.modules: tuple[ModuleView, ...] = ()
        self.broken: dict[str, str] = {}
        self.closed = ""

    def load(self, store: Store, now: float) -> None:
        """Read everything."""
        with _no_search_for_garbage():
            for record in store.projects():
                self.projects.put(_read_project(store, record))
            self._load_rest(store, now)

    def reload(self, store: Store, projects: Iterable[str], now: float) -> None:
        """Forget what was not committed: of these projects, of the queue and of all accounts."""
        records = {record.id: record for record in store.projects()}
        for project_id in {*projects, *(set(records) - self.projects.ids())}:
            if project_id in records:
                self.projects.put(_read_project(store, records[project_id]))
            else:
                self.projects.drop(project_id)
        self._load_rest(store, now)

    def _load_rest(self, store: Store, now: float) -> None:
        scheduler = Scheduler(self._settings)
        self.peers.load(store)
        lent = self.peers.lent_projects()
        with_work = [*(project.record.id for project in self.projects), *lent]
        checkpoints = [row for project in with_work for row in store.checkpoints(project)]
        scheduler.restore(
            map(self._as_known, store.live_jobs()),
            store.live_attempts(),
            checkpoints,
            now,
            store.attempt_base,
        )
        self.peers.note(filter(None, map(scheduler.job_row, self.peers.lent)))
        self.verifications = read_verifications(store, scheduler.job_ids())
        for project in self.projects:
            scheduler.set_on_hold(project.record.id, project.state.paused)
            scheduler.set_retries(project.record.id, project.state.retries)
        self.decided = read_decided(store)
        self.pools = read_pools(store)
        for project_id, share in self.decided.shares.items():
            scheduler.set_share(project_id, share)
        for peer in self.peers.records.values():
            if peer.suspended or peer.doubt:
                scheduler.drain(peer.id)
        for project_id in lent:
            take_in_lent(scheduler, project_id)
        for pool, rules in self.decided.pools.items():
            scheduler.set_pool(pool, rules)
        scheduler.restore_rates(RATES.read(store).values())
        scheduler.restore_quarantine(ASIDE.read(store).values())
        self.accounts.load(store)
        self.machines.load(store)
        for worker in self.machines.workers.values():
            if worker.draining:
                scheduler.drain(worker.id)
            if worker.revoked_at is not None:
                scheduler.forget_worker(worker.id, now)
        scheduler.close(self.closed)
        self.scheduler = scheduler

    def _as_known(self, row: JobRow) -> JobRow:
        """An equal row with what its project has in memory already, which is most of it."""
        project = self.projects.find(row.project)
        made = project.state.activations.get(row.activation) if project is not None else None
        if project is None or made is None or made.job != row.spec:
            return row
        return msgspec.structs.replace(row, project=project.record.id, spec=made.job)

    def close_queue(self, reason: str) -> None:
        """Give out no work, for this reason; with ``""``, go on."""
        self.closed = reason
        self.scheduler.close(reason)


def take_in_lent(scheduler: Scheduler, project: str) -> None:
    """Have the jobs of a peer's project go after all others, and fail where they fail."""
    scheduler.set_share(project, LENT_SHARE)
    scheduler.set_retries(project, LENT_RETRIES)


@contextlib.contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """Millions of objects come to stay: to look again and again for garbage doubles the time.

    Nor are they looked through later, which would hold everybody up for as long.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _read_project(store: Store, record: ProjectRecord) -> Project:
    roles = {member.user: Role.named(member.role) for member in store.members(record.id)}
    return Project(record, read_state(store, record.id), roles)


def read_state(reads: Reads, project: str) -> ProjectState:
    """What a project's journal tells, from its snapshot on if there is one that can be used."""
    state = _in_snapshot(reads, project)
    if state is None:
        return fold(reads.load_project(project))
    return fold(reads.load_project(project, since=state.position), state)


def _in_snapshot(reads: Reads, project: str) -> ProjectState | None:
    position, data = reads.snapshot(project) or (0, b"")
    state = load(data)
    return state if state is not None and state.position == position else None
