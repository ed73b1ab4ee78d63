"""Starts the evaluator process with modules that are installed in a folder of the test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from copernicus.evaluator.frames import Reply, Request, pack, read_body, unpack_reply

TESTS = Path(__file__).parent.parent


def install(folder: Path, entries: Mapping[str, str]) -> None:
    """Make ``folder`` a place where a distribution with these entry points is installed."""
    info = folder / "toys-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toys\nVersion: 1.0\n")
    lines = [f"{name} = {target}" for name, target in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[copernicus.modules]", *lines, ""]))


class EvaluatorProcess:
    """One evaluator, asked synchronously."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def send(self, request: Request) -> None:
        """Send a request."""
        assert self.process.stdin
        self.process.stdin.write(pack(request))
        self.process.stdin.flush()

    def receive(self) -> Reply | None:
        """The next reply; ``None`` when the process has ended."""
        assert self.process.stdout
        body = read_body(self.process.stdout)  # type: ignore[arg-type]
        return None if body is None else unpack_reply(body)

    def ask(self, request: Request) -> Reply | None:
        """Send a request and take its reply."""
        self.send(request)
        return self.receive()


@contextmanager
def evaluator(folder: Path, *options: str) -> Iterator[EvaluatorProcess]:
    """An evaluator that sees what is installed in ``folder``; ended afterwards."""
    paths = [str(folder), str(TESTS), os.environ.get("PYTHONPATH", "")]
    with (folder / "stderr").open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "copernicus.evaluator", "--parent", str(os.getpid()), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "3"},
        )
    try:
        yield EvaluatorProcess(process)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream
            try:
                stream.close()
            except BrokenPipeError:
                continue
