"""A server, workers and users as real processes, driven through ``cpc`` as people would."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from copernicus.client import Client, Project
from copernicus.client.client import save_worker_bundle
from copernicus.errors import ServerUnreachable
from copernicus.model.jobs import CheckpointRef
from copernicus.server.database import open_reads
from copernicus.server.folder import Running, init_server, read_running, settings_of
from support.ports import own_ports
from support.postgres import STORES, cluster
from support.processes import family, is_alive

ADMIN_PASSWORD = "correct horse battery staple"
CPC = (sys.executable, "-m", "copernicus")

# Short, so that a lost worker is noticed within seconds; long enough for a loaded machine.
QUICK: Mapping[str, Any] = {
    "heartbeat_s": 1.0,
    "lease_s": 6.0,
    "checkpoint_interval_s": 1.0,
    "evaluators": 1,
}


def _cpc(prelude: str, python: str) -> tuple[str, ...]:
    """``cpc`` of this Python, in a process that has executed these lines before."""
    if not prelude:
        return (python or sys.executable, *CPC[1:])
    lines = f"{prelude}\nimport sys; from copernicus.cli.main import main; sys.exit(main())"
    return (python or sys.executable, "-c", lines)


def wait_until(condition: Callable[[], Any], what: str, seconds: float = 40.0) -> Any:
    """What ``condition`` gives as soon as it is true; a server that is away is not yet true."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(ServerUnreachable):
            found = condition()
            if found:
                return found
        assert time.monotonic() < end, f"never within {seconds:.0f} s: {what}"
        time.sleep(0.03)


class Worker:
    """``cpc worker start`` in a process of its own."""

    def __init__(
        self, name: str, folder: Path, argv: Sequence[str], environment: dict[str, str]
    ) -> None:
        self.name = name
        self.folder = folder
        self.output = folder.parent / f"{folder.name}.log"
        with self.output.open("ab") as log:
            self.process = subprocess.Popen(
                argv,
                cwd=folder.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.output.read_text()

    @property
    def id(self) -> str:
        found = wait_until(lambda: re.search(r"worker (\S+) of server", self.said), "a worker id")
        return str(found[1])

    def running(self, program: str) -> list[psutil.Process]:
        """The processes of this program in the worker's jobs.

        What runs below it elsewhere is no job: a version that is asked for, or a shell that starts
        the worker and forks.
        """
        found = []
        for process in family(self.process.pid)[1:]:
            with contextlib.suppress(psutil.NoSuchProcess):
                place = Path(process.cwd())
                if process.name() == program and place.is_relative_to(self.folder):
                    found.append(process)
        return found

    def end(self, number: int = signal.SIGTERM, seconds: float = 30.0) -> int:
        """Signal it, and wait for its exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


class Env:
    """Everything of one test lies in ``root``; ``close`` ends, by process, all that it started."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.config = root / "config"
        self.server = root / "server"
        self.bundle = root / "lab.cpc"
        self.password = self.write("password", ADMIN_PASSWORD)
        self.password.chmod(0o600)
        self.variables: dict[str, str] = {}
        self.workers: list[Worker] = []
        self._servers: list[subprocess.Popen[bytes]] = []
        self.ports: tuple[int, int] | None = None
        self.address = "127.0.0.1"
        self._client: Client | None = None

    # --- the command line

    def environment(self, **more: str) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CPC_")}
        return {**kept, "CPC_CONFIG_DIR": str(self.config), **self.variables, **more}

    def command(self) -> list[str]:
        """What ``cpc`` is, to be run by the test itself with ``environment``."""
        return list(_cpc("", ""))

    def run(
        self, *arguments: object, stdin: str = "", python: str = "", **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """``cpc`` with these arguments in ``root``, however it ends."""
        return subprocess.run(
            [*_cpc("", python), *map(str, arguments)],
            cwd=self.root,
            env=self.environment(**variables),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def cpc(self, *arguments: object, stdin: str = "") -> str:
        """What a command that works prints."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments: object) -> Any:
        return json.loads(self.cpc(*arguments, "--json"))

    def refused(self, code: int, *arguments: object, stdin: str = "") -> str:
        """The one line on standard error of a command that ends with this exit code."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
        lines = done.stderr.strip().split("\n")
        assert len(lines) == 1, done.stderr
        assert lines[0].startswith("cpc: "), lines
        assert "Traceback" not in done.stdout + done.stderr
        return lines[0].removeprefix("cpc: ")

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    # --- the server

    def init_server(self, **settings: Any) -> None:
        local: dict[str, Any] = {"host": self.address, "machine_port": 0, "user_port": 0}
        if os.environ.get(STORES) == "postgresql":
            local["database"] = cluster().new_database()
        init_server(self.server, [self.address], ADMIN_PASSWORD, {**local, **QUICK, **settings})

    def launch_server(
        self, folder: Path | None = None, *, prelude: str = "", python: str = "", **variables: str
    ) -> subprocess.Popen[bytes]:
        """Begin to start it, on the same ports each time."""
        place = folder or self.server
        argv: list[object] = [*_cpc(prelude, python), "server", "start", place]
        if folder is None:
            if self.ports is None:
                machine, user = own_ports(2)
                self.ports = machine, user
            argv += ["--machine-port", self.ports[0], "--user-port", self.ports[1]]
        with (place / "server.log").open("ab") as log:
            process = subprocess.Popen(
                list(map(str, argv)),
                cwd=self.root,
                env=self.environment(**variables),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._servers.append(process)
        return process

    def start_server(
        self, folder: Path | None = None, *, prelude: str = "", python: str = "", **variables: str
    ) -> Running:
        """Start it, and wait until it answers."""
        place = folder or self.server
        process = self.launch_server(folder, prelude=prelude, python=python, **variables)

        def started() -> Running | None:
            assert process.poll() is None, (place / "server.log").read_text()
            return self.running_server(folder)

        running: Running = wait_until(started, "the server starts", 60)
        return running

    def running_server(self, folder: Path | None = None) -> Running | None:
        """Where the server that was launched last answers, once it does."""
        found = read_running(folder or self.server)
        return found if found is not None and found.pid == self.server_process.pid else None

    @property
    def server_log(self) -> str:
        return (self.server / "server.log").read_text()

    def open(self, project: str = "p", **settings: Any) -> Project:
        """A running server with its administrator logged in, a bundle, and a project."""
        self.init_server(**settings)
        self.start_server()
        return self.begin(project)

    def begin(self, project: str = "p") -> Project:
        """The administrator logs in to the server that runs; a bundle and a project are made."""
        self.log_in()
        save_worker_bundle(self.bundle, self.client.worker_bundle())
        self.client.create_project(project, seed=1)
        self.client.use_project(project)
        return self.project(project)

    def log_in(self, bundle: Path | None = None) -> None:
        """As ``cpc login`` does it."""
        if self._client is not None:
            self._client.close()
        target = bundle or self.server / "client.cpc"
        self._client = Client.login(target, "admin", ADMIN_PASSWORD, config=self.config)

    @property
    def client(self) -> Client:
        """To look at things often; commands go through ``cpc``."""
        assert self._client is not None, "log in first"
        return self._client

    def project(self, name: str = "p") -> Project:
        return self.client.project(name)

    @property
    def server_process(self) -> subprocess.Popen[bytes]:
        return self._servers[-1]

    @property
    def server_psutil(self) -> psutil.Process:
        return psutil.Process(self.server_process.pid)

    def stop_server(self) -> int:
        self.server_process.terminate()
        return self.server_process.wait(30)

    def kill_server(self) -> None:
        """``kill -9``; what it had started must not outlive it."""
        below = family(self.server_process.pid)
        self.server_process.kill()
        self.server_process.wait()
        wait_until(lambda: not any(map(is_alive, below)), "the server's processes end", 15)

    def checkpoints(self, job: str = "") -> list[CheckpointRef]:
        """What the server holds of all jobs or of one, as its database tells others meanwhile."""
        with open_reads(self.server, settings_of(self.server)) as reads:
            found = reads.checkpoints()
        return [ref for row in found for ref in row.refs if not job or ref.job == job]

    # --- workers

    def start_worker(
        self,
        name: str = "w1",
        *options: object,
        cores: int = 1,
        bundle: Path | None = None,
        wait: bool = True,
        variables: Mapping[str, str] | None = None,
        prelude: str = "",
        python: str = "",
    ) -> Worker:
        argv = [*_cpc(prelude, python), "worker", "start", "--bundle", str(bundle or self.bundle)]
        argv += ["--work-dir", str(self.root / name), "--cores", str(cores), *map(str, options)]
        worker = Worker(name, self.root / name, argv, self.environment(**(variables or {})))
        self.workers.append(worker)
        if wait:
            wait_until(lambda: "programs:" in worker.said or worker.process.poll(), "it starts")
            assert worker.process.poll() is None, worker.said
        return worker

    def kill_worker(self, worker: Worker) -> list[psutil.Process]:
        """``kill -9`` of the worker alone; returns what ran below it."""
        below = family(worker.process.pid)[1:]
        worker.process.kill()
        worker.process.wait()
        return below

    # --- the end

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        left: set[psutil.Process] = set()
        started = [*(worker.process for worker in self.workers), *self._servers]
        for process in started:
            if process.poll() is None:
                left.update(family(process.pid))
        for process in started:
            process.kill()
            process.wait()
        deadline = time.monotonic() + 15
        while (alive := [p for p in left if is_alive(p)]) and time.monotonic() < deadline:
            time.sleep(0.02)
        for orphan in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                orphan.kill()
        self._show()
        assert not alive, f"these outlived their worker or server: {alive}"

    def _show(self) -> None:
        logs = [self.server / "server.log", *(worker.output for worker in self.workers)]
        for log in dict.fromkeys(logs):
            if log.exists():
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-6000:]}")


@contextlib.contextmanager
def environment(root: Path) -> Iterator[Env]:
    env = Env(root)
    try:
        yield env
    finally:
        env.close()


def element(project: Project, path: str, index: int = 0) -> Any:
    return project.instance_detail(path, index, 1).elements[0]


def states(project: Project, path: str) -> list[str]:
    return [e.state for e in project.instance_detail(path, 0, 1000).elements]


def all_done(project: Project, path: str, count: int) -> bool:
    found = states(project, path)
    failures = [view.failure for view in project.instances() if view.failure]
    assert not failures, failures
    return len(found) == count and set(found) == {"done"}
