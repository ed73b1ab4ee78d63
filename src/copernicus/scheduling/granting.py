"""Giving out work: attempts for a request, the same ones again for the same request."""

from __future__ import annotations

import msgspec

from copernicus.protocol import Assignment, LeaseRequest
from copernicus.scheduling import suspects
from copernicus.scheduling.blame import base_of
from copernicus.scheduling.book import resumable
from copernicus.scheduling.core import Core
from copernicus.scheduling.filling import Filling
from copernicus.scheduling.inputs import inputs_of
from copernicus.scheduling.matching import Pick
from copernicus.scheduling.rows import AttemptRow, JobRow
from copernicus.scheduling.workers import WorkerInfo


def lease(core: Core, worker: WorkerInfo, request: LeaseRequest) -> list[Assignment]:
    """Fill the worker; what an earlier request of this id was given is given again."""
    core.workers.see(worker, request.offer, core.now)
    if worker.id in core.workers.revoked:
        return []
    before = core.leases.answered(worker.id, request.request_id)
    if before is not None:
        return _again(core, before)
    if core.closed or worker.id in core.workers.draining or core.quarantine.get(worker.id):
        return []
    if not suspects.may_fill(core, worker.id):
        return []
    if core.quarantine.is_on_trial(worker.id):
        if core.book.held_by.get(worker.id):
            return []
        one = msgspec.structs.replace(request.offer, max_jobs=1)
        request = msgspec.structs.replace(request, offer=one, ahead=())
    with suspects.hidden(core, worker.id):
        filling = Filling(core.market, worker, request.offer, core.now)
        picks = list(filling.run())
        for more in request.ahead:
            picks += filling.run_ahead(more.function, min(more.count, core.settings.most_ahead))
    picks = suspects.parted(core, picks)
    kind = request.offer.kind
    rows = [_attempt(core, pick, worker, request.request_id, kind) for pick in picks]
    if rows:
        core.leases.note_request(worker.id, request.request_id, [row.id for row in rows])
    return [assignment(core, row) for row in rows]


def _again(core: Core, attempts: list[str]) -> list[Assignment]:
    live = [row for row in map(core.book.attempt, attempts) if row and row.state == "live"]
    for row in live:
        core.leases.start(row.id, core.now)
    return [assignment(core, row) for row in live]


def _attempt(core: Core, pick: Pick, worker: WorkerInfo, request: str, kind: str) -> AttemptRow:
    number = max(pick.row.attempts, core.attempt_base) + 1
    job = core.put_job(msgspec.structs.replace(pick.row, state="leased", attempts=number))
    assert job.spec is not None
    row = AttemptRow(
        job=job.id,
        number=job.attempts,
        worker=worker.id,
        request=request,
        state="live",
        host=worker.host,
        program_version=pick.program.version,
        cores=pick.cores,
        memory_mb=(job.memory_mb or job.spec.resources.memory_mb) if pick.cores else 0,
        gpus=job.spec.resources.gpus if pick.cores else 0,
        part=_part(core, job),
        granted=core.now,
        base=base_of(core.newest(job)),
        kind=kind,
        disk_mb=job.spec.resources.disk_mb if pick.cores else 0,
    )
    core.book.put(row)
    core.leases.start(row.id, core.now)
    core.workers.held.note(worker.id, inputs_of(job))
    return row


def _part(core: Core, job: JobRow) -> int:
    """One more than the attempts that ever started this work, so that parts never collide."""
    assert job.spec is not None
    if resumable(job.spec):
        return core.line(job.project, job.spec.checkpoint_key).started + 1
    return 1 + sum(row.heard for row in core.book.attempts.get(job.id, {}).values())


def assignment(core: Core, row: AttemptRow) -> Assignment:
    """The attempt as its worker gets it."""
    job = core.book.jobs[row.job]
    spec = job.spec
    assert spec is not None
    spec = core.by_project(job)
    if job.memory_mb:
        resources = msgspec.structs.replace(spec.resources, memory_mb=job.memory_mb)
        spec = msgspec.structs.replace(spec, resources=resources)
    interval = spec.command and spec.command.checkpoint and spec.command.checkpoint.interval_s
    return Assignment(
        attempt=row.id,
        job=job.id,
        number=row.number,
        project=job.project,
        spec=spec,
        cores=row.cores or max(1, spec.resources.cores),
        lease_s=core.settings.lease_s,
        heartbeat_s=core.settings.heartbeat_s,
        checkpoint=core.newest(job),
        part=row.part,
        checkpoint_interval_s=interval or core.settings.checkpoint_interval_s,
        ahead=not row.cores,
    )
