"""Helpers for tests of the blob store."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

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


@contextmanager
def small_disk(path: Path, *, megabytes: int) -> Iterator[Path]:
    """A real file system of this size; the test is skipped where only root could mount it."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small tmpfs")
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        reason = f"root, but no tmpfs can be mounted: {mounted.stderr.strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)
