"""The evaluator process: ``python -m copernicus.evaluator``, spoken to over its standard streams.

Whatever authors' code prints goes to standard error; only frames leave through standard output.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import BinaryIO

from copernicus.evaluator.frames import BrokenFrame, Refused, pack, read_body, unpack_request
from copernicus.evaluator.service import Service
from copernicus.executors.orphans import die_with_parent
from copernicus.registry import discover


def main(argv: Sequence[str] | None = None) -> int:
    """Serve requests until standard input ends; the exit code."""
    parser = argparse.ArgumentParser(prog="copernicus.evaluator", description=__doc__)
    parser.add_argument("--parent", type=int, help="end when this process is not the parent")
    parser.add_argument("--memory-mb", type=int, help="refuse more memory than this")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(options.parent)
    _limit_memory(options.memory_mb)
    requests, replies = _take_streams()
    with requests, replies:
        return serve(requests, replies)


def serve(requests: BinaryIO, replies: BinaryIO) -> int:
    """Answer every request of one stream on the other; the exit code."""
    service = Service(discover())
    while True:
        try:
            body = read_body(requests)
        except BrokenFrame as error:
            sys.stderr.write(f"evaluator: {error}\n")
            return 2
        if body is None:
            return 0
        try:
            reply = pack(service.reply(unpack_request(body)))
        except BrokenFrame as error:
            reply = pack(Refused(str(error)))
        with contextlib.suppress(BrokenPipeError):
            replies.write(reply)
            replies.flush()


def _limit_memory(memory_mb: int | None) -> None:
    if memory_mb is None or sys.platform == "win32":
        return
    import resource

    limit = memory_mb * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep the standard streams for frames; authors' code reads nothing and prints to stderr."""
    sys.stdout.flush()
    requests = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return requests, replies
