"""Immutable bytes addressed by their SHA-256, kept and sent in chunks."""

from copernicus.blobs.chunks import CHUNK_SIZE, Chunk, GrowingManifest, Manifest, manifest_of
from copernicus.blobs.store import BlobStore
from copernicus.blobs.upkeep import Damage, Swept
from copernicus.blobs.verify import DamagedBlob

__all__ = [
    "CHUNK_SIZE",
    "BlobStore",
    "Chunk",
    "Damage",
    "DamagedBlob",
    "GrowingManifest",
    "Manifest",
    "Swept",
    "manifest_of",
]
