"""The parts of a simulated server, as the real code between servers sees them."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from copernicus.errors import NotFound
from copernicus.server.metrics import Metrics
from copernicus.settings import ServerSettings

if TYPE_CHECKING:
    from support.simulation.disk import Disk


class SimBlobs:
    """The files of a disk, as ``blobs.BlobStore``."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def has(self, name: str) -> bool:
        return name in self._disk.blobs

    def manifest(self, name: str) -> Any:
        return SimpleNamespace(sha256=name, size=len(self._read(name)))

    def read(self, name: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        yield self._read(name)[start:end]

    def put_bytes(self, data: bytes) -> None:
        self._disk.put_blob(sha256(data).hexdigest(), data.decode())

    def _read(self, name: str) -> bytes:
        found = self._disk.blobs.get(name)
        if found is None:
            raise NotFound(f"There is no file {name}.")
        return found[1].encode()


def site_of(name: str, runtime: Any, clock: Any, disk: Disk) -> Any:
    """As ``server.site.Site``, as far as peers ask for it."""
    return SimpleNamespace(
        runtime=runtime,
        clock=clock,
        authority=SimpleNamespace(server_id=name),
        blobs=SimBlobs(disk),
        settings=ServerSettings(),
        metrics=Metrics(),
    )
