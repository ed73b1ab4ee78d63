"""What workers ask and tell of their attempts, in a batch.

An attempt may speak of a job that ended long ago: its job is taken back into memory first.
"""

from __future__ import annotations

import msgspec

from copernicus.protocol import (
    Assignment,
    CheckpointRequest,
    Directive,
    HeartbeatRequest,
    LeaseRequest,
    PartialRequest,
    ResultRequest,
)
from copernicus.scheduling.messages import Verdict
from copernicus.scheduling.rows import job_of_attempt
from copernicus.scheduling.workers import WorkerInfo
from copernicus.server.batch import Batch


def lease(batch: Batch, worker: WorkerInfo, request: LeaseRequest) -> list[Assignment]:
    """Work for a worker, if there is some.

    What a peer may not get is asked anew each time: jobs that have passed it may have come
    while it waited.
    """
    if worker.peer:
        refused = batch.holdings.peers.refused_to((worker.id, *request.via))
        worker = msgspec.structs.replace(worker, refused=refused)
    return batch.holdings.scheduler.lease(worker, request, batch.now)


def heartbeat(batch: Batch, worker_id: str, request: HeartbeatRequest) -> list[Directive]:
    """Signs of life of attempts; what each is to do."""
    for beat in request.beats:
        place = job_of_attempt(beat.attempt)
        if beat.progress is not None and place is not None:
            batch.progress.append((place[0].partition(".")[0], place[0], beat.progress))
    scheduler = batch.holdings.scheduler
    return scheduler.heartbeat(worker_id, request.beats, batch.now, request.offer)


def checkpoint(batch: Batch, worker_id: str, request: CheckpointRequest) -> None:
    """A checkpoint whose blobs are here.

    Raises:
        Conflict: the attempt may not say anything any more.
    """
    _recall(batch, request.attempt)
    batch.holdings.scheduler.checkpoint(worker_id, request, batch.now)


def partial(batch: Batch, worker_id: str, request: PartialRequest) -> None:
    """What a running attempt has made so far; its blobs are here.

    Raises:
        Conflict: the attempt may not say anything any more.
    """
    _recall(batch, request.attempt)
    batch.holdings.scheduler.partial(worker_id, request, batch.now)


def result(batch: Batch, worker_id: str, request: ResultRequest) -> Verdict:
    """How an attempt ended; the verdict of ``ResultReply``."""
    _recall(batch, request.attempt)
    return batch.holdings.scheduler.result(worker_id, request, batch.now)


def _recall(batch: Batch, attempt: str) -> None:
    place = job_of_attempt(attempt)
    if place is not None:
        batch.recall(place[0])
