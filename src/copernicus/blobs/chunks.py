"""How a blob is cut into chunks: pure, no disk.

Chunks have a fixed size, so a file that only grew shares every full chunk with what it was
before, and only its new tail has to be stored or sent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import IO, TYPE_CHECKING

import msgspec

from copernicus.errors import BadValue

if TYPE_CHECKING:
    from collections.abc import Callable
    from hashlib import _Hash

CHUNK_SIZE = 1 << 20
"""Bytes in every chunk of a blob but its last."""

_SHA256 = re.compile(r"[0-9a-f]{64}")

# Hashing a piece of this size lets another core work for longer than it takes to ask it.
_WORTH_A_THREAD = 256 << 10
_beside = ThreadPoolExecutor(2, thread_name_prefix="hash")


def _renew() -> None:
    """A forked process has none of the threads: what waits for one there waits for ever."""
    global _beside
    _beside = ThreadPoolExecutor(2, thread_name_prefix="hash")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


class Chunk(msgspec.Struct, frozen=True):
    """One piece of a blob: the SHA-256 of its bytes (lower-case hex) and their number."""

    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True):
    """What a blob is made of: the SHA-256 and size of all its bytes, and its chunks in order.

    A blob of at most ``CHUNK_SIZE`` bytes (the empty one too) has exactly one chunk, which has
    the blob's own SHA-256.
    """

    sha256: str
    size: int
    chunks: tuple[Chunk, ...]


def checked_sha256(text: str) -> str:
    """Return ``text`` if it is a SHA-256 in lower-case hex.

    Raises:
        BadValue: it is anything else; hashes become parts of paths, so nothing else may pass.
    """
    if not isinstance(text, str) or not _SHA256.fullmatch(text):
        raise BadValue(f"not a SHA-256: {str(text)[:80]!r}; give 64 lower-case hexadecimal digits")
    return text


def check_manifest(manifest: Manifest) -> None:
    """Check that a manifest is one that ``manifest_of`` could have made.

    Raises:
        BadValue: its hashes, its chunk sizes or their sum are not possible.
    """
    blob = checked_sha256(manifest.sha256)
    if not manifest.chunks:
        raise BadValue(
            f"the manifest of blob {blob} has no chunks; an empty blob has one of size 0"
        )
    for chunk in manifest.chunks:
        checked_sha256(chunk.sha256)
    *full, last = manifest.chunks
    if any(chunk.size != CHUNK_SIZE for chunk in full):
        raise BadValue(f"blob {blob}: every chunk but the last must have {CHUNK_SIZE} bytes")
    if not (0 if not full else 1) <= last.size <= CHUNK_SIZE:
        raise BadValue(f"blob {blob}: its last chunk cannot have {last.size} bytes")
    if manifest.size != len(full) * CHUNK_SIZE + last.size:
        raise BadValue(
            f"blob {blob}: its size is given as {manifest.size}, "
            f"but its chunks have {len(full) * CHUNK_SIZE + last.size} bytes"
        )
    if not full and last.sha256 != blob:
        raise BadValue(f"blob {blob}: its only chunk has another SHA-256, {last.sha256}")


def split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a stream of pieces of any length into chunks; an empty stream is one empty chunk."""
    pending = bytearray()
    made = False
    for piece in pieces:
        rest = memoryview(piece)
        if not pending and len(rest) == CHUNK_SIZE:
            made = True
            yield bytes(piece)
            continue
        while len(rest):
            room = CHUNK_SIZE - len(pending)
            pending += rest[:room]
            rest = rest[room:]
            if len(pending) == CHUNK_SIZE:
                made = True
                yield bytes(pending)
                pending.clear()
    if pending or not made:
        yield bytes(pending)


def pieces_of(stream: IO[bytes]) -> Iterator[bytes]:
    """What is left of a stream, at most a chunk at a time."""
    while piece := stream.read(CHUNK_SIZE):
        yield piece


def hash_beside(whole: _Hash, data: bytes) -> Callable[[], object]:
    """Add ``data`` to a hash, on another core if it is much; call what is returned to wait for it.

    What a blob is made of takes two hashes of every byte, which do not need each other.
    """
    if len(data) < _WORTH_A_THREAD:
        whole.update(data)
        return lambda: None
    return _beside.submit(whole.update, data).result


class GrowingManifest:
    """The manifest of bytes that keep being appended to, at the cost of the new bytes only."""

    def __init__(self) -> None:
        self._whole = sha256()
        self._full: list[Chunk] = []
        self._tail = sha256()
        self._tail_size = 0

    @property
    def size(self) -> int:
        """Number of bytes seen so far."""
        return len(self._full) * CHUNK_SIZE + self._tail_size

    def update(self, data: bytes) -> None:
        """Append ``data``."""
        hashed = hash_beside(self._whole, data)
        rest = memoryview(data)
        while len(rest):
            part = rest[: CHUNK_SIZE - self._tail_size]
            rest = rest[len(part) :]
            self._tail.update(part)
            self._tail_size += len(part)
            if self._tail_size == CHUNK_SIZE:
                self._full.append(Chunk(self._tail.hexdigest(), CHUNK_SIZE))
                self._tail, self._tail_size = sha256(), 0
        hashed()

    def read_on(self, stream: IO[bytes]) -> Manifest:
        """Append what a seekable stream holds beyond ``size`` and return the new manifest."""
        stream.seek(self.size)
        for piece in pieces_of(stream):
            self.update(piece)
        return self.manifest()

    def manifest(self) -> Manifest:
        """The manifest of all bytes seen so far; more may follow."""
        chunks = tuple(self._full)
        if self._tail_size or not chunks:
            chunks += (Chunk(self._tail.hexdigest(), self._tail_size),)
        return Manifest(self._whole.hexdigest(), self.size, chunks)


def manifest_of(stream: IO[bytes]) -> Manifest:
    """The manifest of what is left of a stream."""
    growing = GrowingManifest()
    for piece in pieces_of(stream):
        growing.update(piece)
    return growing.manifest()
