"""What is shown: the engine's picture of a project with the queue's picture of its jobs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import msgspec

from copernicus.engine import views
from copernicus.errors import NotFound
from copernicus.model.paths import Address
from copernicus.model.retention import Retention
from copernicus.protocol import (
    ElementView,
    InstanceDetail,
    InstanceView,
    JobPage,
    JobView,
    Member,
    PoolView,
    ProjectView,
    WorkerView,
)
from copernicus.scheduling.rows import ENDED, JobRow, activation_of
from copernicus.server.batch import Batch, job_id
from copernicus.server.doubts import doubt_of, doubts_of
from copernicus.server.holdings import Project
from copernicus.server.provisioning import with_provision
from copernicus.server.verifying import tally_of

LISTED = 1000


def project_view(batch: Batch, project: Project) -> ProjectView:
    """A project in a list."""
    record, state = project.record, project.state
    states = Counter(views.project_states(state))
    share = batch.holdings.decided.share(record.id)
    leased = batch.holdings.scheduler.leased_of(record.id)
    running = sum(row.activation in state.activations for row in leased)
    _move(states, min(running, states["queued"]))
    return ProjectView(
        id=record.id,
        name=record.name,
        owner=record.owner,
        state="paused" if state.paused else "active",
        revision=state.revision,
        position=record.position,
        created=record.created,
        changed=record.changed,
        states=dict(states),
        members=tuple(
            msgspec.convert({"user": user, "role": role.label}, Member)
            for user, role in sorted(project.roles.items())
        ),
        paused_for=state.paused_for,
        notice=batch.holdings.closed,
        budget=state.budget,
        retries=state.retries,
        retention=batch.holdings.decided.retention.get(record.id, Retention()),
        use=state.use(),
        weight=share.weight,
        priority=share.priority,
        pools=share.pools,
        verification=batch.holdings.verifications.rule(record.id),
        verified=tally_of(batch, record.id),
        doubts=doubts_of(batch, project),
    )


def instance_views(batch: Batch, project: Project) -> list[InstanceView]:
    """All instances; how many of their elements run, and how far, if it is just one."""
    running = _running_by_path(batch, project)
    return [_laid_over(view, running.get(view.path, [])) for view in views.instances(project.state)]


def instance_detail(
    batch: Batch, project: Project, path: str, start: int, count: int
) -> InstanceDetail:
    """One instance with a page of its elements, and how far their jobs are.

    Raises:
        NotFound: there is no such instance.
    """
    detail = views.instance(project.state, path, start, count)
    running = _running_by_path(batch, project).get(path, [])
    return msgspec.structs.replace(
        detail,
        summary=_laid_over(detail.summary, running),
        elements=tuple(_element(batch, element) for element in detail.elements),
    )


def jobs_of(batch: Batch, project: Project) -> list[JobView]:
    """The first ``LISTED`` jobs: those that run, those that wait, then those that ended of late."""
    scheduler, name = batch.holdings.scheduler, project.record.id
    queued = (row for row in scheduler.in_order(name) if row.state == "queued")
    newest = scheduler.in_order(name, newest_first=True)
    ended = (row for row in newest if row.state in ENDED)
    chosen = itertools.islice(itertools.chain(scheduler.leased_of(name), queued, ended), LISTED)
    return [_job(batch, project, row.id, short=True) for row in chosen]


def ended_jobs(batch: Batch, project: Project, rows: Sequence[JobRow], count: int) -> JobPage:
    """A page of ended jobs, from what the store has; one less than ``count`` was the last."""
    for row in rows:
        batch.recall(row.id)
    shown = tuple(_job(batch, project, row.id, short=True) for row in rows)
    return JobPage(shown, rows[-1].id if len(rows) == count else "")


def pool_views(batch: Batch, lease_s: float) -> list[PoolView]:
    """The pools that have workers or rules, by name."""
    decided, projects = batch.holdings.decided, batch.holdings.projects
    provisioned = batch.holdings.pools.by_name
    found = {name: PoolView(name) for name in (*decided.pools, *provisioned)}
    for worker in worker_views(batch, lease_s):
        if worker.state != "revoked":
            pool = found.setdefault(worker.pool, PoolView(worker.pool))
            near = pool.connected + (worker.state != "silent")
            found[worker.pool] = msgspec.structs.replace(
                pool, workers=pool.workers + 1, connected=near
            )
    for name, pool in found.items():
        known = [projects.find(one) for one in decided.pool(name).projects]
        names = tuple(sorted(one.record.name for one in known if one is not None))
        found[name] = msgspec.structs.replace(pool, projects=names)
    for name in provisioned:
        found[name] = with_provision(batch, found[name])
    return [found[name] for name in sorted(found)]


def job_of(batch: Batch, project: Project, name: str, *, watch: bool = False) -> JobView:
    """One job, with its log (``watch``: which is to come often) and why it does not run.

    Raises:
        NotFound: the project has no such job.
    """
    full = name if "." in name else job_id(project.record.id, name)
    row = batch.job_row(full)
    if row is None or row.project != project.record.id:
        raise NotFound(f"Project {project.record.name!r} has no job {name!r}.")
    if watch:
        batch.holdings.scheduler.watch(full, batch.now)
    shown = batch.holdings.scheduler.closely(_job(batch, project, full, short=False))
    return msgspec.structs.replace(shown, doubt=doubt_of(batch, project, activation_of(full)))


def worker_views(batch: Batch, lease_s: float) -> list[WorkerView]:
    """All workers: those who work here first, revoked ones last."""
    machines, scheduler = batch.holdings.machines, batch.holdings.scheduler
    found = []
    for worker in machines.workers.values():
        presence = machines.presence[worker.id]
        offer = presence.offer
        near = batch.now - presence.seen <= lease_s and not presence.left
        state = "connected" if near else "silent"
        if worker.revoked_at is not None:
            state = "revoked"
        elif worker.draining and state == "connected":
            state = "draining"
        aside = scheduler.aside(worker.id)
        if aside is not None and state == "connected":
            state = "quarantined"
        view = {
            "id": worker.id,
            "host": worker.host,
            "pool": worker.pool,
            "state": state,
            "last_seen": presence.seen,
            "cores": worker.facts.cores,
            "memory_mb": worker.facts.memory_mb,
            "running": len(scheduler.attempts_of(worker.id)),
            "joined": worker.joined,
        }
        if offer is not None and offer.notice:
            view |= {"why": offer.notice, "state": "full" if state == "connected" else state}
        if aside is not None:
            view |= {"why": aside.why, "until": aside.until}
        if offer is not None:
            view |= {"cores_free": offer.cores, "gpus": offer.gpus}
            view["programs"] = msgspec.to_builtins(offer.programs)
        found.append(msgspec.convert(view, WorkerView))
    return sorted(found, key=lambda view: (_STATES.index(view.state), view.host, view.id))


_STATES = ("connected", "draining", "quarantined", "full", "silent", "revoked")


def value_of_address(text: str, address: Address) -> Address:
    """The address, if it names an output or an input.

    Raises:
        NotFound: it names neither.
    """
    if address.port is None:
        raise NotFound(f"{text!r} names no port: write for example run.out.xtc or run.in.conf[0].")
    return address


def _job(batch: Batch, project: Project, name: str, *, short: bool) -> JobView:
    shown = batch.holdings.scheduler.job_view(name)
    path = views.path_of_activation(project.state, name.rpartition(".")[2])
    if not path:
        row = batch.holdings.scheduler.job_row(name)
        path = row.spec.label if row and row.spec else ""
    ended = max((one.ended for one in shown.tries), default=0.0)
    shown = msgspec.structs.replace(shown, path=path, ended=0.0 if shown.cores else ended)
    return msgspec.structs.replace(shown, log_tail="", tries=()) if short else shown


def _element(batch: Batch, element: ElementView) -> ElementView:
    row = batch.holdings.scheduler.job_row(element.job) if element.job else None
    if row is None or row.state in ENDED:
        return element
    shown = batch.holdings.scheduler.job_view(row.id)
    state = "running" if shown.state == "running" and element.state == "queued" else element.state
    waits = element.waits_for or shown.why
    return msgspec.structs.replace(element, state=state, progress=shown.progress, waits_for=waits)


def _running_by_path(batch: Batch, project: Project) -> dict[str, list[JobView]]:
    scheduler = batch.holdings.scheduler
    found: dict[str, list[JobView]] = {}
    for row in scheduler.leased_of(project.record.id):
        made = project.state.activations.get(row.activation)
        if made is not None and not made.outcome:
            found.setdefault(made.path, []).append(scheduler.job_view(row.id))
    return found


def _laid_over(view: InstanceView, running: list[JobView]) -> InstanceView:
    counts = Counter(view.counts)
    _move(counts, min(len(running), counts["queued"]))
    return msgspec.structs.replace(
        view,
        counts=dict(counts),
        state="running" if running and view.state == "queued" else view.state,
        progress=running[0].progress if len(running) == 1 else view.progress,
    )


def _move(counts: Counter[str], number: int) -> None:
    """What the engine calls queued may run: only the queue knows."""
    counts["queued"] -= number
    counts["running"] += number
    for word in ("queued", "running"):
        if not counts[word]:
            del counts[word]
