"""Stands where a program would, while the program runs on another node.

``python -m copernicus.executors.through_parsl.shim GATE CORES RANKS ARGV...``: what comes to it
(signals, its standard input) goes to the program, what the program prints and its end come from
there. ``CORES`` and ``RANKS`` say on how many nodes it is to run.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import stat
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from copernicus.executors.through_parsl.remote import LOOK_S

NOT_RUN = 213
"""The exit code for a program that did not come to its end for reasons that are not its own."""


def main() -> int:
    """The exit code of the program; a signal that ended it ends this process."""
    gate, cores, ranks, argv = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    bridge = Path(tempfile.mkdtemp(prefix="bridge-", dir=Path(gate).parent))
    try:
        code = _run(gate, {"argv": argv, "cores": cores, "ranks": ranks}, bridge)
    finally:
        shutil.rmtree(bridge, ignore_errors=True)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code


def _run(gate: str, order: dict[str, Any], bridge: Path) -> int:
    for name in ("stdout", "stderr", "signals"):
        (bridge / name).touch()
    talks = stat.S_ISSOCK(os.fstat(0).st_mode)
    if talks:
        (bridge / "in").touch()
        (bridge / "out").touch()
    else:
        with (bridge / "stdin").open("wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCONT):
        signal.signal(number, lambda number, _frame: _note(bridge, number))
    with socket.socket(socket.AF_UNIX) as channel:
        try:
            channel.connect(gate)
        except OSError as error:
            sys.stderr.write(f"the process that hands jobs to Parsl cannot be reached: {error}\n")
            return NOT_RUN
        order |= {"folder": str(Path.cwd()), "bridge": str(bridge)}
        order["environment"] = json.loads(os.environ.pop("CPC_REMOTE_ENVIRONMENT", "{}"))
        channel.sendall(json.dumps(order).encode() + b"\n")
        return _follow(channel, bridge, talks=talks)


def _follow(channel: socket.socket, bridge: Path, *, talks: bool) -> int:
    """Pass on what comes, until the gate tells the end."""
    said = b""
    with contextlib.ExitStack() as stack:
        tails: list[tuple[BinaryIO, int]] = [
            (stack.enter_context((bridge / "stdout").open("rb")), 1),
            (stack.enter_context((bridge / "stderr").open("rb")), 2),
        ]
        if talks:
            tails.append((stack.enter_context((bridge / "out").open("rb")), 0))
        waits = [channel.fileno(), *([0] if talks else [])]
        while not said.endswith(b"\n"):
            ready, _, _ = select.select(waits, [], [], LOOK_S / 2)
            if 0 in ready and not _take(bridge):
                waits.remove(0)
            if channel.fileno() in ready:
                piece = channel.recv(1 << 16)
                said += piece or b'{"error": "the process that hands jobs to Parsl has ended"}\n'
            _pass_on(tails)
        _pass_on(tails)
    told = json.loads(said)
    if "code" in told:
        return int(told["code"])
    sys.stderr.write(f"{told['error']}\n")
    return NOT_RUN


def _take(bridge: Path) -> bool:
    """What the worker says to the program; False at the end."""
    piece = os.read(0, 1 << 16)
    if not piece:
        (bridge / "closed").touch()
        return False
    with (bridge / "in").open("ab") as file:
        file.write(piece)
    return True


def _pass_on(tails: list[tuple[BinaryIO, int]]) -> None:
    for file, descriptor in tails:
        while piece := file.read(1 << 16):
            rest = memoryview(piece)
            with contextlib.suppress(BrokenPipeError):
                while rest:
                    rest = rest[os.write(descriptor, rest) :]


def _note(bridge: Path, number: int) -> None:
    with contextlib.suppress(OSError), (bridge / "signals").open("a") as file:
        file.write(f"{number}\n")


if __name__ == "__main__":
    sys.exit(main())
