"""A PostgreSQL of the tests' own: a cluster in a temporary folder, on a Unix socket only."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from support.processes import family, is_alive

STORES = "CPC_TESTS_STORE_IN"
"""The variable that says where the servers of end-to-end tests store (``--postgresql``)."""

_USER = "postgres"
_START_S = 60.0


def binaries() -> Path | None:
    """Where the programs of the newest PostgreSQL on this machine are."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    installed = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((path.parent for path in installed), key=str, default=None)


class Cluster:
    """One PostgreSQL server; ``kill`` and ``start`` it as often as a test likes."""

    def __init__(self) -> None:
        folder = binaries()
        assert folder is not None, "there is no PostgreSQL here"
        self._bin = folder
        self.folder = Path(tempfile.mkdtemp(prefix="cpc-pg-"))
        self._as_user: list[str] = []
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            shutil.chown(self.folder, _USER)
            self._as_user = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
        self._numbers = itertools.count(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._run("initdb", "-D", self._data, "-A", "trust", "-U", _USER, "-E", "UTF8")
        self.start()

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres") -> str:
        """Where a database is."""
        return f"postgresql://{_USER}@/{database}?host={self.folder}"

    def new_database(self, *options: str) -> str:
        """The URL of a new, empty database."""
        name = f"cpc{next(self._numbers)}"
        command = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}").format(
            sql.Identifier(name), sql.SQL(" ").join(map(sql.SQL, options))
        )
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(command)
        return self.url(name)

    def start(self) -> None:
        """Start it, and wait until it answers; it recovers if it was killed."""
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._as_user,
                    self._bin / "postgres",
                    *("-D", self._data, "-k", self.folder),
                    *("-c", "listen_addresses=", "-c", "max_connections=200"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _wait(self._answers, f"PostgreSQL starts: {self.folder / 'log'}")

    def kill(self) -> None:
        """``kill -9`` of all its processes at once, as when its machine dies."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)  # from now on it makes no more of them
        processes = family(self._process.pid)
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        # While one is left that has the shared memory, the next server refuses to start.
        _wait(lambda: not any(map(is_alive, processes)), "PostgreSQL's processes end")

    def stop(self) -> None:
        """End it, with whatever is connected, and remove it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: object, check: bool = True) -> str:
        path = self._bin / program
        argv = [*self._as_user, str(path if path.exists() else program), *map(str, arguments)]
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(argv, capture_output=True, text=True, env=environment, check=False)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout


@cache
def cluster() -> Cluster:
    """The one of this test process, started when it is first asked for."""
    made = Cluster()
    atexit.register(made.stop)
    return made


def _wait(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + _START_S
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)
