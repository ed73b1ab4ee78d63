"""Files that are sent here, and whose they are: to name a file is not to have it.

A hash tells which file is meant, and hashes are no secrets: traces, research objects and logs
show them. So nobody may name a file of another by its hash. A user may name what the project
refers to already, what another project of theirs refers to (they may fetch it there), and what
they have sent. A worker may name what the project of its attempt refers to, and what it has sent.
To have sent a blob is to have sent the bytes of all its chunks, save those that the sender could
have fetched here anyway. Whether others have a file is not to be learned either: what a sender may
not name is missing for them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from copernicus.blobs import BlobStore, Chunk, DamagedBlob, Manifest
from copernicus.blobs.chunks import check_manifest
from copernicus.errors import Conflict, NotFound
from copernicus.protocol import BlobManifest, MissingReply, MissingRequest
from copernicus.store.store import Store

_CHUNKS_KEPT = 1_000_000
KEPT_S = 7 * 86_400.0
"""How long it is kept who has sent a file. What a project names by then needs it no more."""


class Readable(Protocol):
    """Blobs that somebody may fetch."""

    def __contains__(self, sha256: str, /) -> bool: ...


class SentChunks:
    """Who has sent which chunks, as far as memory goes: what is forgotten is sent again."""

    def __init__(self, limit: int = _CHUNKS_KEPT) -> None:
        self._limit = limit
        self._sent: dict[tuple[str, bytes], None] = {}
        self._changing = threading.Lock()

    def note(self, sender: str, sha256: str) -> None:
        """They have sent it."""
        with self._changing:
            self._sent[sender, bytes.fromhex(sha256)] = None
            while len(self._sent) > self._limit:
                del self._sent[next(iter(self._sent))]

    def has(self, sender: str, sha256: str) -> bool:
        """Whether they have; what is no hash was sent by nobody."""
        with suppress(ValueError):
            return (sender, bytes.fromhex(sha256)) in self._sent
        return False

    def forget(self, sender: str) -> None:
        """Nobody of this name is there any more."""
        with self._changing:
            self._sent = {key: None for key in self._sent if key[0].partition("/")[0] != sender}


@dataclass(frozen=True)
class Sender:
    """Who sends files: ``name`` as the store keeps it.

    ``readable`` are blobs that they may fetch; ``listed`` those of them whose chunks need not be
    sent again in another blob (a file that has grown). ``everything``: they may name what is here.
    """

    name: str
    readable: Readable
    listed: Callable[[], Iterable[str]] = tuple
    everything: bool = False


class Uploads:
    """What is sent here, by whom, and what they may name. All of it blocks."""

    def __init__(self, store: Store, blobs: BlobStore) -> None:
        self._store = store
        self._blobs = blobs
        self.chunks = SentChunks()

    def put_chunk(self, sender: Sender, sha256: str, data: bytes) -> None:
        """Keep one chunk.

        Raises:
            BadValue: the bytes do not have this SHA-256, or are more than a chunk.
            ServerBusy: there is no space left.
        """
        self._blobs.put_chunk(sha256, data)
        self.chunks.note(sender.name, sha256)

    def put_whole(self, sender: Sender, blobs: Sequence[bytes]) -> list[str]:
        """Keep blobs that came whole: their names, each once.

        Raises:
            ServerBusy: there is no space left.
        """
        self._blobs.put_all(blobs)
        names = list(dict.fromkeys(hashlib.sha256(data).hexdigest() for data in blobs))
        for name in names:
            self.chunks.note(sender.name, name)
        return names

    def missing(self, sender: Sender, asked: MissingRequest) -> MissingReply:
        """What of these they have to send: what is not here, and what is not theirs to name."""
        chunks, blobs = dict.fromkeys(asked.chunks), dict.fromkeys(asked.blobs)
        absent = set(self._blobs.missing_chunks(chunks))
        absent |= self._unproved(sender, chunks.keys() - absent)
        return MissingReply(
            tuple(chunk for chunk in chunks if chunk in absent),
            tuple(b for b in blobs if not (self._blobs.has(b) and self.may_name(sender, b))),
        )

    def commit(self, sender: Sender, data: BlobManifest) -> None:
        """Make a blob of chunks that are here, and theirs.

        Raises:
            BadValue: the manifest is not possible, or the chunks do not make up its SHA-256.
            Conflict: chunks are missing: ask which, send them, then commit again.
        """
        chunks = tuple(Chunk(chunk.sha256, chunk.size) for chunk in data.chunks)
        made = Manifest(data.sha256, data.size, chunks)
        check_manifest(made)
        unproved = self._unproved(sender, [chunk.sha256 for chunk in chunks])
        if unproved:
            raise Conflict(
                f"blob {data.sha256} lacks {len(unproved)} of its chunks, first "
                f"{min(unproved)}; send them, then commit again"
            )
        self._blobs.commit(made)

    def may_name(self, sender: Sender, sha256: str) -> bool:
        """Whether a value of theirs may hold this file, if it is here."""
        return (
            sender.everything
            # A blob of one chunk has the chunk's hash.
            or self.chunks.has(sender.name, sha256)
            or self._store.has_sent(sender.name, sha256)
            or sha256 in sender.readable
        )

    def _unproved(self, sender: Sender, chunks: Collection[str]) -> set[str]:
        """Those of these chunks of which the sender has not shown that they have them."""
        if sender.everything:
            return set()
        unproved = {chunk for chunk in chunks if not self.may_name(sender, chunk)}
        if unproved:
            for blob in sender.listed():
                unproved -= self._chunks_of(blob)
        return unproved

    def _chunks_of(self, blob: str) -> set[str]:
        try:
            return {chunk.sha256 for chunk in self._blobs.manifest(blob).chunks}
        except (NotFound, DamagedBlob):
            return set()
