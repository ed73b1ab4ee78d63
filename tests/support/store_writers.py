"""Writers of ``support.store_writer`` as processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).parents[1]


def start_writer(folder: Path, *before: str) -> subprocess.Popen[str]:
    """A process that commits into a folder; ``before`` is put in front of its command line."""
    return subprocess.Popen(
        [*before, sys.executable, "-m", "support.store_writer", str(folder)],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def writer(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Such a process, killed at the end."""
    process = start_writer(folder)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def killed_after(folder: Path, commits: int) -> int:
    """Let a writer commit some times and kill it in full run; the last number it acknowledged."""
    process = start_writer(folder)
    lines = [process.stdout.readline() for _ in range(commits)]
    process.kill()
    # Not ``communicate``: what this stream has read ahead is known to it alone.
    rest = process.stdout.read()
    _, errors = process.communicate()
    assert all(lines), errors
    whole = [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    return int((lines + whole)[-1])
