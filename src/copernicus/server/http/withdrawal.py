"""Rights that were taken away end what is going on with them: at once, not with the next request.

A stream of events, a download, a long upload or a worker that waits for work were let in when they
began. After a revocation every open connection is looked at again, and cut if it would not be let
in now; so is an idle one of a revoked worker.
"""

from __future__ import annotations

import asyncio
from typing import Any

from copernicus.errors import CopernicusError
from copernicus.server.http.access import ENDS_ITSELF, WITHDRAWS, check_still_holds, holder_of
from copernicus.server.site import Site
from copernicus.telemetry import get_logger

_LOG = get_logger("http")
_FAREWELL_S = 0.5


def withdraw(site: Site) -> None:
    """Cut what may not go on, but for requests that take rights away: they have to be answered.

    Streams of events look at their rights themselves and end in form; those whose listener does
    not read any more are cut like the rest, a moment later.
    """
    site.feed.look_again()
    if site.tunnels is not None:
        site.tunnels.look_again()
    _cut(site, streams=False)
    asyncio.get_running_loop().call_later(_FAREWELL_S, _cut, site)


def _cut(site: Site, *, streams: bool = True) -> None:
    ended = [one for one in site.connections() if not _may_go_on(site, one, streams=streams)]
    for connection in ended:
        connection.transport.abort()
    if ended:
        _LOG.info("connections cut", count=len(ended))


def _may_go_on(site: Site, connection: Any, *, streams: bool) -> bool:
    try:
        if connection.certificate is not None:
            identity = holder_of(connection.certificate, site)
            site.runtime.holdings.machines.trusted(identity.worker_id)
        scope = _answering(connection)
        if scope is not None and not _is_spared(scope, streams=streams):
            check_still_holds(site, scope)
    except CopernicusError:
        return False
    return True


def _answering(connection: Any) -> Any:
    cycle = connection.cycle
    return None if cycle is None or cycle.response_complete else cycle.scope


def _is_spared(scope: Any, *, streams: bool) -> bool:
    handler = scope.get("route_handler")
    if handler is None:
        return False
    return WITHDRAWS in handler.opt or (not streams and ENDS_ITSELF in handler.opt)
