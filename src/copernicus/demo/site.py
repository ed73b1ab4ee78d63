"""A server, a worker and a user of their own, for as long as a demo runs."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from copernicus.client.client import Client, save_worker_bundle
from copernicus.demo.children import Child, DemoFailed, uninterrupted
from copernicus.protocol import WorkerView
from copernicus.server.folder import Running, init_server, read_running

_LOCAL = {
    "host": "127.0.0.1",
    "machine_port": 0,
    "user_port": 0,
    "evaluators": 1,
    "heartbeat_s": 1.0,
    "lease_s": 60.0,
}
_START_S = 60.0
_STOP_S = 20.0
_LOOK_S = 0.05

T = TypeVar("T")


@dataclass(frozen=True)
class Site:
    """What runs: the client is logged in, one worker is connected.

    Attributes:
        client: the user ``admin``.
        config: the folder with that login, as ``CPC_CONFIG_DIR`` names it.
        url: where people reach the server.
        worker: who works.
        children: the processes of server and worker.
    """

    client: Client
    config: Path
    url: str
    worker: WorkerView
    children: tuple[Child, ...]

    def check(self) -> None:
        """See that everything still runs.

        Raises:
            DemoFailed: Something has ended.
        """
        for child in self.children:
            child.check()


@contextlib.contextmanager
def own_site(logs: Path, cores: int) -> Iterator[Site]:
    """Start everything in a temporary folder; end it, and remove the folder, at the end.

    Args:
        logs: a folder that exists, for what server and worker say.
        cores: of the worker.

    Raises:
        DemoFailed: Something did not start.
    """
    stack = contextlib.ExitStack()
    try:
        yield _start(stack, logs, cores)
    finally:
        with uninterrupted():
            stack.close()


def _start(stack: contextlib.ExitStack, logs: Path, cores: int) -> Site:
    folder = Path(
        stack.enter_context(
            tempfile.TemporaryDirectory(prefix="copernicus-demo-", ignore_cleanup_errors=True)
        )
    )
    password = secrets.token_urlsafe(16)
    info = init_server(folder / "server", ("127.0.0.1", "localhost"), password, _LOCAL)
    words = ["server", "start", str(folder / "server")]
    server = Child("server", words, folder, logs / "server.log")
    stack.callback(server.stop, signal.SIGTERM, patience_s=_STOP_S)
    running = _until(lambda: _reached(folder / "server", server), "the server does not answer")
    config = folder / "config"
    client = stack.enter_context(Client.login(info.client_bundle, "admin", password, config=config))
    save_worker_bundle(folder / "worker.cpc", client.worker_bundle(uses=1, days=1))
    words = ["worker", "start", "--bundle", str(folder / "worker.cpc")]
    words += ["--work-dir", str(folder / "worker"), "--cores", str(cores)]
    words += ["--allow-scripts"]
    worker = Child("worker", words, folder, logs / "worker.log")
    # Twice: what still runs is given up at once, for nobody will want it.
    stack.callback(worker.stop, signal.SIGINT, signal.SIGINT, patience_s=_STOP_S)
    joined = _until(lambda: _joined(client, server, worker), "the worker does not join")
    url = f"https://127.0.0.1:{running.user_port}"
    return Site(client, config, url, joined, (server, worker))


def _reached(folder: Path, server: Child) -> Running | None:
    server.check()
    return read_running(folder)


def _joined(client: Client, *children: Child) -> WorkerView | None:
    for child in children:
        child.check()
    return next((w for w in client.workers() if w.state == "connected" and w.programs), None)


def _until(look: Callable[[], T | None], otherwise: str) -> T:
    end = time.monotonic() + _START_S
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > end:
            raise DemoFailed(f"{otherwise} after {_START_S:.0f} s")
        time.sleep(_LOOK_S)


def look_yourself(site: Site) -> str:
    """The command that shows the project from another terminal."""
    found = shutil.which("cpc")
    own = Path(sys.prefix) / "bin" / "cpc"
    is_own = found is not None and own.exists() and Path(found).samefile(own)
    return f"CPC_CONFIG_DIR={site.config} {'cpc' if is_own else own} status --watch"
