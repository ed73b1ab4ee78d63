"""How much this server has, and what of it, and of the servers behind it, is told to a peer."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from copernicus.protocol.peers import PeerView
from copernicus.protocol.servers import PeerPicture, ServerCounts, ServersPicture
from copernicus.scheduling.lending import HOP_LIMIT
from copernicus.server.batch import Batch
from copernicus.server.holdings import Holdings
from copernicus.server.machines import PEER
from copernicus.server.peer_views import peer_views
from copernicus.server.peers import PeerRecord
from copernicus.server.site import Site
from copernicus.server.views import worker_views

_MOST = 1_000_000_000
_MOST_PEERS = 50
_LONGEST = 255


def own_counts(holdings: Holdings, now: float, lease_s: float) -> ServerCounts:
    """The workers that are here, and how many of their cores hold attempts."""
    machines, scheduler = holdings.machines, holdings.scheduler
    workers = cores = busy = 0
    for worker in machines.workers.values():
        presence = machines.presence[worker.id]
        near = now - presence.seen <= lease_s and not presence.left
        if worker.revoked_at is None and worker.facts.platform != PEER and near:
            workers += 1
            cores += worker.facts.cores
            busy += min(worker.facts.cores, scheduler.cores_of(worker.id))
    return ServerCounts(workers=workers, cores=cores, busy=busy)


def told_to(site: Site, peer: str) -> ServerCounts:
    """What a peer is told: as much as the setting ``tell_peers`` says, never of the peer itself."""
    how = site.settings.tell_peers
    if how == "nothing":
        return ServerCounts(servers=0)
    holdings = site.runtime.holdings
    own = own_counts(holdings, site.clock.now(), site.settings.lease_s)
    behind = without(_behind(holdings, peer), {peer, site.authority.server_id})
    if how == "counts":
        behind = tuple(one for one in (total(behind),) if one.servers)
    return msgspec.structs.replace(own, peers=behind)


def _behind(holdings: Holdings, peer: str) -> tuple[ServerCounts, ...]:
    peers = holdings.peers
    found = []
    for record in peers.records.values():
        told = peers.contact(record.id).told
        if record.id != peer and record.state == "trusted" and told is not None and told.servers:
            found.append(_named(record, told))
    return tuple(found)


def _named(record: PeerRecord, told: ServerCounts) -> ServerCounts:
    # Whoever works for us lends to us: ``lends`` is said from the other's side here.
    return msgspec.structs.replace(
        told, id=record.id, name=record.name, lends=record.borrows, borrows=record.lends
    )


def without(told: Iterable[ServerCounts], ids: set[str]) -> tuple[ServerCounts, ...]:
    """What was told, without these servers and what is behind them."""
    return tuple(
        msgspec.structs.replace(one, peers=without(one.peers, ids))
        for one in told
        if one.id not in ids
    )


def total(told: Iterable[ServerCounts]) -> ServerCounts:
    """All of it in one, each named server once; nobody is named."""
    seen: set[str] = set()
    servers = workers = cores = busy = 0
    left = list(told)
    while left:
        one = left.pop()
        left.extend(one.peers)
        if one.id and one.id in seen:
            continue
        seen.add(one.id)
        servers, workers = servers + one.servers, workers + one.workers
        cores, busy = cores + one.cores, busy + one.busy
    return ServerCounts(servers=servers, workers=workers, cores=cores, busy=busy)


def bounded(told: ServerCounts, depth: int = HOP_LIMIT) -> ServerCounts:
    """What a peer told, cut to what can be true: it is shown, and told on, never acted on."""
    cores = _count(told.cores)
    behind = told.peers[:_MOST_PEERS] if depth > 1 else ()
    return ServerCounts(
        told.id[:_LONGEST],
        told.name[:_LONGEST],
        _count(told.servers),
        _count(told.workers),
        cores,
        min(_count(told.busy), cores),
        told.lends,
        told.borrows,
        tuple(bounded(one, depth - 1) for one in behind),
    )


def _count(number: int) -> int:
    return min(max(number, 0), _MOST)


def picture(site: Site, batch: Batch) -> ServersPicture:
    """All that this server knows: itself, its workers, its peers, and what these have told."""
    lease_s = site.settings.lease_s
    own = own_counts(batch.holdings, batch.now, lease_s)
    own = msgspec.structs.replace(own, id=site.authority.server_id, name=site.names[0])
    platforms = {one.id: one.facts.platform for one in batch.holdings.machines.workers.values()}
    workers = [
        view
        for view in worker_views(batch, lease_s)
        if platforms[view.id] != PEER and view.state != "revoked"
    ]
    peers = [_pictured(batch, view) for view in peer_views(batch)]
    return ServersPicture(batch.now, own, tuple(workers), tuple(peers))


def _pictured(batch: Batch, view: PeerView) -> PeerPicture:
    contact = batch.holdings.peers.contact(view.id)
    return PeerPicture(view, contact.told, contact.told_at, contact.unreachable)
