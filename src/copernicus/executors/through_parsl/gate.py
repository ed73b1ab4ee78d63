"""Hands programs to a Parsl executor: a process beside the worker, which a shim asks for each.

``python -m copernicus.executors.through_parsl.gate CONFIG SOCKET``: ``CONFIG`` is a Python file of
the worker's owner with ``config = parsl.Config(...)``. It first tells what that offers, as a line
of JSON, and ends, with everything that Parsl has started, when its standard input does.
"""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from copernicus.executors.through_parsl.nodes import spread, what_is_offered
from copernicus.executors.through_parsl.remote import run_program

_ALIVE_S = 5.0
Handing = Callable[[dict[str, Any], str], Any]


def main() -> int:
    """Serve shims until standard input ends; the exit code."""
    file, place = Path(sys.argv[1]), Path(sys.argv[2])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        config = _config(file, place.parent / "parsl")
        offered = what_is_offered(config)
        import parsl

        kernel = parsl.load(config)
    except Exception as error:  # noqa: BLE001 - a config is code: anything can come of it
        answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")
        answers.flush()
        return 1
    app = parsl.python_app(run_program, data_flow_kernel=kernel, cache=False)
    hand = partial(_hand_over, app, offered["node_cores"])
    alive = place.parent / "alive"
    ended = threading.Event()
    threading.Thread(target=_keep_alive, args=(alive, ended), daemon=True).start()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(place))
    listening.listen(1024)
    threading.Thread(target=_serve, args=(listening, hand, alive), daemon=True).start()
    answers.write(json.dumps(offered) + "\n")
    answers.flush()
    sys.stdin.buffer.read()
    ended.set()
    kernel.cleanup()
    return 0


def _config(file: Path, folder: Path) -> Any:
    found = runpy.run_path(str(file)).get("config")
    if found is None or not hasattr(found, "executors"):
        raise ValueError(f"{file} has no config = parsl.Config(...)")
    found.run_dir = str(folder)
    return found


def _keep_alive(file: Path, ended: threading.Event) -> None:
    count = 0
    while True:
        count += 1
        with contextlib.suppress(OSError):
            file.write_text(str(count))
        if ended.wait(_ALIVE_S):
            return


def _serve(listening: socket.socket, hand: Handing, alive: Path) -> None:
    while True:
        channel, _ = listening.accept()
        threading.Thread(target=_one, args=(channel, hand, alive), daemon=True).start()


def _one(channel: socket.socket, hand: Handing, alive: Path) -> None:
    """One program: handed over, and its end told; killed when its shim is gone."""
    with channel, contextlib.suppress(OSError), channel.makefile("rb") as lines:
        order = json.loads(lines.readline())
        future = hand(order, str(alive))
        future.add_done_callback(lambda done: _tell(channel, done))
        lines.read()
        if not future.done():
            signals = Path(order["bridge"]) / "signals"
            # The shim was killed: its bridge is still there, and the program obeys it.
            future.add_done_callback(lambda _: shutil.rmtree(order["bridge"], ignore_errors=True))
            with signals.open("a") as file:
                file.write(f"{int(signal.SIGKILL)}\n")


def _hand_over(app: Any, node_cores: int, order: dict[str, Any], alive: str) -> Any:
    return app(
        *(order[name] for name in ("argv", "folder", "environment", "bridge")),
        alive,
        parsl_resource_specification=spread(order["cores"], order["ranks"], node_cores),
    )


def _tell(channel: socket.socket, done: Any) -> None:
    error = done.exception()
    told = {"error": f"Parsl lost it: {error}"} if error else {"code": done.result()}
    with contextlib.suppress(OSError):
        channel.sendall(json.dumps(told).encode() + b"\n")
        channel.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    sys.exit(main())
