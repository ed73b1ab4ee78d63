"""The blob store of a server, a worker's cache, or a client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Set
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

import msgspec
from obstore.store import LocalStore, ObjectStore

from copernicus.blobs.chunks import (
    CHUNK_SIZE,
    Chunk,
    Manifest,
    check_manifest,
    checked_sha256,
    hash_beside,
    pieces_of,
    split,
)
from copernicus.blobs.folder import Folder, export_file, room_in, sync_folder
from copernicus.blobs.objects import FRESH_SECONDS, Objects
from copernicus.blobs.recent import Recent
from copernicus.blobs.upkeep import Damage, Sweep, Swept, all_blobs, find_damage
from copernicus.blobs.verify import (
    DamagedBlob,
    chunk_key,
    is_whole,
    manifest_key,
    read_chunk,
    read_manifest,
    whole_sha256,
)
from copernicus.crashpoints import passing
from copernicus.errors import BadSettings, BadValue, Conflict, NotFound

DAY = 86_400.0


class BlobStore:
    """Content-addressed bytes over an obstore store. Blocking; safe to use from many threads.

    With ``durable`` (for a folder; other stores always are) whatever a call has stored, or has
    said to be there, survives a power cut from the moment the call returns. One process at a
    time may write to a folder and sweep it. An ``OSError`` other than a full disk comes from a
    failing one and passes through: nothing may be acknowledged after it.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        durable: bool = True,
        on_failure: Callable[[OSError], None] | None = None,
    ) -> None:
        if isinstance(store, LocalStore):
            if store.prefix is None:
                raise BadSettings("the blob store needs a folder: give its LocalStore a prefix")
            self._objects: Objects = Folder(
                Path(store.prefix), durable=durable, on_failure=on_failure
            )
        else:
            self._objects = Objects(store)
        self._durable = durable
        self._recent = Recent()

    @classmethod
    def in_folder(
        cls,
        path: Path,
        *,
        durable: bool = True,
        on_failure: Callable[[OSError], None] | None = None,
    ) -> Self:
        """The store in this folder, which is made if it is not there.

        ``on_failure`` is told of a write or a sync at which the disk failed.

        Raises:
            BadSettings: the folder cannot be made.
            ServerBusy: there is no space left.
        """
        try:
            with room_in(path):
                if not path.is_dir():
                    path.mkdir(mode=0o700, parents=True, exist_ok=True)
                    sync_folder(path.parent)
                return cls(LocalStore(path), durable=durable, on_failure=on_failure)
        except OSError as error:
            raise BadSettings(
                f"cannot use the folder {path} for files: {error.strerror}; check its "
                "permissions and its disk"
            ) from error

    def put_chunk(self, digest: str, data: bytes) -> None:
        """Store one chunk; storing it again changes nothing, and mends it if it was damaged.

        Raises:
            BadValue: the bytes do not have this SHA-256, or are more than a chunk.
            ServerBusy: there is no space left.
        """
        checked_sha256(digest)
        if len(data) > CHUNK_SIZE:
            raise BadValue(
                f"chunk {digest} has {len(data)} bytes; at most {CHUNK_SIZE} are allowed"
            )
        if not is_whole(data, digest):
            raise BadValue(
                f"the bytes sent for chunk {digest} have another SHA-256; send them again"
            )
        self._keep(chunk_key(digest), data)
        self._settle([chunk_key(digest)])

    def missing_chunks(self, digests: Iterable[str]) -> list[str]:
        """Those of the chunks that are not here, once each, in the order given.

        Those that are here will be kept from a sweep for its usual age from now on.
        """
        wanted = list(dict.fromkeys(checked_sha256(digest) for digest in digests))
        present = self._present([chunk_key(digest) for digest in wanted])
        return [digest for digest in wanted if chunk_key(digest) not in present]

    def commit(self, manifest: Manifest) -> None:
        """Make a blob of chunks that are here; doing it again changes nothing.

        All its bytes are read and verified.

        Raises:
            BadValue: the manifest is not possible, or the chunks do not make up its SHA-256.
            Conflict: chunks are missing; send them, then commit again.
            DamagedBlob: a stored chunk turned out to be damaged; it is missing from now on.
            ServerBusy: there is no space left.
        """
        check_manifest(manifest)
        if self._stored(manifest.sha256) == manifest and self._complete(manifest):
            return
        missing = self.missing_chunks(chunk.sha256 for chunk in manifest.chunks)
        if missing:
            raise Conflict(
                f"blob {manifest.sha256} lacks {len(missing)} of its chunks, first {missing[0]}; "
                "send them, then commit again"
            )
        found = whole_sha256(self._objects, manifest)
        if found != manifest.sha256:
            raise BadValue(f"the chunks of blob {manifest.sha256} make up another one, {found}")
        self._write_manifest(manifest)

    def has(self, digest: str) -> bool:
        """Whether the blob is here, with all its chunks (not: that none of them is damaged).

        If so, it will be kept from a sweep for its usual age from now on.
        """
        manifest = self._stored(checked_sha256(digest))
        return manifest is not None and self._complete(manifest)

    def manifest(self, digest: str) -> Manifest:
        """What the blob is made of.

        Raises:
            NotFound: there is no such blob.
            DamagedBlob: there was, but it was found damaged.
        """
        return read_manifest(self._objects, checked_sha256(digest))

    def read(self, digest: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """The bytes of a blob from ``start`` up to, not including, ``end`` (default: all).

        Every chunk is verified before any of its bytes is handed out.

        Raises:
            NotFound: there is no such blob.
            BadValue: the range is not inside the blob (an ``end`` beyond it is cut).
            DamagedBlob: a chunk is missing or wrong; also while iterating.
        """
        return self.read_from(self.manifest(digest), start, end)

    def read_from(
        self, manifest: Manifest, start: int = 0, end: int | None = None
    ) -> Iterator[bytes]:
        """As ``read``, of a blob that is known already."""
        stop = manifest.size if end is None else min(end, manifest.size)
        if not 0 <= start <= manifest.size or (end is not None and end < start):
            raise BadValue(
                f"blob {manifest.sha256} has {manifest.size} bytes; there is no range {start} to "
                f"{end}"
            )
        return self._range(manifest, start, stop)

    def put_bytes(self, data: bytes) -> Manifest:
        """Store these bytes as a blob. Raises ``ServerBusy`` if there is no space left."""
        return self.put_stream([data])

    def put_file(self, path: Path) -> Manifest:
        """Store a file as a blob. Raises ``ServerBusy`` if there is no space left."""
        with path.open("rb", buffering=0) as file:
            return self.put_stream(pieces_of(file))

    def put_all(self, several: Iterable[bytes]) -> None:
        """Store each of these as a blob, the same ones once, with their names synced together.

        Raises ``ServerBusy`` if there is no space left.
        """
        small: dict[str, bytes] = {}
        for data in several:
            if len(data) > CHUNK_SIZE:
                self.put_bytes(data)
            else:
                small[chunk_key(sha256(data).hexdigest())] = data
        standing = {key: self._standing(key, data) for key, data in small.items()}
        self._objects.publish_all(
            [(key, data) for key, data in small.items() if standing[key] == "absent"]
        )
        self._settle([key for key, found in standing.items() if found != "settled"])

    def put_stream(self, pieces: Iterable[bytes]) -> Manifest:
        """Store what an iterator yields as a blob. Raises ``ServerBusy`` if there is no space."""
        whole = sha256()
        chunks: list[Chunk] = []
        for data in split(pieces):
            hashed = hash_beside(whole, data)
            chunk = Chunk(sha256(data).hexdigest(), len(data))
            self._keep(chunk_key(chunk.sha256), data)
            chunks.append(chunk)
            hashed()
        size = sum(chunk.size for chunk in chunks)
        manifest = Manifest(whole.hexdigest(), size, tuple(chunks))
        self._settle([chunk_key(chunk.sha256) for chunk in chunks])
        self._write_manifest(manifest)
        return manifest

    def export(self, digest: str, path: Path) -> None:
        """Write a blob to a file, which appears whole or not at all and replaces any there.

        Raises:
            NotFound, DamagedBlob: as ``read``.
            ServerBusy: there is no space left at ``path``.
        """
        export_file(path, self.read(digest), durable=self._durable)

    def blobs(self) -> Iterator[str]:
        """The SHA-256 of every blob: those with a manifest, and chunks that no manifest names."""
        return all_blobs(self._objects)

    def sweep(
        self, referenced: Set[str], *, older_than: float = DAY, dry_run: bool = False
    ) -> Swept:
        """Remove blobs that are not referenced, chunks that are in no blob, and torn writes.

        What was stored or asked for (``has``, ``missing_chunks``, ``commit``) in the last
        ``older_than`` seconds stays: somebody may be about to refer to it. Below an hour this
        is only for a store that nobody else uses. Nothing is removed in a ``dry_run``.

        Raises:
            DamagedBlob: the manifest of a blob that stays cannot be read, so what it needs is
                unknown. Nothing was removed; store it again or stop referring to it.
        """
        return Sweep(
            self._objects,
            self._recent,
            referenced=referenced,
            older_than=older_than,
            dry_run=dry_run,
        ).run()

    def remove(self, these: Set[str], *, referenced: Set[str], older_than: float) -> None:
        """Remove these blobs, by the rules of ``sweep``; all others stay, whole.

        Raises:
            DamagedBlob: as ``sweep``.
        """
        Sweep(
            self._objects,
            self._recent,
            referenced=referenced,
            older_than=older_than,
            dry_run=False,
        ).remove(these)

    def check(self) -> list[Damage]:
        """Read and verify everything, and tell of every blob that is not whole.

        Wrong chunks are set aside, so that they count as missing and can be stored again; until
        that is done, or a sweep drops them, every check tells of them.
        """
        return find_damage(self._objects)

    def _stored(self, digest: str) -> Manifest | None:
        try:
            return read_manifest(self._objects, digest)
        except (NotFound, DamagedBlob):
            return None

    def _range(self, manifest: Manifest, start: int, end: int) -> Iterator[bytes]:
        for index in range(start // CHUNK_SIZE, -(-end // CHUNK_SIZE)):
            data = read_chunk(self._objects, manifest, index)
            offset = index * CHUNK_SIZE
            piece = data[max(start - offset, 0) : end - offset]
            if piece:
                yield piece

    def _keep(self, key: str, data: bytes) -> bool:
        """Have this object; whether its name has to be settled."""
        standing = self._standing(key, data)
        if standing == "absent":
            self._objects.publish(key, data)
        return standing != "settled"

    def _standing(self, key: str, data: bytes) -> Literal["settled", "present", "absent"]:
        """Whether this object is here, and whether its name is known to be durable.

        What is there is compared, not believed: it may have rotted, or be what a power cut left
        of a store that is not durable. What was settled a moment ago need not be synced again.
        """
        try:
            same = self._objects.read(key) == data
        except FileNotFoundError:
            same = False
        if same and self._recent.within(key, FRESH_SECONDS):
            return "settled"
        return "present" if same and self._objects.revive(key) else "absent"

    def _settle(self, keys: list[str]) -> None:
        self._objects.settle(keys)
        self._recent.note(keys)

    def _write_manifest(self, manifest: Manifest) -> None:
        if len(manifest.chunks) > 1:
            passing("blob.complete")
            key = manifest_key(manifest.sha256)
            self._keep(key, msgspec.json.encode(manifest))
            self._settle([key])
            passing("blob.listed")

    def _complete(self, manifest: Manifest) -> bool:
        keys = [chunk_key(chunk.sha256) for chunk in manifest.chunks]
        if len(keys) > 1:
            keys.append(manifest_key(manifest.sha256))
        return self._present(keys).issuperset(keys)

    def _present(self, keys: list[str]) -> set[str]:
        known = {key for key in keys if self._recent.within(key, FRESH_SECONDS)}
        present = {key for key in known if self._objects.exists(key)}
        revived = [key for key in keys if key not in known and self._objects.revive(key)]
        self._settle(revived)
        return present.union(revived)
