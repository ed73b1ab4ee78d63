"""Peers as they are shown."""

from __future__ import annotations

from copernicus.protocol.peers import PeerUsage, PeerView
from copernicus.server.batch import Batch
from copernicus.server.peers import PeerRecord
from copernicus.server.verifications import Checked

_HOUR_S = 3600.0


def peer_views(batch: Batch) -> list[PeerView]:
    """All peers, those that are asked first at the front."""
    found = [peer_view(batch, peer) for peer in batch.holdings.peers.records.values()]
    return sorted(found, key=lambda view: (-view.priority, view.name, view.id))


def peer_view(batch: Batch, peer: PeerRecord) -> PeerView:
    """One peer: what was agreed, what is lent now, what was delivered."""
    holdings, peers = batch.holdings, batch.holdings.peers
    contact, lent = peers.contact(peer.id), peers.lent_by(peer.id)
    checked = holdings.verifications.checked.get(peer.id, Checked())
    return PeerView(
        peer.id,
        peer.name,
        peer.state,
        peer.urls,
        peer.lends,
        peer.borrows,
        contact.at,
        peer.priority,
        peer.cores,
        peer.hours,
        tuple(_name(batch, one) for one in holdings.decided.pool(peer.pool).projects),
        len(lent),
        sum(one.cores for one in lent),
        len(holdings.scheduler.attempts_of(peer.id)),
        holdings.scheduler.cores_of(peer.id),
        _usage(batch, "lent", peer.id),
        _usage(batch, "borrowed", peer.id),
        peer.doubt or contact.trouble or contact.away,
        peer.clients,
        checked.verified,
        checked.differed,
    )


def _usage(batch: Batch, way: str, peer: str) -> tuple[PeerUsage, ...]:
    """By project: of those here the name, of the peer's the id, which is all that it tells."""
    used = batch.holdings.peers.used.items()
    found = [
        PeerUsage(_name(batch, key[2]), one.jobs, one.core_s / _HOUR_S)
        for key, one in used
        if key[:2] == (way, peer)
    ]
    return tuple(sorted(found, key=lambda usage: usage.project))


def _name(batch: Batch, project: str) -> str:
    found = batch.holdings.projects.find(project)
    return found.record.name if found is not None else project
