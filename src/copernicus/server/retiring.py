"""The end of a worker's work here: drained or revoked, by a person or by the provisioner."""

from __future__ import annotations

import msgspec

from copernicus.server.batch import Batch
from copernicus.store.records import WorkerRecord


def set_draining(batch: Batch, worker: WorkerRecord, *, draining: bool) -> None:
    """Give a worker no more work, or work again; what it has, it may finish."""
    batch.holdings.machines.put(msgspec.structs.replace(worker, draining=draining))
    batch.holdings.scheduler.drain(worker.id, draining=draining)
    batch.write(lambda tx: tx.set_draining(worker.id, draining=draining))


def revoke_worker(batch: Batch, worker: WorkerRecord) -> None:
    """Trust a worker no more; its work goes back to the queue at once."""
    at = batch.now
    batch.holdings.machines.put(msgspec.structs.replace(worker, revoked_at=at))
    batch.holdings.scheduler.forget_worker(worker.id, at)
    batch.write(lambda tx: tx.revoke_worker(worker.id, at))
