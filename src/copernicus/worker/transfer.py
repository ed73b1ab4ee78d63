"""Files of jobs: from the server into their folders, and from there to the server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import msgspec

from copernicus.blobs import CHUNK_SIZE, Manifest
from copernicus.calling.transfer import Carrier, FileChanged
from copernicus.worker.folder import JobFolder

INLINE_ONE = 64 << 10
INLINE_ALL = 1 << 20


class Pending(msgspec.Struct, frozen=True):
    """A file that the server may not have yet: what it is made of, and where it lies."""

    manifest: Manifest
    folder: str
    path: str

    @property
    def sha256(self) -> str:
        """The SHA-256 of the whole file."""
        return self.manifest.sha256

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return self.manifest.size

    def bytes_at(self, start: int, size: int) -> bytes:
        """Some of its bytes."""
        with JobFolder(Path(self.folder)).reading(self.path) as file:
            file.seek(start)
            return file.read(size)

    def chunk(self, index: int) -> bytes:
        """What is there of one of its chunks now."""
        return self.bytes_at(index * CHUNK_SIZE, self.manifest.chunks[index].size)


class Transfer(Carrier):
    """Moves blobs for attempts; what is fetched is kept in the worker's cache."""

    async def place(
        self,
        attempt: str,
        folder: JobFolder,
        path: str,
        digest: str,
        size: int,
        inline: Mapping[str, bytes],
    ) -> None:
        """Put a blob as a file into a job's folder.

        Raises:
            OSError, BadValue: It cannot be written there.
            CopernicusError: The server does not give it.
        """
        data = inline.get(digest)
        if data is not None and sha256(data).hexdigest() == digest:
            with folder.writing(path) as file:
                file.write(data)
            return
        await self.fetch(attempt, digest, size)
        await asyncio.to_thread(self._copy, folder, path, digest)

    def _copy(self, folder: JobFolder, path: str, digest: str) -> None:
        with folder.writing(path) as file:
            for piece in self._kept.read(digest):
                file.write(piece)


def split_inline(files: Iterable[Pending]) -> tuple[dict[str, bytes], list[Pending]]:
    """Small files as bytes that travel in the result, and those to upload before it."""
    inline: dict[str, bytes] = {}
    rest: list[Pending] = []
    room = INLINE_ALL
    for file in {file.sha256: file for file in files}.values():
        if file.size <= min(INLINE_ONE, room):
            data = file.bytes_at(0, file.size)
            if sha256(data).hexdigest() != file.sha256:
                raise FileChanged(f"{file.path} changed after the job had ended")
            inline[file.sha256] = data
            room -= file.size
        else:
            rest.append(file)
    return inline, rest
