"""The parts of one running server, as its routes see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from copernicus.blobs import BlobStore
from copernicus.security.identity import Authority
from copernicus.server.accounts import Doorkeeper
from copernicus.server.clock import Clock
from copernicus.server.feed import Feed
from copernicus.server.files import FileRights
from copernicus.server.metrics import Metrics
from copernicus.server.peeking import Knocks
from copernicus.server.room import Room
from copernicus.server.uploads import Uploads
from copernicus.settings import ServerSettings
from copernicus.store.store import Store

if TYPE_CHECKING:
    from copernicus.server.http.tunnels import Tunnels
    from copernicus.server.previews import Previews
    from copernicus.server.provisioner import Provisioner
    from copernicus.server.relay.relay import Relay
    from copernicus.server.runtime import Runtime


@dataclass(slots=True)
class Site:
    """What routes need. The ports are the real ones once they are bound."""

    settings: ServerSettings
    clock: Clock
    store: Store
    blobs: BlobStore
    authority: Authority
    runtime: Runtime
    feed: Feed
    doorkeeper: Doorkeeper
    files: FileRights
    uploads: Uploads
    previews: Previews
    names: tuple[str, ...]
    identity: Path
    knocks: Knocks
    room: Room
    metrics: Metrics
    relay: Relay | None = None
    tunnels: Tunnels | None = None
    machine_port: int = 0
    user_port: int = 0
    provisioner: Provisioner = field(init=False)
    connections: Callable[[], Iterable[Any]] = tuple
    """Every open connection of both ports, as ``security.asgi`` makes them."""

    sweep_now: Callable[[], None] = lambda: None
    """Have files removed soon that nothing names any more."""

    @property
    def machine_urls(self) -> tuple[str, ...]:
        """Where workers reach this server."""
        return tuple(_url(name, self.machine_port) for name in self.names)

    @property
    def user_urls(self) -> tuple[str, ...]:
        """Where people reach this server, and workers that join."""
        return tuple(_url(name, self.user_port) for name in self.names)

    @property
    def addresses(self) -> tuple[str, ...]:
        """All of them, as a peer is told them."""
        return (*self.user_urls, *self.machine_urls)


def _url(name: str, port: int) -> str:
    host = f"[{name}]" if ":" in name else name
    return f"https://{host}:{port}"
