"""What workers ask: work, signs of life, checkpoints, results. Bodies are msgpack."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from litestar import Router, post
from litestar.enums import MediaType
from litestar.exceptions import HTTPException

from copernicus.errors import BadValue, CopernicusError, NotAllowed, ServerBusy
from copernicus.model.filenames import check_name, sane_path
from copernicus.model.jobs import CheckpointRef, StoredFile
from copernicus.model.resources import Offer
from copernicus.model.values import File, files_in
from copernicus.protocol import (
    Assignment,
    CheckpointRequest,
    ErrorBody,
    HeartbeatReply,
    HeartbeatRequest,
    LeaseReply,
    LeaseRequest,
    PartialRequest,
    ResultOutcome,
    ResultReply,
    ResultRequest,
    ResultsReply,
    ResultsRequest,
)
from copernicus.scheduling.workers import WorkerInfo
from copernicus.security.policy import Action
from copernicus.server.batch import Batch
from copernicus.server.http.access import AnyRequest, caller_of, does, packed, site_of, worker_of
from copernicus.server.site import Site
from copernicus.server.waiting import Waiting

_PACKED = MediaType.MESSAGEPACK
_SMALL = 64 * 1024
_ALL_SMALL = 1024 * 1024


@post("/lease", opt=does(Action.LEASE), media_type=_PACKED, status_code=200)
async def lease(request: AnyRequest) -> LeaseReply:
    """Work for this worker, at once or as soon as there is some within its wait."""
    site, record = site_of(request), worker_of(request)
    wanted = await packed(request, LeaseRequest)
    now = site.clock.now()
    site.runtime.holdings.machines.saw(record.id, now, wanted.offer)
    worker = WorkerInfo(record.id, record.host, record.pool)
    wanted = msgspec.structs.replace(wanted, offer=_by_id(site, wanted.offer))
    wait_s = min(max(wanted.wait_s, 0.0), site.settings.max_wait_s)
    scheduler = site.runtime.holdings.scheduler
    waiting = Waiting(worker, wanted, 0.0 if scheduler.is_draining(worker.id) else wait_s)
    grants = await _unless_gone(request, site.runtime.lease(waiting))
    if any(_small_files(grant) for grant in grants):
        grants = await asyncio.to_thread(_with_files, site, grants)
    return LeaseReply(tuple(grants), scheduler.is_draining(worker.id))


def _by_id(site: Site, offer: Offer) -> Offer:
    """The offer with the ids of the projects that it names."""
    if not offer.projects:
        return offer
    found = [(name, site.runtime.holdings.projects.find(name)) for name in offer.projects]
    ids = tuple(name if project is None else project.record.id for name, project in found)
    return msgspec.structs.replace(offer, projects=ids)


@post("/leave", opt=does(Action.HEARTBEAT), status_code=204)
async def leave(request: AnyRequest) -> None:
    """This worker ends: it is not to be counted on any more."""
    site, record = site_of(request), worker_of(request)

    def forget(batch: Batch) -> None:
        batch.holdings.machines.left(record.id)
        batch.holdings.scheduler.worker_left(record.id)

    await site.runtime.do(forget)


@post("/heartbeat", opt=does(Action.HEARTBEAT), media_type=_PACKED, status_code=200)
async def heartbeat(request: AnyRequest) -> HeartbeatReply:
    """Signs of life of everything that the worker holds; what it is to do with each."""
    site, record = site_of(request), worker_of(request)
    beats = await packed(request, HeartbeatRequest)
    if beats.offer is not None:
        beats = msgspec.structs.replace(beats, offer=_by_id(site, beats.offer))
    site.runtime.holdings.machines.saw(record.id, site.clock.now(), beats.offer)

    def beat(batch: Batch) -> HeartbeatReply:
        directives = batch.heartbeat(record.id, beats)
        return HeartbeatReply(
            tuple(directives), drain=batch.holdings.scheduler.is_draining(record.id)
        )

    return await site.runtime.do(beat)


@post("/checkpoint", opt=does(Action.CHECKPOINT), status_code=204)
async def checkpoint(request: AnyRequest) -> None:
    """A checkpoint whose files have been uploaded."""
    site, record = site_of(request), worker_of(request)
    made = await packed(request, CheckpointRequest)
    await asyncio.to_thread(_check_stored, site, _placeable(made.files))
    await site.runtime.do(lambda batch: batch.checkpoint(record.id, made))


@post("/partial", opt=does(Action.CHECKPOINT), status_code=204)
async def partial(request: AnyRequest) -> None:
    """What an attempt has made so far, whose files have been uploaded."""
    site, record = site_of(request), worker_of(request)
    given = await packed(request, PartialRequest)
    await asyncio.to_thread(_check_stored, site, _stored(given.outputs))
    await site.runtime.do(lambda batch: batch.partial(record.id, given))
    site.knocks.told()


@post("/result", opt=does(Action.REPORT_RESULT), media_type=_PACKED, status_code=200)
async def result(request: AnyRequest) -> ResultReply:
    """How an attempt ended, with its small files; larger ones have been uploaded."""
    site, worker, address = site_of(request), worker_of(request).id, caller_of(request).address
    ended = await packed(request, ResultRequest)
    error = (await _keep_all_files(site, (ended,)))[0]
    if error is not None:
        raise error
    return await _take_result(site, worker, address, ended)


@post("/results", opt=does(Action.REPORT_RESULT), media_type=_PACKED, status_code=200)
async def results(request: AnyRequest) -> ResultsReply:
    """How several attempts ended; each is taken or refused by itself."""
    site, worker, address = site_of(request), worker_of(request).id, caller_of(request).address
    several = (await packed(request, ResultsRequest)).results
    errors = await _keep_all_files(site, several)
    taken = (_take(site, worker, address, *one) for one in zip(several, errors, strict=True))
    return ResultsReply(tuple(await asyncio.gather(*taken)))


async def _take(
    site: Site, worker: str, address: str, ended: ResultRequest, error: CopernicusError | None
) -> ResultOutcome:
    try:
        if error is not None:
            raise error
        return ResultOutcome(verdict=(await _take_result(site, worker, address, ended)).verdict)
    except ServerBusy:
        raise
    except CopernicusError as refused:
        return ResultOutcome(error=ErrorBody(refused.code, refused.message))


async def _take_result(site: Site, worker: str, address: str, ended: ResultRequest) -> ResultReply:
    def take(batch: Batch) -> ResultReply:
        try:
            verdict = batch.result(worker, ended)
        except NotAllowed:
            batch.audit(worker, address, "attempt.result", ended.attempt[:200], "refused")
            raise
        return msgspec.convert({"verdict": verdict}, ResultReply)

    return await site.runtime.do(take)


async def _keep_all_files(
    site: Site, several: Sequence[ResultRequest]
) -> list[CopernicusError | None]:
    """Keep the files that came along; what is wrong with those of each."""
    if not any(_has_files(ended) for ended in several):
        return [None] * len(several)

    def keep(ended: ResultRequest) -> CopernicusError | None:
        try:
            _keep_files(site, ended)
        except CopernicusError as error:
            return error
        return None

    return await asyncio.to_thread(lambda: [keep(ended) for ended in several])


async def _unless_gone(request: AnyRequest, leasing: object) -> list[Assignment]:
    """The grants, unless the worker hangs up while it waits: then nothing is given to nobody."""
    answer = asyncio.ensure_future(leasing)  # type: ignore[call-overload]
    gone = asyncio.ensure_future(_hang_up(request))
    try:
        await asyncio.wait((answer, gone), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            raise HTTPException(status_code=499, detail="The worker has hung up.")
        grants: list[Assignment] = answer.result()
        return grants
    finally:
        answer.cancel()
        gone.cancel()


async def _hang_up(request: AnyRequest) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _small_files(grant: Assignment) -> list[File]:
    spec = grant.spec
    given: list[Any] = [spec.task.inputs] if spec.task else []
    given += [placed.file for placed in (spec.command.files if spec.command else ())]
    return [file for file in files_in(given) if file.size <= _SMALL]


def _with_files(site: Site, grants: Iterable[Assignment]) -> list[Assignment]:
    """Put small input files into the answer: a round trip less for each."""
    left, found = _ALL_SMALL, []
    for grant in grants:
        inline: dict[str, bytes] = {}
        for file in _small_files(grant):
            if file.size <= left and file.sha256 not in inline:
                inline[file.sha256] = b"".join(site.blobs.read(file.sha256))
                left -= file.size
        found.append(msgspec.structs.replace(grant, inline=inline))
    return found


def _check_stored(site: Site, files: Iterable[StoredFile]) -> None:
    """Nothing may be acknowledged that is not there."""
    for file in files:
        if not site.blobs.has(file.sha256) or site.blobs.manifest(file.sha256).size != file.size:
            raise BadValue(
                f"The file {file.path!r} ({file.size} bytes, sha256 {file.sha256}) is not on this "
                "server: upload it first, then send this again."
            )


def _stored(value: Any) -> list[StoredFile]:
    found = list(files_in(value))
    for file in found:
        check_name(file.name)
    return [StoredFile(file.name, file.sha256, file.size) for file in found]


def _placeable(files: Sequence[StoredFile]) -> Sequence[StoredFile]:
    """The files of a checkpoint, none of which leads out of the folder it is to be put into."""
    for file in files:
        sane_path(file.path)
    return files


def _has_files(ended: ResultRequest) -> bool:
    record = ended.record
    recorded = (record.checkpoint or record.series) if record else None
    return bool(ended.inline or ended.checkpoint or recorded or list(files_in(ended.outputs)))


def _keep_files(site: Site, ended: ResultRequest) -> None:
    for sha256, data in ended.inline.items():
        if site.blobs.put_bytes(data).sha256 != sha256:
            raise BadValue(f"The file {sha256} that came with the result has another SHA-256.")
    files = _stored(ended.outputs)
    if ended.checkpoint is not None:
        files.extend(_placeable(ended.checkpoint.files))
    recorded: CheckpointRef | None = ended.record.checkpoint if ended.record else None
    if recorded is not None:
        files.extend(_placeable(recorded.files))
    files.extend(_stored(ended.record.series) if ended.record else ())
    _check_stored(site, files)


WORK_ROUTES = Router(
    "/v1/work", route_handlers=[lease, leave, heartbeat, checkpoint, partial, result, results]
)
