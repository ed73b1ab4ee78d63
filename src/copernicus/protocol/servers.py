"""What servers tell each other of how much they have, and the picture that is drawn of it."""

from __future__ import annotations

import msgspec

from copernicus.protocol.joining import WorkerView
from copernicus.protocol.peers import PeerView


class ServerCounts(msgspec.Struct, frozen=True):
    """What a server tells a peer of itself, or of the servers behind it: counts and cores only.

    Of itself it leaves ``id`` and ``name`` empty: the peer knows them. ``servers`` is how many
    servers the counts are of, where they are not told apart. ``lends``: this one works for the
    server that tells of it; ``borrows``: that one works for this.
    """

    id: str = ""
    name: str = ""
    servers: int = 1
    workers: int = 0
    cores: int = 0
    busy: int = 0
    lends: bool = False
    borrows: bool = False
    peers: tuple[ServerCounts, ...] = ()


class PeerPicture(msgspec.Struct, frozen=True):
    """A peer, and what it told last of itself (``None``: nothing), at ``told_at``.

    ``unreachable``: this server works for it, and nothing answered the last time.
    """

    peer: PeerView
    told: ServerCounts | None = None
    told_at: float = 0.0
    unreachable: bool = False


class ServersPicture(msgspec.Struct, frozen=True):
    """A server at the moment ``at``, with its workers and its peers."""

    at: float
    server: ServerCounts
    workers: tuple[WorkerView, ...] = ()
    peers: tuple[PeerPicture, ...] = ()
