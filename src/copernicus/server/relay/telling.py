"""Telling a peer how much there is here, and hearing the same from it."""

from __future__ import annotations

from copernicus.errors import CopernicusError, NotFound, ServerBusy, ServerUnreachable
from copernicus.protocol.servers import ServerCounts
from copernicus.server.counts import bounded, told_to
from copernicus.server.relay.way import Way
from copernicus.server.site import Site

_ANSWERED_IN_S = 10.0


async def tell(site: Site, way: Way) -> None:
    """Once, over the way to the peer; what stands in the way is kept with the peer."""
    try:
        link = await way.link()
        told = await link.ask(
            "/v1/work/tell", told_to(site, way.peer), ServerCounts, timeout_s=_ANSWERED_IN_S
        )
    except NotFound:
        # It was removed meanwhile, or it is of a version that tells nothing.
        return
    except CopernicusError as error:
        contact = site.runtime.holdings.peers.contact(way.peer)
        contact.away = error.message
        contact.unreachable = isinstance(error, ServerUnreachable | ServerBusy)
        if isinstance(error, ServerUnreachable):
            way.missed()
        return
    contact = site.runtime.holdings.peers.contact(way.peer)
    contact.at = contact.told_at = site.clock.now()
    contact.away, contact.unreachable, contact.told = "", False, bounded(told)
