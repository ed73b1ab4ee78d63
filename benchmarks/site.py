"""A server and a worker of its own, as a user would start them, in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from copernicus.client import Client
from copernicus.client.client import save_worker_bundle

HERE = Path(__file__).parent
PASSWORD = "measured and found wanting nothing"
PROGRAMS = """
[programs.true]
command = ["/bin/true"]
version = "1.0"

[programs.cp]
command = ["/bin/cp"]
version = "1.0"

[programs.cat]
command = ["/bin/cat"]
version = "1.0"

[programs.sleep]
command = ["/bin/sleep"]
version = "1.0"

[programs.date]
command = ["/bin/date"]
version = "1.0"
"""
TRUE = """
name = "bench.true"
program = "true"

[inputs.x]
type = "int"

[[run]]
argv = ["{program}", "{in.x}"]
stdout = "out.txt"

[outputs.out]
file = "out.txt"
"""
COPY = """
name = "bench.copy"
program = "cp"

[inputs.x]
type = "File"

[[run]]
argv = ["{program}", "{in.x}", "out.bin"]

[outputs.out]
file = "out.bin"
"""
PATIENCE_S = 300.0


@dataclass(frozen=True)
class Site:
    """What runs: a client that is logged in, the processes (by id), and their folders."""

    client: Client
    pids: tuple[int, ...]
    folder: Path
    environment: dict[str, str]

    @property
    def server(self) -> int:
        """The server's process id."""
        return self.pids[0]


def _given_paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]


def cpc(*arguments: str, environment: dict[str, str]) -> str:
    """What a command of ``cpc`` prints."""
    command = [sys.executable, "-m", "copernicus", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"cpc {' '.join(arguments)}: {done.stderr or done.stdout}")
    return done.stdout


@contextlib.contextmanager
def running_site(folder: Path, cores: int = 2, worker: bool = True) -> Iterator[Site]:
    """Start a server and, if wanted, a worker with so many cores; end both at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        # The server and the worker are those of the checkout that the client is of.
        "PYTHONPATH": os.pathsep.join([str(HERE / "noop_module"), *_given_paths()]),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_DATA_HOME": str(folder / "data"),
    }
    home = folder / "server"
    secret = folder / "password"
    secret.write_text(PASSWORD)
    local = ("--host", "127.0.0.1", "--machine-port", "0", "--user-port", "0")
    made = ("server", "init", str(home), *local, "--name", "127.0.0.1")
    cpc(*made, "--admin-password-file", str(secret), environment=environment)
    with contextlib.ExitStack() as stack:
        server = ("server", "start", str(home))
        server_process = stack.enter_context(_process(server, folder / "server.log", environment))
        running = _wait_for_server(home, server_process)
        url = f"https://127.0.0.1:{running['user_port']}"
        client = stack.enter_context(
            Client.login(url, "admin", PASSWORD, running["server_id"], save=False)
        )
        bundle = folder / "worker.cpc"
        save_worker_bundle(bundle, client.worker_bundle())
        site = Site(client, (server_process.pid,), folder, environment)
        if worker:
            pid = stack.enter_context(running_worker(site, "worker", cores))
            site = replace(site, pids=(*site.pids, pid))
        yield site


@contextlib.contextmanager
def running_worker(site: Site, name: str, cores: int = 2) -> Iterator[int]:
    """Start a worker of the site in a folder of its own: its process id."""
    known = len(site.client.workers())
    bundle = site.folder / f"{name}.cpc"
    save_worker_bundle(bundle, site.client.worker_bundle())
    programs = site.folder / "programs.toml"
    programs.write_text(PROGRAMS)
    command = (
        *("worker", "start", "--bundle", str(bundle), "--work-dir", str(site.folder / name)),
        *("--cores", str(cores), "--programs", str(programs)),
    )
    with _process(command, site.folder / f"{name}.log", site.environment) as process:
        for _ in _patiently(process):
            workers = site.client.workers()
            if len(workers) > known and all(worker.programs for worker in workers):
                break
        else:
            raise RuntimeError(f"the worker {name} does not join")
        yield process.pid


@contextlib.contextmanager
def server_again(site: Site) -> Iterator[tuple[Client, int, float]]:
    """Start the server of a site that has ended: a client of it, its id, the seconds it took."""
    home, log = site.folder / "server", site.folder / "server.log"
    (home / "run" / "server.json").unlink(missing_ok=True)
    began = time.perf_counter()
    with _process(("server", "start", str(home)), log, site.environment) as process:
        running = _wait_for_server(home, process)
        url = f"https://127.0.0.1:{running['user_port']}"
        with Client.login(url, "admin", PASSWORD, running["server_id"], save=False) as client:
            yield client, process.pid, time.perf_counter() - began


@contextlib.contextmanager
def _process(
    arguments: tuple[str, ...], log: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "copernicus", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for_server(home: Path, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    told = home / "run" / "server.json"
    for _ in _patiently(process):
        if told.exists():
            running: dict[str, Any] = json.loads(told.read_text())
            return running
    raise RuntimeError(f"the server in {home} does not start")


def _patiently(process: subprocess.Popen[bytes]) -> Iterator[None]:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        yield
        time.sleep(0.05)
