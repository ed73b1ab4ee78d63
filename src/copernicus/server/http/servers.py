"""The picture of servers and workers, and what peers tell each other for it."""

from __future__ import annotations

from litestar import Router, get, post
from litestar.enums import MediaType

from copernicus.protocol.servers import ServerCounts, ServersPicture
from copernicus.security.policy import Action
from copernicus.server.counts import bounded, picture, told_to
from copernicus.server.http.access import AnyRequest, does, packed, site_of, worker_of
from copernicus.server.http.borrowing import check_peer


@get("/servers", opt=does(Action.MANAGE_PEERS))
async def show(request: AnyRequest) -> ServersPicture:
    """This server, its workers, its peers, and what these have told of themselves."""
    site = site_of(request)
    return await site.runtime.do(lambda batch: picture(site, batch))


@post("/tell", opt=does(Action.LEASE), media_type=MediaType.MESSAGEPACK, status_code=200)
async def tell(request: AnyRequest) -> ServerCounts:
    """A peer that works here tells how much it has, and is told the same."""
    site, record = site_of(request), worker_of(request)
    peers = site.runtime.holdings.peers
    peer = peers.get(record.id)
    check_peer(site, peer)
    told = bounded(await packed(request, ServerCounts))
    contact = peers.contact(peer.id)
    contact.at = contact.told_at = site.clock.now()
    contact.told = told
    return told_to(site, peer.id)


SERVERS_ROUTES = Router("/v1", route_handlers=[show], tags=["peers"])
TELLING_ROUTES = Router("/v1/work", route_handlers=[tell])
