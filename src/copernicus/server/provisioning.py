"""One look at a pool: what to ask of its batch system, and what follows from the answer.

Both run within the runtime, so that what is decided and what it is decided from are one.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from copernicus.errors import NotFound
from copernicus.model.pools import Provision
from copernicus.protocol import AllocationView, BundleReply, PoolView
from copernicus.provision.messages import Ask, JobTold, Submission, Submitted, Told
from copernicus.provision.script import BUNDLE, WORK, script_of
from copernicus.scheduling.demand import known_of
from copernicus.scheduling.growing import (
    Decision,
    Phase,
    Situation,
    Standing,
    decide,
    pause_after,
)
from copernicus.server.admitting import DAY_S, add_join_token, end_join_token
from copernicus.server.batch import Batch
from copernicus.server.pools import (
    ALLOCATIONS,
    KEPT,
    POOLS,
    Allocation,
    Pool,
)
from copernicus.server.retiring import revoke_worker, set_draining
from copernicus.store.records import WorkerRecord
from copernicus.telemetry import get_logger

_LOG = get_logger("provision")
_ACTOR: Final = "provisioner"
_WAITS_S: Final = 60 * DAY_S
_UNKNOWN_S: Final = 600.0
_HANGS_S: Final = 120.0


@dataclass(slots=True)
class Memory:
    """What is only known while the server runs: since when workers are idle, and the like."""

    idle_since: dict[str, float] = field(default_factory=dict)
    surplus_since: float | None = None
    fillable: int = 0
    polled: float = 0.0
    working: frozenset[str] = frozenset()


@dataclass(slots=True)
class Plan:
    """What to ask, the bundles to write before, and the workers that are to be sent away."""

    ask: Ask
    bundles: dict[Path, BundleReply] = field(default_factory=dict)
    drained: tuple[str, ...] = ()
    started: frozenset[str] = frozenset()
    polls: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to ask the batch system."""
        ask = self.ask
        return not (ask.submit or self.polls)


@dataclass(slots=True)
class Leftovers:
    """Of allocations that have ended, by id: their last lines, and where results are left."""

    said: dict[str, str] = field(default_factory=dict)
    results: set[str] = field(default_factory=set)


def plan(
    batch: Batch, name: str, memory: Memory, server: BundleReply, home: Path, poll_s: float
) -> Plan | None:
    """Decide what is to be done about a pool, and keep it; None if there is no such pool.

    ``server``: what a bundle says of this server.
    """
    pools = batch.holdings.pools
    pool = pools.by_name.get(name)
    if pool is None:
        return None
    standing = pools.standing(name)
    phases = {one.id: _phase(batch, one) for one in standing}
    pool = _learn(batch, name, pool, standing)
    decision = _decision(batch, name, pool, pools.standing(name), phases, memory)
    pools.notes[name] = decision.held_back
    for one in standing:
        if one.id in decision.drain:
            _end_soon(batch, one, cancelled=False)
        elif one.id in decision.cancel or _hangs(batch, one):
            _end_soon(batch, one, cancelled=True)
    folder = Path(pool.asked.folder or home / name)
    made = Plan(Ask(pool.asked, str(folder / "scripts")))
    made.drained = tuple(one.worker for one in standing if one.id in decision.drain)
    standing = pools.standing(name)
    made.polls = _is_due(batch, standing, phases, memory, poll_s)
    submissions = [_new(batch, name, pool, folder, server, made) for _ in range(decision.start)]
    made.ask = Ask(
        pool.asked,
        str(folder / "scripts"),
        tuple(submissions),
        tuple(one.job for one in standing if one.job and one.cancelled) if made.polls else (),
        {one.job: one.kept for one in standing if one.job} if made.polls else {},
        tuple(one.name for one in standing if one.state == "asked") if made.polls else (),
    )
    return made


def apply(batch: Batch, name: str, asked: Plan, told: Told, left: Leftovers) -> list[Path]:
    """Keep what the batch system said; the folders of which nothing is needed any more."""
    pools = batch.holdings.pools
    for one in pools.standing(name):
        if one.name in told.submitted:
            _submitted(batch, one, told.submitted[one.name])
        elif one.id in asked.started and (told.error or one.name in told.refused):
            why = told.error or told.refused[one.name]
            _over(batch, one, JobTold("failed", why), left)
        elif one.name in asked.ask.find:
            _look_for(batch, one, told, left)
        elif one.job in told.states:
            _follow(batch, one, told.states[one.job], left)
    return _forget(batch, name)


def decide_provision(batch: Batch, name: str, asked: Provision) -> None:
    """From now on, a pool starts its workers like this; what it has spent stays spent."""
    before = batch.holdings.pools.by_name.get(name)
    spent = before.spent_core_s if before else 0.0
    _put_pool(batch, name, Pool(asked, spent_core_s=spent))


def leave(batch: Batch, name: str, *, at_once: bool) -> None:
    """Start nothing more, cancel what waits, let the rest finish; or end it ``at_once``.

    Raises:
        NotFound: the pool starts no workers.
    """
    pools = batch.holdings.pools
    pool = pools.by_name.get(name)
    if pool is None:
        raise NotFound(f"Pool {name!r} starts no workers itself (cpc pool list).")
    _put_pool(batch, name, msgspec.structs.replace(pool, leaving=True))
    for one in pools.standing(name) if at_once else ():
        _end_soon(batch, one, cancelled=True)


def with_provision(batch: Batch, view: PoolView) -> PoolView:
    """The pool with what it starts itself; allocations that ended last first, after all others."""
    pools = batch.holdings.pools
    pool, found = pools.by_name[view.name], pools.of(view.name)
    found.sort(key=lambda one: (one.is_over, -one.ended_at))
    spent = pool.spent_core_s + sum(one.spent_core_s(batch.now) for one in found if not one.is_over)
    return msgspec.structs.replace(
        view,
        provision=pool.asked,
        allocations=tuple(_view(batch, one) for one in found),
        core_hours=spent / 3600.0,
        held_back=": ".join(filter(None, (pools.notes.get(view.name, ""), pool.why))),
        leaving=pool.leaving,
    )


def _view(batch: Batch, one: Allocation) -> AllocationView:
    running = len(batch.holdings.scheduler.attempts_of(one.worker)) if one.worker else 0
    state = one.state if one.is_over else _phase(batch, one)
    return AllocationView(
        one.id,
        "idle" if state == "working" and not running else state,
        one.job,
        one.why,
        one.worker,
        running,
        one.asked_at,
        one.ended_at,
        one.spent_core_s(batch.now) / 3600.0,
    )


def _is_due(
    batch: Batch,
    standing: list[Allocation],
    phases: dict[str, Phase],
    memory: Memory,
    poll_s: float,
) -> bool:
    """Whether the batch system is to be asked: now and then, and when something has happened."""
    working = frozenset(one for one, phase in phases.items() if phase == "working")
    gone, memory.working = memory.working - working, working
    due = (
        batch.now - memory.polled >= poll_s
        or bool(gone)
        or any(one.cancelled and one.ending_at > memory.polled for one in standing)
    )
    if due and standing:
        memory.polled = batch.now
    return due and bool(standing)


def _phase(batch: Batch, one: Allocation) -> Phase:
    worker = _worker(batch, one)
    if one.ending_at:
        return "ending"
    if worker is not None:
        presence = batch.holdings.machines.presence[worker.id]
        if presence.left or worker.draining or worker.revoked_at is not None:
            return "ending"
        return "working" if presence.offer is not None else "starting"
    return {"asked": "asked", "pending": "pending"}.get(one.state, "starting")  # type: ignore[return-value]


def _worker(batch: Batch, one: Allocation) -> WorkerRecord | None:
    machines = batch.holdings.machines
    if one.worker:
        return machines.workers.get(one.worker)
    joined = machines.joined_with(one.token)
    return joined[0] if joined else None


def _learn(batch: Batch, name: str, pool: Pool, standing: list[Allocation]) -> Pool:
    """Note which workers have come, and what the newest has."""
    newest: WorkerRecord | None = None
    for one in standing:
        worker = _worker(batch, one)
        if worker is None:
            continue
        if not one.worker:
            since = one.since or batch.now
            _put(batch, msgspec.structs.replace(one, worker=worker.id, since=since))
            if pool.failures:
                pool = _put_pool(batch, name, msgspec.structs.replace(pool, failures=0, why=""))
        newest = worker if batch.holdings.machines.presence[worker.id].offer else newest
    offer = batch.holdings.machines.presence[newest.id].offer if newest else None
    if newest is None or offer is None:
        return pool
    # Nodes may differ: were it every worker's, it would change at each look.
    known = known_of(offer, newest.facts.memory_mb)
    if known == pool.known:
        return pool
    return _put_pool(batch, name, msgspec.structs.replace(pool, known=known))


def _decision(
    batch: Batch,
    name: str,
    pool: Pool,
    standing: list[Allocation],
    phases: dict[str, Phase],
    memory: Memory,
) -> Decision:
    scheduler, now = batch.holdings.scheduler, batch.now
    before, memory.fillable = memory.fillable, scheduler.fillable(name, pool.asked, pool.known)
    idle: dict[str, float] = {}
    for one in standing:
        if phases[one.id] == "working" and not scheduler.attempts_of(one.worker):
            idle[one.id] = memory.idle_since.get(one.id, now)
    memory.idle_since = idle
    surplus_s = 0.0 if memory.surplus_since is None else now - memory.surplus_since
    decision = decide(
        Situation(
            pool.asked,
            tuple(
                Standing(one.id, phases[one.id], now - idle.get(one.id, now)) for one in standing
            ),
            # Work that was there at the last look, too: what others take at once needs nobody.
            min(before, memory.fillable),
            pool.spent_core_s,
            surplus_s,
            pool.failed_at + pause_after(pool.failures) - now if pool.failures else 0.0,
            scout=pool.known is None,
            leaving=pool.leaving,
        )
    )
    if not decision.surplus:
        memory.surplus_since = None
    elif memory.surplus_since is None:
        memory.surplus_since = now
    return decision


def _new(
    batch: Batch, name: str, pool: Pool, folder: Path, server: BundleReply, made: Plan
) -> Submission:
    """A new allocation, its token, its bundle to be written, its script."""
    text, token = add_join_token(batch, name, 1, _WAITS_S + pool.asked.walltime_s, _ACTOR)
    one = Allocation(
        secrets.token_hex(4),
        name,
        token.id,
        batch.now,
        pool.asked.core_s,
        pool.asked.cores,
        "",
    )
    one = msgspec.structs.replace(one, folder=str(folder / one.id))
    _put(batch, one)
    batch.audit(_ACTOR, "", "pool.start", f"{one.name} by {pool.asked.provider}")
    made.bundles[Path(one.folder)] = msgspec.structs.replace(
        server, pool=name, join_token=text, expires=token.expires
    )
    made.started |= {one.id}
    return Submission(one.name, script_of(pool.asked, one.folder))


def _end_soon(batch: Batch, one: Allocation, *, cancelled: bool) -> None:
    worker = _worker(batch, one)
    if worker is not None and not worker.draining and not cancelled:
        set_draining(batch, worker, draining=True)
    current = batch.holdings.pools.allocations[one.id]
    ending_at = current.ending_at or batch.now
    cancelled = cancelled or current.cancelled
    _put(batch, msgspec.structs.replace(current, ending_at=ending_at, cancelled=cancelled))


def _hangs(batch: Batch, one: Allocation) -> bool:
    """Whether it was to end long ago, its worker is gone, and the batch system still has it."""
    if not one.job or not one.ending_at or batch.now - one.ending_at < _HANGS_S:
        return False
    worker = _worker(batch, one)
    if worker is None:
        return True
    presence = batch.holdings.machines.presence[worker.id]
    return presence.left or batch.now - presence.seen > _HANGS_S


def _submitted(batch: Batch, one: Allocation, taken: Submitted) -> None:
    _LOG.info("submitted", allocation=one.name, job=taken.job)
    _put(batch, msgspec.structs.replace(one, job=taken.job, kept=taken.kept, state="pending"))


def _look_for(batch: Batch, one: Allocation, told: Told, left: Leftovers) -> None:
    """A submission without an answer: the batch system has it under its name, or it has not."""
    found = told.found.get(one.name)
    if found is not None:
        _submitted(batch, one, found)
    elif one.name in told.found or batch.now - one.asked_at > _UNKNOWN_S:
        _over(batch, one, JobTold("failed", "the batch system did not take it"), left)


def _follow(batch: Batch, one: Allocation, seen: JobTold, left: Leftovers) -> None:
    if seen.state in ("ended", "failed"):
        _over(batch, one, seen, left)
    elif seen.state == "pending" and not one.worker:
        _put(batch, msgspec.structs.replace(one, state="pending", why=seen.why, since=batch.now))
    elif seen.state == "running":
        since = one.since or one.asked_at
        _put(batch, msgspec.structs.replace(one, state="running", why="", since=since))
    elif seen.state == "unknown":
        _put(batch, msgspec.structs.replace(one, why=seen.why))


def _over(batch: Batch, one: Allocation, seen: JobTold, left: Leftovers) -> None:
    """It has ended: its token lets nobody in, its worker's jobs go back at once."""
    pool = batch.holdings.pools.by_name[one.pool]
    worker = _worker(batch, one)
    failed = worker is None and not one.cancelled
    never_ran = worker is None and one.cancelled and one.state in ("asked", "pending")
    over = msgspec.structs.replace(
        one,
        state="failed" if failed else "ended",
        why=_why(one, seen, left, failed=failed),
        since=0.0 if never_ran else one.since or one.asked_at,
        ended_at=batch.now,
    )
    _put(batch, over)
    end_join_token(batch, one.token)
    spent = pool.spent_core_s + over.spent_core_s(batch.now)
    pool = msgspec.structs.replace(pool, spent_core_s=spent)
    if failed:
        _LOG.warning("an allocation failed to start", allocation=one.name, reason=over.why)
        pool = msgspec.structs.replace(
            pool, failures=pool.failures + 1, failed_at=batch.now, why=over.why
        )
    _put_pool(batch, one.pool, pool)
    if worker is not None and worker.revoked_at is None and one.id not in left.results:
        revoke_worker(batch, worker)


def _why(one: Allocation, seen: JobTold, left: Leftovers, *, failed: bool) -> str:
    if one.id in left.results:
        return (
            f"it left results that were not delivered: cpc worker start --idle-exit 1 "
            f"--bundle {one.folder}/{BUNDLE} --work-dir {one.folder}/{WORK}"
        )
    if not failed:
        return seen.why
    said = [part for part in (seen.why, left.said.get(one.id, "")) if part]
    return ": ".join(dict.fromkeys(said)) or "it ended before its worker came"


def _forget(batch: Batch, name: str) -> list[Path]:
    """Forget allocations that ended long ago, and a pool that is leaving with the last of them."""
    pools = batch.holdings.pools
    found, pool = pools.of(name), pools.by_name[name]
    over = [one for one in found if one.is_over]
    gone = over[:-KEPT]
    if pool.leaving and len(over) == len(found):
        gone = over
        del pools.by_name[name]
        pools.notes.pop(name, None)
        batch.write(POOLS.drop(name))
        batch.audit(_ACTOR, "", "pool.gone", name)
    for one in gone:
        del pools.allocations[one.id]
        batch.write(ALLOCATIONS.drop(one.id))
    return [Path(one.folder) for one in over if one.state == "ended" or one in gone]


def _put(batch: Batch, one: Allocation) -> None:
    known = batch.holdings.pools.allocations
    if known.get(one.id) != one:
        known[one.id] = one
        batch.write(ALLOCATIONS.keep(one.id, one))


def _put_pool(batch: Batch, name: str, pool: Pool) -> Pool:
    batch.holdings.pools.by_name[name] = pool
    batch.write(POOLS.keep(name, pool))
    return pool
