"""Where everybody is: telling the peers where this server is now, and looking for lost ones."""

from __future__ import annotations

from copernicus.errors import CopernicusError, ServerUnreachable
from copernicus.server.relay.way import Way
from copernicus.server.site import Site
from copernicus.telemetry import get_logger

_LOG = get_logger("relay")
_FIRST_DELAY_S, _LONGEST_DELAY_S = 2.0, 600.0


class Whereabouts:
    """Which peers have yet to be told where this server is, and when the next try is due."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._due: dict[str, float] = {}
        self._delay_s: dict[str, float] = {}

    def untold(self) -> list[str]:
        """The peers to tell now: each of them is told by ``tell``, and is not named meanwhile."""
        now, found = self._site.clock.now(), []
        for peer in self._site.runtime.holdings.peers.records.values():
            is_due = (peer.lends or peer.borrows) and now >= self._due.get(peer.id, 0.0)
            if is_due and peer.urls and peer.knows != self._site.addresses:
                self._due[peer.id] = float("inf")
                found.append(peer.id)
        return found

    async def tell(self, way: Way) -> None:
        """Tell one of them, at all addresses that are known of it; later again if none hears it."""
        try:
            await way.tell_address()
        except CopernicusError as error:
            delay = self._delay_s.get(way.peer, _FIRST_DELAY_S)
            self._delay_s[way.peer] = min(2 * delay, _LONGEST_DELAY_S)
            self._due[way.peer] = self._site.clock.now() + delay
            _LOG.info(
                "a peer is not told where this server is", peer=way.peer, reason=error.message
            )
        else:
            self._due.pop(way.peer, None)
            self._delay_s.pop(way.peer, None)
            _LOG.info("a peer was told where this server is", peer=way.peer)

    def try_again(self, peer: str) -> None:
        """It has become known where it is: what has not reached it may do so now."""
        self._delay_s.pop(peer, None)
        if self._due.get(peer) != float("inf"):
            self._due.pop(peer, None)


async def find(way: Way) -> bool:
    """Whether a lost peer is found, by its key.

    Raises:
        CopernicusError: it is, and takes this server no more.
    """
    try:
        await way.find()
    except ServerUnreachable:
        return False
    return True
