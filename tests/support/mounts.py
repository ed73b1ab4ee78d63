"""Small disks: real file systems of a few megabytes, that can be filled."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest


def needs_root(what: str) -> None:
    """Skip the test where only root could do this."""
    if os.geteuid() != 0:
        pytest.skip(f"needs root: {what}")


def run_as_root(argv: Sequence[str], what: str) -> None:
    """Run a command that a container may forbid: then skip the test, or fail it in CI."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = f"root, but {what} cannot be done: {(done.stderr or done.stdout).strip()}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


@contextmanager
def small_disk(path: Path, *, megabytes: int) -> Iterator[Path]:
    """A tmpfs of this size; the test is skipped where only root could mount it."""
    needs_root("mounting a small tmpfs")
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    run_as_root(mount, "mounting a tmpfs")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


@contextmanager
def loop_disk(path: Path, *, megabytes: int) -> Iterator[Path]:
    """An ext4 of this size in a file, mounted through a loop device."""
    needs_root("mounting a file")
    image = path.with_name(f"{path.name}.img")
    with image.open("wb") as file:
        file.truncate(megabytes * 2**20)
    path.mkdir()
    run_as_root(["mkfs.ext4", "-q", "-m", "0", str(image)], "making an ext4")
    run_as_root(["mount", "-o", "loop", str(image), str(path)], "mounting a loop device")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def fill(disk: Path, *, leave: int = 0) -> Path:
    """Leave only so many bytes on a disk; removing the file that is returned frees it again."""
    path = disk / "filler"
    with path.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while file.write(bytes(65536)):
                pass
        with contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        if leave:
            file.truncate(max(file.tell() - leave, 0))
    return path
