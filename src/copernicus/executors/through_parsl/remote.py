"""Runs one program on a node, for a worker elsewhere; its folder is the only thing both share.

Parsl sends this function to a node by its name. Everything else goes through files in ``bridge``:
``stdin`` (or ``in`` and ``out`` of a program that speaks over a socket), ``stdout`` and ``stderr``,
``signals`` (a number on each line), and ``alive``, which the worker's side keeps changing.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from copernicus.executors.through_parsl.nodes import PREFIX

LOOK_S = 0.1
SILENCE_S = 120.0
RANKS_END_S = 10.0


def run_program(
    argv: list[str],
    folder: str,
    environment: dict[str, str],
    bridge: str,
    alive: str,
    parsl_resource_specification: dict[str, int],
) -> int:
    """The exit code of a program; negative: its signal.

    The last argument is for Parsl, which reads it from the call and passes it on.
    """
    place = Path(bridge)
    ranked = argv[0] == PREFIX
    if ranked:
        argv = [*shlex.split(os.environ["PARSL_MPI_PREFIX"]), *argv[1:]]
    talks = (place / "in").exists()
    ours, theirs = socket.socketpair() if talks else (None, None)
    with contextlib.ExitStack() as stack:
        out = stack.enter_context((place / "stdout").open("ab"))
        err = stack.enter_context((place / "stderr").open("ab"))
        stdin = theirs or stack.enter_context((place / "stdin").open("rb"))
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=stdin.fileno(),
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        if theirs is not None and ours is not None:
            theirs.close()
            for pump in (_send, _receive):
                threading.Thread(target=pump, args=(ours, place), daemon=True).start()
        try:
            return _watch(process, place / "signals", Path(alive), ranked=ranked)
        finally:
            _end(process, ranked=ranked)
            if ours is not None:
                ours.close()


def _watch(process: subprocess.Popen[bytes], signals: Path, alive: Path, *, ranked: bool) -> int:
    """Wait for its end; pass on signals; end it when nobody waits for it any more."""
    seen, last, since = 0, b"", time.monotonic()
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(LOOK_S)
        lines = signals.read_text().split() if signals.exists() else []
        for number in map(int, lines[seen:]):
            if number == signal.SIGKILL:
                _end(process, ranked=ranked)
            else:
                _signal(process, number)
        seen = len(lines)
        now = alive.read_bytes() if alive.exists() else last
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > SILENCE_S:
            _end(process, ranked=ranked)


def _end(process: subprocess.Popen[bytes], *, ranked: bool) -> None:
    """Kill it; a launcher first has the time to end its ranks, which are on other nodes, too."""
    if ranked and process.poll() is None:
        _signal(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(RANKS_END_S)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _send(channel: socket.socket, place: Path) -> None:
    """What the worker writes into ``in`` goes to the program."""
    with (place / "in").open("rb") as file, contextlib.suppress(OSError):
        while True:
            piece = file.read(1 << 16)
            if piece:
                channel.sendall(piece)
            elif (place / "closed").exists():
                channel.shutdown(socket.SHUT_WR)
                return
            else:
                time.sleep(LOOK_S / 2)


def _receive(channel: socket.socket, place: Path) -> None:
    """What the program says goes into ``out``."""
    with (place / "out").open("ab") as file, contextlib.suppress(OSError):
        while piece := channel.recv(1 << 16):
            file.write(piece)
            file.flush()
