"""Peers: inviting and trusting them, working for them, and what was lent both ways."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from litestar import Router, delete, get, post, put
from litestar.params import FromPath, JSONBody

from copernicus.calling.addresses import server_url
from copernicus.errors import BadValue, Conflict, NotAuthenticated
from copernicus.model.shares import PoolRules
from copernicus.protocol import WorkerFacts
from copernicus.protocol.common import check_protocol
from copernicus.protocol.peers import (
    PeerAdd,
    PeerAdmitted,
    PeerChange,
    PeerHeard,
    PeerInvitation,
    PeerInvite,
    PeerJoin,
    PeerMoved,
    PeerView,
)
from copernicus.security.identity import certificate_der, verify_worker_certificate
from copernicus.security.peering import (
    check_server_id,
    invitation,
    read_invitation,
    verify_peer,
    where,
)
from copernicus.security.policy import Action
from copernicus.security.tokens import TokenKind, new_token, parse_token
from copernicus.server.batch import Batch
from copernicus.server.clock import wall
from copernicus.server.http.access import AnyRequest, Caller, caller_of, does, site_of
from copernicus.server.http.borrowing import set_suspended
from copernicus.server.http.tunnels import Tunnels
from copernicus.server.http.withdrawal import withdraw
from copernicus.server.machines import PEER
from copernicus.server.peer_views import peer_view, peer_views
from copernicus.server.peers import PEERS, PeerRecord, pool_of
from copernicus.server.relay.joining import find_peer, join_peer, pair_file
from copernicus.server.relay.relay import Relay
from copernicus.server.shares import POOL_RULES
from copernicus.server.site import Site
from copernicus.store.records import JoinTokenRecord, WorkerRecord

_DAY_S = 86400.0
_MANAGE = does(Action.MANAGE_PEERS)
_MOST = 1_000_000
_MOST_CLIENTS = 1000


@get("/peers", opt=_MANAGE)
async def list_peers(request: AnyRequest) -> list[PeerView]:
    """All peers, those that are asked first at the front."""
    return await site_of(request).runtime.do(peer_views)


@post("/peers/invitations", opt=_MANAGE)
async def invite(request: AnyRequest, data: JSONBody[PeerInvite]) -> PeerInvitation:
    """A token with which one server may become a worker of this one."""
    site, caller = site_of(request), caller_of(request)
    if not 0 < data.days <= 365:
        raise BadValue("An invitation is good for more than 0 and at most 365 days.")
    token = new_token(TokenKind.PEER)
    expires = wall().timestamp() + data.days * _DAY_S

    def keep(batch: Batch) -> None:
        record = JoinTokenRecord(
            token.id, token.digest, "peers", 1, expires, caller.name, batch.now, 1
        )
        batch.holdings.machines.tokens[record.id] = record
        batch.write(lambda tx: tx.add_join_token(record))
        batch.audit(caller.name, caller.address, "peer.invite", token.id)

    await site.runtime.do(keep)
    text = invitation(site.authority.server_id, token.text)
    return PeerInvitation(site.user_urls[0], text, expires)


@post("/peers", opt=_MANAGE)
async def add(request: AnyRequest, data: JSONBody[PeerAdd]) -> PeerView:
    """Work for another server: with its invitation, or once its administrator says yes.

    Raises:
        ServerUnreachable: it does not answer, or is another server.
        NotAuthenticated: it does not take the invitation.
    """
    site, caller = site_of(request), caller_of(request)
    wanted, token = data.server_id and check_server_id(data.server_id), ""
    if data.token:
        wanted, token = read_invitation(data.token)
    found = await find_peer(server_url(data.url, "find a peer at"), wanted)
    if found.id == site.authority.server_id:
        raise BadValue("This is the server itself: name another one.")
    known = site.runtime.holdings.peers.records.get(found.id)
    if known is not None:
        urls = tuple(dict.fromkeys((*found.urls, *known.urls)))
        found = msgspec.structs.replace(known, urls=urls, ca_pem=found.ca_pem)
    joined = await join_peer(site, found, token)
    record = msgspec.structs.replace(joined.learned(found), lends=True)

    def keep(batch: Batch) -> PeerView:
        record_now = msgspec.structs.replace(record, added=record.added or batch.now)
        _put(batch, record_now)
        batch.audit(caller.name, caller.address, "peer.add", f"{record.id} at {record.urls[0]}")
        return peer_view(batch, record_now)

    view = await site.runtime.do(keep)
    _relay(site).moved(record.id)
    _relay(site).look_again()
    return view


@post("/peers/join", opt=does(Action.JOIN_AS_PEER), status_code=200)
async def join(request: AnyRequest, data: JSONBody[PeerJoin]) -> PeerAdmitted:
    """A server wants to work here, or to renew its certificate, or tells where it is now."""
    site, address = site_of(request), caller_of(request).address
    check_protocol(data.protocol)
    own = site.authority
    peer = verify_peer(
        data.ca_pem, data.csr, data.challenge, data.signature, own_id=own.server_id, now=wall()
    )
    if peer == own.server_id:
        raise BadValue("A server is no peer of its own.")
    life = timedelta(seconds=site.settings.worker_certificate_s)
    certificate = own.issue_worker(data.csr, peer, life, wall())
    admitted = await site.runtime.do(
        lambda batch: _admit(site, batch, peer, data, certificate, address)
    )
    _relay(site).moved(peer)
    return PeerAdmitted(
        own.server_id,
        own.ca_pem,
        site.names[0],
        site.user_urls,
        site.machine_urls,
        certificate if admitted else "",
    )


def _admit(
    site: Site, batch: Batch, peer: str, data: PeerJoin, certificate: str, address: str
) -> bool:
    """Whether the peer gets its certificate; if not, it waits for the administrator."""
    peers, machines = batch.holdings.peers, batch.holdings.machines
    name = data.name[:255] or address
    known = peers.records.get(peer) or PeerRecord(peer, name, data.ca_pem, added=batch.now)
    told = msgspec.structs.replace(
        known.moved(data.urls, data.machine_urls), name=name, knows=site.addresses
    )
    if data.token:
        now = wall().timestamp()
        try:
            token = machines.use_token(data.token, now, TokenKind.PEER)
        except NotAuthenticated:
            shown = parse_token(data.token, TokenKind.PEER).id
            batch.audit("", address, "peer.join", f"{shown} {peer}", "refused")
            raise
        batch.write(lambda tx: tx.use_join_token(token.id, token.sha256, now))
        told = msgspec.structs.replace(told, borrows=True, asks=False)
    elif not known.borrows:
        told = msgspec.structs.replace(told, asks=True)
        if told != peers.records.get(peer):
            peers.request(told)
            _put(batch, told)
            batch.audit(peer, address, "peer.request", name)
        return False
    worker = machines.workers.get(peer)
    if worker is not None and worker.revoked_at is not None and not data.token:
        raise NotAuthenticated(f"Server {peer} was removed: it may not work here any more.")
    _put(batch, told)
    _put_worker(site, batch, told, certificate)
    batch.audit(peer, address, "peer.join", name)
    return True


def _put_worker(site: Site, batch: Batch, peer: PeerRecord, certificate: str) -> None:
    """A peer that works here is a worker of a pool of its own."""
    machines = batch.holdings.machines
    der = certificate_der(certificate)
    fingerprint = verify_worker_certificate(der, site.authority.ca_pem, wall()).fingerprint
    known = machines.workers.get(peer.id)
    worker = WorkerRecord(
        peer.id,
        peer.name,
        pool_of(peer.id),
        WorkerFacts(peer.name, PEER),
        fingerprint,
        known.joined if known is not None else batch.now,
        batch.now,
    )
    machines.put(worker)
    batch.holdings.scheduler.readmit(peer.id)
    batch.write(lambda tx: tx.save_worker(worker))


@post("/peers/moved", opt=does(Action.JOIN_AS_PEER), status_code=200)
async def moved(request: AnyRequest, data: JSONBody[PeerMoved]) -> PeerHeard:
    """A peer tells where it is now.

    Raises:
        NotAuthenticated: it does not own the key.
        NotFound: it is no peer of this server.
    """
    site, address = site_of(request), caller_of(request).address
    check_protocol(data.protocol)
    own, said = site.authority.server_id, where(data.urls, data.machine_urls)
    peer = verify_peer(data.ca_pem, said, data.challenge, data.signature, own_id=own, now=wall())

    def change(batch: Batch) -> None:
        known = batch.holdings.peers.get(peer)
        now = known.moved(data.urls, data.machine_urls)
        if now != known:
            _put(batch, now)
            batch.audit(peer, address, "peer.moved", " ".join(now.urls[:1]))

    await site.runtime.do(change)
    _relay(site).moved(peer)
    return PeerHeard(own)


@post("/peers/{peer:str}/trust", opt=_MANAGE, status_code=200)
async def trust(request: AnyRequest, peer: FromPath[str]) -> PeerView:
    """Say yes to a server that asked to work here.

    Raises:
        Conflict: it did not ask.
    """
    site, caller = site_of(request), caller_of(request)

    def change(batch: Batch) -> PeerView:
        known = batch.holdings.peers.get(peer)
        if not known.asks:
            raise Conflict(f"{known.name} ({peer}) does not ask to work here.")
        record = msgspec.structs.replace(known, borrows=True, asks=False)
        _put(batch, record)
        worker = batch.holdings.machines.workers.get(peer)
        if worker is not None and worker.revoked_at is not None:
            worker = msgspec.structs.replace(worker, revoked_at=None)
            batch.holdings.machines.put(worker)
            batch.holdings.scheduler.readmit(peer)
            batch.write(lambda tx: tx.save_worker(worker))
        batch.audit(caller.name, caller.address, "peer.trust", f"{peer} {known.name}")
        return peer_view(batch, record)

    return await site.runtime.do(change)


@post("/peers/{peer:str}/suspend", opt=_MANAGE, status_code=200)
async def suspend(request: AnyRequest, peer: FromPath[str]) -> PeerView:
    """Nothing is lent to a peer or by it for now; what is, goes back at once."""
    return await _suspend(request, peer, suspended=True)


@post("/peers/{peer:str}/resume", opt=_MANAGE, status_code=200)
async def resume(request: AnyRequest, peer: FromPath[str]) -> PeerView:
    """End a suspension, or a doubt: the peer gets work again."""
    return await _suspend(request, peer, suspended=False)


async def _suspend(request: AnyRequest, peer: str, *, suspended: bool) -> PeerView:
    site, caller = site_of(request), caller_of(request)

    def change(batch: Batch) -> PeerView:
        known = batch.holdings.peers.get(peer)
        if known.suspended == suspended and (suspended or not known.doubt):
            raise Conflict(f"{known.name} ({peer}) is {'' if suspended else 'not '}suspended.")
        record = set_suspended(batch, known, suspended=suspended)
        did = "peer.suspend" if suspended else "peer.resume"
        batch.audit(caller.name, caller.address, did, f"{peer} {known.name}")
        return peer_view(batch, record)

    view = await site.runtime.do(change)
    _tunnels(site).look_again()
    site.runtime.send_away(peer)
    if suspended:
        await _relay(site).give_back(peer)
    _relay(site).look_again()
    return view


@put("/peers/{peer:str}", opt=_MANAGE)
async def change_peer(
    request: AnyRequest, peer: FromPath[str], data: JSONBody[PeerChange]
) -> PeerView:
    """Change a peer's priority and limits."""
    site, caller = site_of(request), caller_of(request)
    if data.cores is not None and not 0 <= data.cores <= _MOST:
        raise BadValue(f"cores is {data.cores}: it is 0 (no limit) to {_MOST}.")
    if data.hours is not None and not 0 <= data.hours < float("inf"):
        raise BadValue(f"hours is {data.hours}: it is 0 (no limit) or more.")
    if data.clients is not None and not 0 <= data.clients <= _MOST_CLIENTS:
        raise BadValue(f"clients is {data.clients}: it is 0 (nobody) to {_MOST_CLIENTS}.")

    def change(batch: Batch) -> PeerView:
        known = batch.holdings.peers.get(peer)
        record = msgspec.structs.replace(
            known,
            priority=known.priority if data.priority is None else data.priority,
            cores=known.cores if data.cores is None else data.cores,
            hours=known.hours if data.hours is None else data.hours,
            clients=known.clients if data.clients is None else data.clients,
        )
        _put(batch, record)
        if data.projects is not None:
            _serve(batch, record, data.projects)
        said = f"priority {record.priority} cores {record.cores} hours {record.hours:g}"
        said += f" clients {record.clients}"
        batch.audit(caller.name, caller.address, "peer.change", f"{peer} {said}")
        return peer_view(batch, record)

    view = await site.runtime.do(change)
    _tunnels(site).look_again()
    _relay(site).look_again()
    return view


def _serve(batch: Batch, peer: PeerRecord, projects: tuple[str, ...]) -> None:
    """Which projects a peer serves is the rule of its pool."""
    found = [batch.holdings.projects.get(name).record.id for name in projects]
    rules = PoolRules(tuple(dict.fromkeys(found)))
    batch.holdings.decided.pools[peer.pool] = rules
    batch.holdings.scheduler.set_pool(peer.pool, rules)
    batch.write(POOL_RULES.keep(peer.pool, rules))


@delete("/peers/{peer:str}", opt=does(Action.MANAGE_PEERS, withdraws=True))
async def remove(request: AnyRequest, peer: FromPath[str]) -> None:
    """End it: the peer's work goes back to the queue at once, and so does what is done for it."""
    site, caller = site_of(request), caller_of(request)
    site.runtime.holdings.peers.get(peer)
    await _relay(site).part(peer)
    await site.runtime.do(lambda batch: _remove(batch, caller, peer))
    pair_file(site, peer).unlink(missing_ok=True)
    site.runtime.send_away(peer)
    withdraw(site)


def _remove(batch: Batch, caller: Caller, peer: str) -> None:
    at = batch.now
    known = batch.holdings.peers.get(peer)
    del batch.holdings.peers.records[peer]
    batch.write(PEERS.drop(peer))
    worker = batch.holdings.machines.workers.get(peer)
    if worker is not None and worker.revoked_at is None:
        batch.holdings.machines.put(msgspec.structs.replace(worker, revoked_at=at))
        batch.holdings.scheduler.forget_worker(peer, at)
        batch.write(lambda tx: tx.revoke_worker(peer, at))
    batch.audit(caller.name, caller.address, "peer.remove", f"{peer} {known.name}")


def _put(batch: Batch, peer: PeerRecord) -> None:
    batch.holdings.peers.records[peer.id] = peer
    batch.write(PEERS.keep(peer.id, peer))


def _tunnels(site: Site) -> Tunnels:
    assert site.tunnels is not None
    return site.tunnels


def _relay(site: Site) -> Relay:
    assert site.relay is not None
    return site.relay


PEER_ROUTES = Router(
    "/v1",
    route_handlers=[
        list_peers,
        invite,
        add,
        join,
        moved,
        trust,
        suspend,
        resume,
        change_peer,
        remove,
    ],
    tags=["peers"],
)
