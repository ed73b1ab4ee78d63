"""Peers: other servers that lend workers or borrow them; for administrators."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from copernicus.client.transport import Transport
from copernicus.protocol.peers import PeerAdd, PeerChange, PeerInvitation, PeerInvite, PeerView
from copernicus.protocol.servers import ServersPicture


class Peering:
    """What a ``Client`` can ask about peers."""

    _transport: Transport

    def peers(self) -> list[PeerView]:
        """All peers: what was agreed with them, and what is and was lent."""
        return self._transport.get("/v1/peers", list[PeerView])

    def servers(self) -> ServersPicture:
        """The server, its workers and its peers, with what these have told of themselves."""
        return self._transport.get("/v1/servers", ServersPicture)

    def invite_peer(self, days: float = 7.0) -> PeerInvitation:
        """An invitation with which one other server may work for this one."""
        return self._transport.post("/v1/peers/invitations", PeerInvite(days), PeerInvitation)

    def add_peer(self, url: str, token: str = "", server_id: str = "") -> PeerView:
        """Have the server work for the one at ``url``.

        Args:
            url: the other server's address for people.
            token: its invitation; without one, its administrator has to say yes.
            server_id: the id that it must have; an invitation says it, too.
        """
        return self._transport.post("/v1/peers", PeerAdd(url, token, server_id), PeerView)

    def trust_peer(self, peer: str) -> PeerView:
        """Say yes to a server that asked to work for this one."""
        return self._transport.post(f"{_path(peer)}/trust", None, PeerView)

    def suspend_peer(self, peer: str) -> PeerView:
        """Lend nothing to a peer and take nothing from it for now; what is lent goes back."""
        return self._transport.post(f"{_path(peer)}/suspend", None, PeerView)

    def resume_peer(self, peer: str) -> PeerView:
        """End a suspension."""
        return self._transport.post(f"{_path(peer)}/resume", None, PeerView)

    def remove_peer(self, peer: str) -> None:
        """Trust a peer no more, at once."""
        self._transport.send("DELETE", _path(peer))

    def change_peer(
        self,
        peer: str,
        *,
        priority: int | None = None,
        cores: int | None = None,
        hours: float | None = None,
        projects: Sequence[str] | None = None,
        clients: int | None = None,
    ) -> PeerView:
        """Change what was agreed; what is ``None`` stays.

        Args:
            peer: its id.
            priority: peers of a higher one are asked for work first.
            cores: the most that are lent at a time, in each direction; 0: any number.
            hours: the core-hours after which nothing more is lent, in each direction; 0: no end.
            projects: the only ones of this server whose jobs it may run; empty: all.
            clients: how many connections of people are let through at a time, from here to it and
                from it to here; 0: none.
        """
        named = None if projects is None else tuple(projects)
        change = PeerChange(priority, cores, hours, named, clients)
        return self._transport.put(_path(peer), change, PeerView)


def _path(peer: str) -> str:
    return f"/v1/peers/{quote(peer, safe='')}"
