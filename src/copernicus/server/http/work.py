"""What workers ask: work, signs of life, checkpoints, results. Bodies are msgpack."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import msgspec
from litestar import Router, post
from litestar.enums import MediaType
from litestar.exceptions import HTTPException

from copernicus.crashpoints import passing
from copernicus.errors import BadValue, CopernicusError, NotAllowed, ServerBusy
from copernicus.model.filenames import check_name, sane_path
from copernicus.model.jobs import CheckpointRef, Failure, StoredFile
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
from copernicus.protocol.common import check_protocol
from copernicus.scheduling.workers import WorkerInfo
from copernicus.security.policy import Action
from copernicus.server import attempts
from copernicus.server.batch import Batch
from copernicus.server.files import Referred, hashes_in
from copernicus.server.http.access import AnyRequest, caller_of, does, packed, site_of, worker_of
from copernicus.server.http.borrowing import count_for_peer, for_peer, peer_asks
from copernicus.server.site import Site
from copernicus.server.uploads import Sender
from copernicus.server.waiting import Waiting
from copernicus.store.records import sender_of

_PACKED = MediaType.MESSAGEPACK
_SMALL = 64 * 1024
_ALL_SMALL = 1024 * 1024


@post("/lease", opt=does(Action.LEASE), media_type=_PACKED, status_code=200)
async def lease(request: AnyRequest) -> LeaseReply:
    """Work for this worker, at once or as soon as there is some within its wait."""
    return await _grant(request, await packed(request, LeaseRequest))


async def _grant(request: AnyRequest, wanted: LeaseRequest) -> LeaseReply:
    site, record = site_of(request), worker_of(request)
    check_protocol(wanted.protocol)
    now = site.clock.now()
    worker = WorkerInfo(record.id, record.host, record.pool)
    peer = site.runtime.holdings.peers.records.get(record.id)
    if peer is not None:
        worker, wanted = peer_asks(site, peer, worker, wanted)
    site.runtime.holdings.machines.saw(record.id, now, wanted.offer)
    wanted = msgspec.structs.replace(wanted, offer=_by_id(site, wanted.offer))
    scheduler = site.runtime.holdings.scheduler
    wait_s = min(max(wanted.wait_s, 0.0), site.settings.max_wait_s)
    if wait_s and not scheduler.is_draining(worker.id):
        waiting = Waiting(worker, wanted, wait_s)
        grants = await _unless_gone(request, site.runtime.lease(waiting))
    else:
        grants = await site.runtime.lease(Waiting(worker, wanted, 0.0))
    if grants:
        passing("lease.granted")
    if any(_small_files(grant) for grant in grants):
        grants = await asyncio.to_thread(_with_files, site, grants)
    if peer is not None:
        grants = for_peer(site, grants)
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
        directives = attempts.heartbeat(batch, record.id, beats)
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
    await asyncio.to_thread(_check_theirs, site, record.id, made)
    passing("checkpoint.stored")
    await site.runtime.do(lambda batch: attempts.checkpoint(batch, record.id, made))


@post("/partial", opt=does(Action.CHECKPOINT), status_code=204)
async def partial(request: AnyRequest) -> None:
    """What an attempt has made so far, whose files have been uploaded."""
    site, record = site_of(request), worker_of(request)
    given = await packed(request, PartialRequest)
    await asyncio.to_thread(_check_stored, site, _stored(given.outputs))
    await asyncio.to_thread(_check_theirs, site, record.id, given)
    await site.runtime.do(lambda batch: attempts.partial(batch, record.id, given))
    site.knocks.told()


@post("/result", opt=does(Action.REPORT_RESULT), media_type=_PACKED, status_code=200)
async def result(request: AnyRequest) -> ResultReply:
    """How an attempt ended, with its small files; larger ones have been uploaded."""
    site, worker, address = site_of(request), worker_of(request).id, caller_of(request).address
    ended = await packed(request, ResultRequest)
    kept = await _keep_all_files(site, worker, (ended,))
    (taken,) = await _taken(_begin_results(site, worker, address, kept))
    if isinstance(taken, BaseException):
        raise taken
    return taken


@post("/results", opt=does(Action.REPORT_RESULT), media_type=_PACKED, status_code=200)
async def results(request: AnyRequest) -> ResultsReply:
    """How several attempts ended; each is taken or refused by itself."""
    site, worker, address = site_of(request), worker_of(request).id, caller_of(request).address
    asked = await packed(request, ResultsRequest)
    kept = await _keep_all_files(site, worker, asked.results)
    # The queue gets all of it in this order, in one batch.
    taking = _begin_results(site, worker, address, kept)
    lease = None if asked.lease is None else await _grant_besides(request, asked.lease)
    return ResultsReply(tuple(map(_outcome, await _taken(taking))), lease)


async def _grant_besides(request: AnyRequest, wanted: LeaseRequest) -> LeaseReply | None:
    """Results are taken also of a worker that gets no more work."""
    try:
        return await _grant(request, msgspec.structs.replace(wanted, wait_s=0.0))
    except ServerBusy:
        raise
    except CopernicusError:
        return None


def _begin_results(
    site: Site, worker: str, address: str, kept: Iterable[ResultRequest | CopernicusError]
) -> asyncio.Future[list[ResultReply | BaseException]]:
    taking = (_begin_result(site, worker, address, one) for one in kept)
    return asyncio.gather(*taking, return_exceptions=True)


async def _taken(
    taking: asyncio.Future[list[ResultReply | BaseException]],
) -> list[ResultReply | BaseException]:
    taken = await taking
    passing("result.taken")
    return taken


def _outcome(taken: ResultReply | BaseException) -> ResultOutcome:
    match taken:
        case ResultReply(verdict=verdict):
            return ResultOutcome(verdict=verdict)
        case CopernicusError() if not isinstance(taken, ServerBusy):
            return ResultOutcome(error=ErrorBody(taken.code, taken.message))
    raise taken


def _begin_result(
    site: Site, worker: str, address: str, ended: ResultRequest | CopernicusError
) -> asyncio.Future[ResultReply]:
    if isinstance(ended, CopernicusError):
        refused: asyncio.Future[ResultReply] = asyncio.get_running_loop().create_future()
        refused.set_exception(ended)
        return refused
    passing("result.stored")

    def take(batch: Batch) -> ResultReply:
        try:
            verdict = count_for_peer(batch, worker, ended)
        except NotAllowed:
            batch.audit(worker, address, "attempt.result", ended.attempt[:200], "refused")
            raise
        return ResultReply(verdict)

    return site.runtime.begin(take)


async def _keep_all_files(
    site: Site, worker: str, several: Sequence[ResultRequest]
) -> list[ResultRequest | CopernicusError]:
    """Keep the files that came along; each as it is to be taken, or what is wrong with it."""
    if not any(_has_files(ended) for ended in several):
        return list(several)

    def keep(ended: ResultRequest) -> ResultRequest | CopernicusError:
        try:
            return _with_its_files(site, worker, ended)
        except CopernicusError as error:
            return error

    def keep_all() -> list[ResultRequest | CopernicusError]:
        try:
            site.blobs.put_all(data for ended in several for data in _true_files(ended))
        except CopernicusError as error:
            return [error for _ in several]
        return [keep(ended) for ended in several]

    return await asyncio.to_thread(keep_all)


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
                try:
                    inline[file.sha256] = b"".join(site.blobs.read(file.sha256))
                except CopernicusError:
                    continue  # it was granted: the worker asks for the file, and is told the reason
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
    return bool(ended.inline) or next(hashes_in(ended), None) is not None


def _true_files(ended: ResultRequest) -> list[bytes]:
    """The files that came along and are what they are said to be."""
    return [data for digest, data in ended.inline.items() if sha256(data).hexdigest() == digest]


def _with_its_files(site: Site, worker: str, ended: ResultRequest) -> ResultRequest:
    """The result, or the failure that it is, once what came along has been stored.

    Raises:
        BadValue: A file is not what it is said to be, or is missing.
    """
    for digest, data in ended.inline.items():
        if sha256(data).hexdigest() != digest:
            raise BadValue(f"The file {digest} that came with the result has another SHA-256.")
    foreign = _foreign(site, worker, ended)
    if foreign:
        return _failed(ended, foreign)
    files = _stored(ended.outputs)
    if ended.checkpoint is not None:
        files.extend(_placeable(ended.checkpoint.files))
    recorded: CheckpointRef | None = ended.record.checkpoint if ended.record else None
    if recorded is not None:
        files.extend(_placeable(recorded.files))
    files.extend(_stored(ended.record.series) if ended.record else ())
    _check_stored(site, files)
    return ended


def _failed(ended: ResultRequest, foreign: set[str]) -> ResultRequest:
    """What a program writes as JSON may look like a file: it makes none of its own."""
    record = ended.record
    if record is not None:
        record = msgspec.structs.replace(record, outcome="failed", checkpoint=None, series={})
    failure = Failure(
        f"An output names the file {min(foreign)}, which the job has not made and the project "
        "does not have.",
        worker=record.worker if record else "",
        remedy="Write the file itself in the job, and declare it as an output.",
    )
    return msgspec.structs.replace(
        ended, outcome="failed", outputs={}, failure=failure, checkpoint=None, record=record
    )


def _check_theirs(site: Site, worker: str, given: CheckpointRequest | PartialRequest) -> None:
    foreign = _foreign(site, worker, given)
    if foreign:
        raise BadValue(
            f"The file {min(foreign)} was not sent by this worker: upload it first, then send "
            "this again."
        )


def _foreign(
    site: Site, worker: str, given: CheckpointRequest | PartialRequest | ResultRequest
) -> set[str]:
    """The files that a worker names but has not sent, and that are not of the attempt's project."""
    named = set(hashes_in(given))
    if isinstance(given, ResultRequest):
        named.difference_update(given.inline)
    of_project = Referred(site.files, (given.attempt.partition(".")[0],))
    sender = Sender(sender_of("worker", worker), of_project)
    return {sha256 for sha256 in named if not site.uploads.may_name(sender, sha256)}


WORK_ROUTES = Router(
    "/v1/work", route_handlers=[lease, leave, heartbeat, checkpoint, partial, result, results]
)
