"""What is different where the worker that asks is a peer: what it may get, and what it is told."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from copernicus.errors import NotAllowed
from copernicus.protocol import Assignment, LeaseRequest, ResultRequest
from copernicus.scheduling.lending import HOP_LIMIT, PREFIX, core_seconds, is_work, within
from copernicus.scheduling.messages import Verdict
from copernicus.scheduling.rows import job_of_attempt
from copernicus.scheduling.workers import WorkerInfo
from copernicus.server import attempts
from copernicus.server.batch import Batch
from copernicus.server.peers import PEERS, PeerRecord, keep_used
from copernicus.server.site import Site

_TOLERANCE_S = 60.0


def peer_asks(
    site: Site, peer: PeerRecord, worker: WorkerInfo, wanted: LeaseRequest
) -> tuple[WorkerInfo, LeaseRequest]:
    """The worker and the request as the queue is to see them.

    Raises:
        NotAllowed: the peer gets nothing; says why.
    """
    peers, own = site.runtime.holdings.peers, site.authority.server_id
    peers.contact(peer.id).at = site.clock.now()
    room = check_peer(site, peer)
    if own in wanted.via or len(wanted.via) > HOP_LIMIT:
        raise NotAllowed(
            f"Server {own} gives no work to this offer, which has passed "
            f"{' and '.join(wanted.via)}: it came this way before, or passed more than {HOP_LIMIT}."
        )
    offer, ahead = within(room, wanted.offer, wanted.ahead)
    asked = msgspec.structs.replace(worker, peer=True)
    return asked, msgspec.structs.replace(wanted, offer=offer, ahead=ahead)


def check_peer(site: Site, peer: PeerRecord) -> int | None:
    """How many more cores a peer may get now (``None``: any number).

    Raises:
        NotAllowed: it gets nothing; says why.
    """
    held = site.runtime.holdings.scheduler.cores_of(peer.id)
    room = site.runtime.holdings.peers.may_have(peer, held)
    if isinstance(room, str):
        own = site.authority.server_id
        raise NotAllowed(f"Server {own} gives no work to {peer.name}: {room}.")
    return room


def for_peer(site: Site, grants: Iterable[Assignment]) -> list[Assignment]:
    """What a peer must know of a job beside: whose it is, what it has passed, what it has cost."""
    own, holdings = site.authority.server_id, site.runtime.holdings
    found = []
    for grant in grants:
        row = holdings.scheduler.job_row(grant.job)
        losses = row.losses if row is not None else 0
        lent = holdings.peers.lent.get(grant.job)
        via, project = ((), grant.project) if lent is None else (lent.via, lent.project)
        # Who is barred must not get it by way of another peer either.
        barred = () if row is None else [one for one in row.barred if one in holdings.peers.records]
        more = {"via": (*via, *barred, own), "project": project, "losses": losses}
        found.append(msgspec.structs.replace(grant, **more))
    return found


def count_for_peer(batch: Batch, worker: str, ended: ResultRequest) -> Verdict:
    """Take a result; if a peer brings it, its work is counted with it.

    What comes after its job went back to another peer is of no use here, so neither side counts it.
    """
    place = job_of_attempt(ended.attempt)
    peers = batch.holdings.peers
    if worker not in peers.records or place is None:
        return attempts.result(batch, worker, ended)
    job = batch.job_row(place[0])
    rows = batch.holdings.scheduler.attempt_rows(place[0])
    verdict = attempts.result(batch, worker, ended)
    lent = peers.lent.get(place[0])
    if lent is None and place[0].startswith(PREFIX):
        return "superseded"
    attempt = next((row for row in rows if row.id == ended.attempt), None)
    if verdict == "accepted" and attempt is not None and is_work(ended):
        held_s = batch.now - attempt.granted + _TOLERANCE_S
        asked = job.spec.resources.cores if job is not None and job.spec is not None else 0
        took = core_seconds(ended.record, attempt.cores or max(1, asked), held_s)
        project = lent.project if lent is not None else place[0].partition(".")[0]
        key, used = peers.use("borrowed", worker, project, took)
        batch.write(keep_used(key, used))
    return verdict


def set_suspended(batch: Batch, peer: PeerRecord, *, suspended: bool) -> PeerRecord:
    """Lend a peer nothing for now, and take back what it has; or lend to it again, undoubted."""
    doubt = peer.doubt if suspended else ""
    record = msgspec.structs.replace(peer, suspended=suspended, doubt=doubt)
    batch.holdings.peers.records[peer.id] = record
    batch.write(PEERS.keep(record.id, record))
    # First of all: what goes back must not be given to it again while it waits for work.
    batch.holdings.scheduler.drain(peer.id, suspended)
    if suspended:
        batch.holdings.scheduler.take_back(peer.id, batch.now)
    return record
