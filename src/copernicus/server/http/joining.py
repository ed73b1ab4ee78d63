"""Bundles that let workers in, joining and renewing, and the list of workers."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from litestar import Router, delete, get, post
from litestar.enums import MediaType
from litestar.params import FromPath, JSONBody
from ulid import ULID

from copernicus.errors import BadValue
from copernicus.protocol import (
    PROTOCOL,
    BundleReply,
    BundleRequest,
    Certificate,
    JoinRequest,
    RenewRequest,
    WorkerView,
)
from copernicus.security.identity import certificate_der, verify_worker_certificate
from copernicus.security.policy import Action
from copernicus.security.renewal import verify_renewal
from copernicus.security.tokens import TokenKind, new_token
from copernicus.server.batch import Batch
from copernicus.server.clock import wall
from copernicus.server.http.access import AnyRequest, caller_of, does, packed, site_of
from copernicus.server.site import Site
from copernicus.server.views import worker_views
from copernicus.store.records import JoinTokenRecord, WorkerRecord

_DAY_S = 86400.0


@post("/bundles", opt=does(Action.MAKE_BUNDLE))
async def make_bundle(request: AnyRequest, data: JSONBody[BundleRequest]) -> BundleReply:
    """A join token for workers of a pool, and where they find this server."""
    site, caller = site_of(request), caller_of(request)
    if data.uses < 1 or not 0 < data.days <= 3650:
        raise BadValue("A bundle needs at least one use, and more than 0 and at most 3650 days.")
    token = new_token(TokenKind.JOIN)

    def keep(batch: Batch) -> JoinTokenRecord:
        expires = wall().timestamp() + data.days * _DAY_S
        record = JoinTokenRecord(
            token.id, token.digest, data.pool, data.uses, expires, caller.name, batch.now
        )
        batch.holdings.machines.tokens[record.id] = record
        batch.write(lambda tx: tx.add_join_token(record))
        batch.audit(caller.name, caller.address, "bundle.make", f"{token.id} pool {data.pool}")
        return record

    record = await site.runtime.do(keep)
    authority = site.authority
    return BundleReply(
        authority.server_id,
        site.machine_urls,
        site.user_urls,
        authority.ca_pem,
        data.pool,
        token.text,
        record.expires,
    )


@post("/join", opt=does(Action.JOIN))
async def join(request: AnyRequest, data: JSONBody[JoinRequest]) -> Certificate:
    """Become a worker: a certificate for a join token and a key of one's own."""
    site, address = site_of(request), caller_of(request).address
    _check_protocol(data.facts.protocol)
    worker_id = f"w{str(ULID()).lower()}"
    # First of all because it checks the request: a bad one must not cost a use of the token.
    certificate = _issue(site, data.csr, worker_id)

    def admit(batch: Batch) -> None:
        now = wall().timestamp()
        token = batch.holdings.machines.use_token(data.token, now)
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
    identity = verify_renewal(
        data.certificate,
        data.csr,
        data.challenge,
        data.signature,
        ca_pem=site.authority.ca_pem,
        now=wall(),
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
        batch.holdings.machines.put(msgspec.structs.replace(known, draining=True))
        batch.holdings.scheduler.drain(worker)
        batch.write(lambda tx: tx.set_draining(worker, draining=True))
        batch.audit(caller.name, caller.address, "worker.drain", worker)

    await runtime.do(change)
    runtime.send_away(worker)


@delete("/workers/{worker:str}", opt=does(Action.MANAGE_WORKERS))
async def revoke(request: AnyRequest, worker: FromPath[str]) -> None:
    """Trust a worker no more; its work goes back to the queue at once."""
    caller, runtime = caller_of(request), site_of(request).runtime

    def change(batch: Batch) -> None:
        at = batch.now
        known = batch.holdings.machines.get(worker)
        batch.holdings.machines.put(msgspec.structs.replace(known, revoked_at=at))
        batch.holdings.scheduler.forget_worker(worker, at)
        batch.write(lambda tx: tx.revoke_worker(worker, at))
        batch.audit(caller.name, caller.address, "worker.revoke", worker)

    await runtime.do(change)
    runtime.send_away(worker)


def _check_protocol(protocol: int) -> None:
    if not PROTOCOL - 1 <= protocol <= PROTOCOL:
        raise BadValue(
            f"This worker speaks protocol {protocol}, the server {PROTOCOL}: "
            f"upgrade the {'server' if protocol > PROTOCOL else 'worker'}."
        )


def _issue(site: Site, csr: str, worker_id: str) -> str:
    life = timedelta(seconds=site.settings.worker_certificate_s)
    return site.authority.issue_worker(csr, worker_id, life, wall())


def _fingerprint(site: Site, certificate: str) -> str:
    der = certificate_der(certificate)
    return verify_worker_certificate(der, site.authority.ca_pem, wall()).fingerprint


JOINING_ROUTES = Router(
    "/v1",
    route_handlers=[make_bundle, join, renew, list_workers, drain, revoke],
    tags=["workers"],
)
RENEWAL_ROUTES = Router("/v1/work", route_handlers=[renew_on_machine_port])
