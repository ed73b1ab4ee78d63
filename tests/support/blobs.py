"""Helpers for tests of the blob store."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

from copernicus.blobs import BlobStore


def hexdigest(data: bytes) -> str:
    """The SHA-256 of some bytes, as blobs are named."""
    return sha256(data).hexdigest()


def everything(store: BlobStore, digest: str) -> bytes:
    """All bytes of a blob."""
    return b"".join(store.read(digest))


def chunk_file(folder: Path, digest: str) -> Path:
    """The file of a chunk in the folder of a blob store."""
    return folder / "chunks" / digest[:2] / digest
