"""Bundles that let workers in, joining and renewing, and the list of workers."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from litestar import Router, delete, get, post
from litestar.enums import MediaType
from litestar.params import FromPath, FromQuery, JSONBody
from ulid import ULID

from copernicus.errors import BadValue, Conflict, NotAuthenticated
from copernicus.protocol import (
    BundleReply,
    BundleRequest,
    Certificate,
    JoinRequest,
    RenewRequest,
    WorkerView,
)
from copernicus.protocol.accounts import JoinTokenView
from copernicus.protocol.common import check_protocol
from copernicus.security.identity import certificate_der, verify_worker_certificate
from copernicus.security.policy import Action
from copernicus.security.renewal import verify_renewal
from copernicus.security.tokens import TokenKind, parse_token
from copernicus.server.admitting import DAY_S, add_join_token, end_join_token
from copernicus.server.batch import Batch
from copernicus.server.clock import wall
from copernicus.server.http.access import AnyRequest, Caller, caller_of, does, packed, site_of
from copernicus.server.http.withdrawal import withdraw
from copernicus.server.retiring import revoke_worker, set_draining
from copernicus.server.site import Site
from copernicus.server.views import worker_views
from copernicus.store.records import JoinTokenRecord, WorkerRecord

_MOST_USES = 1_000_000


@post("/bundles", opt=does(Action.MAKE_BUNDLE))
async def make_bundle(request: AnyRequest, data: JSONBody[BundleRequest]) -> BundleReply:
    """A join token for workers of a pool, and where they find this server."""
    site, caller = site_of(request), caller_of(request)
    if not 1 <= data.uses <= _MOST_USES or not 0 < data.days <= 3650:
        raise BadValue(
            f"A bundle needs 1 to {_MOST_USES} uses, and more than 0 and at most 3650 days."
        )

    def keep(batch: Batch) -> tuple[str, JoinTokenRecord]:
        made = add_join_token(batch, data.pool, data.uses, data.days * DAY_S, caller.name)
        batch.audit(caller.name, caller.address, "bundle.make", f"{made[1].id} pool {data.pool}")
        return made

    token, record = await site.runtime.do(keep)
    authority = site.authority
    return BundleReply(
        authority.server_id,
        site.machine_urls,
        site.user_urls,
        authority.ca_pem,
        data.pool,
        token,
        record.expires,
    )


@post("/join", opt=does(Action.JOIN))
async def join(request: AnyRequest, data: JSONBody[JoinRequest]) -> Certificate:
    """Become a worker: a certificate for a join token and a key of one's own."""
    site, address = site_of(request), caller_of(request).address
    check_protocol(data.facts.protocol)
    worker_id = f"w{str(ULID()).lower()}"
    # First of all because it checks the request: a bad one must not cost a use of the token.
    certificate = _issue(site, data.csr, worker_id)

    def admit(batch: Batch) -> None:
        now, machines = wall().timestamp(), batch.holdings.machines
        try:
            token = machines.use_token(data.token, now)
        except NotAuthenticated:
            known = parse_token(data.token, TokenKind.JOIN).id
            if known in machines.tokens:
                thing = f"{known} host {data.facts.host[:255]}"
                batch.audit("", address, "worker.join", thing, "refused")
            raise
        worker = WorkerRecord(
            worker_id,
            data.facts.host[:255],
            token.pool,
            data.facts,
            _fingerprint(site, certificate),
            batch.now,
            batch.now,
            token.id,
        )
        batch.holdings.machines.put(worker)
        batch.write(lambda tx: tx.use_join_token(token.id, token.sha256, now))
        batch.write(lambda tx: tx.save_worker(worker))
        batch.audit(worker_id, address, "worker.join", f"{token.id} host {worker.host}")

    await site.runtime.do(admit)
    return Certificate(worker_id, certificate, site.authority.server_id)


@post("/renew", opt=does(Action.RENEW), status_code=200)
async def renew(request: AnyRequest, data: JSONBody[RenewRequest]) -> Certificate:
    """A new certificate for an old one, by a challenge that its key has signed."""
    return await _renew(request, data)


@post("/renew", opt=does(Action.RENEW), media_type=MediaType.MESSAGEPACK, status_code=200)
async def renew_on_machine_port(request: AnyRequest) -> Certificate:
    """The same for a worker that reaches only this port."""
    return await _renew(request, await packed(request, RenewRequest))


async def _renew(request: AnyRequest, data: RenewRequest) -> Certificate:
    site, address = site_of(request), caller_of(request).address
    identity = site.clock.by_either(
        lambda now: verify_renewal(
            data.certificate,
            data.csr,
            data.challenge,
            data.signature,
            ca_pem=site.authority.ca_pem,
            now=now,
        )
    )
    site.runtime.holdings.machines.trusted(identity.worker_id)
    certificate = _issue(site, data.csr, identity.worker_id)

    def keep(batch: Batch) -> None:
        known = batch.holdings.machines.trusted(identity.worker_id)
        worker = msgspec.structs.replace(known, fingerprint=_fingerprint(site, certificate))
        batch.holdings.machines.put(worker)
        batch.write(lambda tx: tx.save_worker(worker))
        batch.audit(worker.id, address, "worker.renew", "")

    await site.runtime.do(keep)
    return Certificate(identity.worker_id, certificate, site.authority.server_id)


@get("/workers", opt=does(Action.SEE_WORKERS))
async def list_workers(request: AnyRequest) -> list[WorkerView]:
    """All workers that ever joined and were not revoked; revoked ones last."""
    site = site_of(request)
    return await site.runtime.do(lambda batch: worker_views(batch, site.settings.lease_s))


@post("/workers/{worker:str}/drain", opt=does(Action.MANAGE_WORKERS), status_code=204)
async def drain(request: AnyRequest, worker: FromPath[str]) -> None:
    """Give a worker no more work: it finishes what it has, and exits."""
    caller, runtime = caller_of(request), site_of(request).runtime

    def change(batch: Batch) -> None:
        known = batch.holdings.machines.get(worker)
        set_draining(batch, known, draining=True)
        batch.audit(caller.name, caller.address, "worker.drain", worker)

    await runtime.do(change)
    runtime.send_away(worker)


@post("/workers/{worker:str}/resume", opt=does(Action.MANAGE_WORKERS), status_code=204)
async def resume(request: AnyRequest, worker: FromPath[str]) -> None:
    """Give a worker work again: take its draining back, or end its quarantine.

    Raises:
        Conflict: it is neither drained nor quarantined.
    """
    caller, runtime = caller_of(request), site_of(request).runtime

    def change(batch: Batch) -> None:
        known = batch.holdings.machines.get(worker)
        was_aside = batch.holdings.scheduler.trust_again(worker)
        if not known.draining and not was_aside:
            raise Conflict(f"Worker {worker} is neither drained nor quarantined.")
        if known.draining:
            set_draining(batch, known, draining=False)
        batch.audit(caller.name, caller.address, "worker.resume", worker)

    await runtime.do(change)


@delete("/workers/{worker:str}", opt=does(Action.MANAGE_WORKERS, withdraws=True))
async def revoke(request: AnyRequest, worker: FromPath[str]) -> None:
    """Trust a worker no more; its work goes back to the queue at once."""
    caller, runtime = caller_of(request), site_of(request).runtime

    await runtime.do(lambda batch: _revoke(batch, caller, batch.holdings.machines.get(worker)))
    runtime.send_away(worker)
    withdraw(site_of(request))


@get("/join-tokens", opt=does(Action.MAKE_BUNDLE))
async def list_join_tokens(request: AnyRequest) -> list[JoinTokenView]:
    """The join tokens of all bundles, newest first, and whom they let in."""

    def look(batch: Batch) -> list[JoinTokenView]:
        tokens = batch.holdings.machines.tokens.values()
        newest = sorted(tokens, key=lambda token: (-token.created, token.id))
        return [_token_view(batch, token) for token in newest]

    return await site_of(request).runtime.do(look)


@delete("/join-tokens/{token:str}", opt=does(Action.MAKE_BUNDLE, withdraws=True), status_code=200)
async def revoke_join_token(
    request: AnyRequest, token: FromPath[str], workers: FromQuery[bool] = False
) -> JoinTokenView:
    """Let nobody in with a bundle any more; ``workers``: nor those that came in with it."""
    caller, runtime = caller_of(request), site_of(request).runtime

    def change(batch: Batch) -> JoinTokenView:
        machines = batch.holdings.machines
        machines.token(token)
        if end_join_token(batch, token):
            batch.audit(caller.name, caller.address, "bundle.revoke", token)
        for worker in machines.joined_with(token) if workers else ():
            if worker.revoked_at is None:
                _revoke(batch, caller, worker)
        return _token_view(batch, machines.token(token))

    view = await runtime.do(change)
    for worker in view.workers if workers else ():
        runtime.send_away(worker)
    withdraw(site_of(request))
    return view


def _revoke(batch: Batch, caller: Caller, worker: WorkerRecord) -> None:
    revoke_worker(batch, worker)
    batch.audit(caller.name, caller.address, "worker.revoke", worker.id)


def _token_view(batch: Batch, token: JoinTokenRecord) -> JoinTokenView:
    joined = batch.holdings.machines.joined_with(token.id)
    return JoinTokenView(
        token.id,
        token.pool,
        token.uses,
        token.uses_left,
        token.expires,
        token.creator,
        token.created,
        workers=tuple(worker.id for worker in joined),
        revoked=token.revoked_at is not None,
    )


def _issue(site: Site, csr: str, worker_id: str) -> str:
    life = timedelta(seconds=site.settings.worker_certificate_s)
    return site.authority.issue_worker(csr, worker_id, life, wall())


def _fingerprint(site: Site, certificate: str) -> str:
    der = certificate_der(certificate)
    return verify_worker_certificate(der, site.authority.ca_pem, wall()).fingerprint


JOINING_ROUTES = Router(
    "/v1",
    route_handlers=[
        make_bundle,
        list_join_tokens,
        revoke_join_token,
        join,
        renew,
        list_workers,
        drain,
        resume,
        revoke,
    ],
    tags=["workers"],
)
RENEWAL_ROUTES = Router("/v1/work", route_handlers=[renew_on_machine_port])
