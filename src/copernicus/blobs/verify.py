"""Where things are kept, and reading them so that damage is told from whole bytes.

Layout: ``chunks/ab/<sha256>`` for every chunk, ``manifests/ab/<sha256>`` for every blob of more
than one chunk. A blob of one chunk has no manifest: the chunk's existence is the blob, so a
small file costs one object. Any chunk can therefore also be read as a blob of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import sha256

import msgspec

from copernicus.blobs.chunks import Chunk, Manifest, check_manifest, hash_beside
from copernicus.blobs.objects import ASIDE, Objects
from copernicus.errors import BadValue, CopernicusError, NotFound

CHUNKS = "chunks/"
MANIFESTS = "manifests/"


class DamagedBlob(CopernicusError):
    """A blob that was stored whole is not whole any more; its bytes are not served."""

    code = "damaged"
    status = 500


def chunk_key(digest: str) -> str:
    """Where a chunk is kept."""
    return f"{CHUNKS}{digest[:2]}/{digest}"


def manifest_key(digest: str) -> str:
    """Where the manifest of a blob of several chunks is kept."""
    return f"{MANIFESTS}{digest[:2]}/{digest}"


def digest_in(key: str) -> str:
    """The SHA-256 that a key ends with."""
    return key.rpartition("/")[2]


def is_whole(data: bytes, digest: str) -> bool:
    """Whether these bytes have this SHA-256."""
    return sha256(data).hexdigest() == digest


def damaged(blob: str, what: str) -> DamagedBlob:
    """The error for a blob of which ``what`` was found to be wrong."""
    return DamagedBlob(
        f"blob {blob} is damaged: {what}; no wrong bytes were served. "
        "Store the file again, run the job that made it again, or restore a backup"
    )


def read_manifest(objects: Objects, digest: str) -> Manifest:
    """What the blob is made of.

    Raises:
        NotFound: there is no such blob.
        DamagedBlob: there was, but it was found damaged.
    """
    key = chunk_key(digest)
    try:
        size = objects.size(key)
    except FileNotFoundError:
        pass
    else:
        return Manifest(digest, size, (Chunk(digest, size),))
    try:
        data = objects.read(manifest_key(digest))
    except FileNotFoundError:
        if objects.exists(ASIDE + key):
            raise damaged(digest, "its bytes were found wrong and set aside") from None
        raise NotFound(f"there is no blob {digest} here") from None
    try:
        manifest = _checked(data)
    except (msgspec.DecodeError, UnicodeDecodeError, BadValue) as error:
        raise damaged(digest, "its list of chunks cannot be read") from error
    if manifest.sha256 != digest:
        raise damaged(digest, f"its list of chunks is that of {manifest.sha256}")
    return manifest


# A large file is read range by range, and each range asks what it is made of.
@lru_cache(maxsize=4)
def _checked(data: bytes) -> Manifest:
    manifest = msgspec.json.decode(data, type=Manifest)
    check_manifest(manifest)
    return manifest


def whole_sha256(objects: Objects, manifest: Manifest) -> str:
    """The SHA-256 of all bytes of the chunks, one after the other.

    Each is hashed alone only if they do not make up the blob: that tells which of them is wrong.

    Raises:
        DamagedBlob: as ``read_chunk``.
    """
    whole = sha256()
    added: Callable[[], object] | None = None
    for chunk in manifest.chunks:
        try:
            data = objects.read(chunk_key(chunk.sha256))
        except FileNotFoundError:
            break
        if added:
            added()
        added = hash_beside(whole, data)
    if added:
        added()
    if whole.hexdigest() == manifest.sha256:
        return manifest.sha256
    careful = sha256()
    for index in range(len(manifest.chunks)):
        careful.update(read_chunk(objects, manifest, index))
    return careful.hexdigest()


def read_chunk(objects: Objects, manifest: Manifest, index: int) -> bytes:
    """The bytes of one chunk of a blob, which have its SHA-256.

    Raises:
        DamagedBlob: the chunk is missing or wrong; a wrong one is set aside, and so missing
            from now on: storing it again mends the blob.
    """
    digest = manifest.chunks[index].sha256
    key = chunk_key(digest)
    where = f"its chunk {index + 1} of {len(manifest.chunks)} ({digest})"
    try:
        data = objects.read(key)
        if is_whole(data, digest):
            return data
        again = objects.read_or_set_aside(key, partial(is_whole, digest=digest))
    except FileNotFoundError:
        raise damaged(manifest.sha256, f"{where} is missing") from None
    if again is None:
        raise damaged(manifest.sha256, f"{where} does not have the bytes that were stored")
    return again
