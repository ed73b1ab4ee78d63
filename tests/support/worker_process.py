"""A real worker process for tests."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from support.worker_server import PROGRAMS, ScriptedServer

_MAIN = """
import sys, json
from pathlib import Path
from copernicus.errors import CopernicusError
from copernicus.worker.agent import run_worker
from copernicus.worker.settings import WorkerSettings
given = json.loads(sys.argv[1])
for key in ("bundle", "work_dir", "programs"):
    given[key] = Path(given[key])
try:
    code = run_worker(WorkerSettings(**given))
except CopernicusError as error:
    print(f"{type(error).__name__}: {error.message}", file=sys.stderr)
    code = error.exit_code
sys.exit(code)
"""


class WorkerProcess:
    def __init__(self, server: ScriptedServer, folder: Path, **settings) -> None:

        self.folder = folder
        folder.mkdir(exist_ok=True)
        bundle = folder / "lab.cpc"
        if "bundle" not in settings:
            server.bundle(bundle)
        programs = folder / "given-programs.toml"
        programs.write_text(PROGRAMS)
        given = {
            "bundle": str(bundle),
            "work_dir": str(folder / "work"),
            "programs": str(programs),
            "cores": 2,
            "min_free_mb": 1,
            "grace_s": 5.0,
            "deliver_s": 5.0,
            **settings,
        }
        given = {k: str(v) if isinstance(v, Path) else v for k, v in given.items()}
        self.work_dir = Path(given["work_dir"])
        self.output = folder / "worker.log"
        with self.output.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", "-c", _MAIN, json.dumps(given)],
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=folder,
            )

    def said(self) -> str:
        return self.output.read_text()

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(30)


@contextlib.contextmanager
def worker(server: ScriptedServer, folder: Path, **settings) -> Iterator[WorkerProcess]:
    running = WorkerProcess(server, folder, **settings)
    try:
        yield running
    finally:
        left = []
        with contextlib.suppress(psutil.NoSuchProcess):
            left = running.children()
        running.process.kill()
        running.process.wait()
        psutil.wait_procs(left, timeout=15)
        print(running.said())


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    """For what can only be looked at, in other processes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.01)
