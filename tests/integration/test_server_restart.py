"""Stopping, killing and starting again: what was acknowledged is there, what was open goes on."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

from copernicus.server.embedded import EmbeddedServer
from copernicus.server.folder import Running, read_running
from support.server_client import (
    PASSWORD,
    ScriptedWorker,
    User,
    add,
    connect,
    define,
    echo_function,
    set_input,
)

_RUN = "import sys; from pathlib import Path; from copernicus.server.app import run_server; "
_RUN += "run_server(Path(sys.argv[1]))"


class ServerProcess:
    """The server in a process of its own, so that it can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "run" / "server.json").unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, "-c", _RUN, str(folder)])
        self.running = self._wait()

    def _wait(self) -> Running:
        deadline = time.monotonic() + 60
        while (found := read_running(self.folder)) is None:
            assert self.process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not start"
            time.sleep(0.02)
        return found

    @property
    def user_url(self) -> str:
        return f"https://127.0.0.1:{self.running.user_port}"

    @property
    def machine_url(self) -> str:
        return f"https://127.0.0.1:{self.running.machine_port}"

    def end(self, number: int) -> float:
        begin = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        return time.monotonic() - begin


@pytest.fixture
def folder(tmp_path):
    info, _ = EmbeddedServer.make(tmp_path / "s", PASSWORD)
    return info.folder


def shown(admin: User) -> tuple:
    root = "/v1/projects/kept"
    return (
        admin.get(root),
        admin.get(f"{root}/journal"),
        admin.get(f"{root}/instances"),
        admin.get(f"{root}/history"),
    )


def test_fault_01_nothing_acknowledged_is_lost_by_a_kill(folder, tmp_path):
    first = ServerProcess(folder)
    admin = User(first, "admin")
    worker = ScriptedWorker(first, admin, tmp_path / "w")
    admin.call("POST", "/v1/projects", {"name": "kept"})
    admin.edit(
        "kept",
        define(echo_function()),
        *(add(name) for name in ("one", "two", "three")),
        connect("one.out.said", "three.in.text"),
        set_input("one.in.text", "a"),
        set_input("two.in.text", "b"),
    )
    one, two = worker.lease()
    worker.complete(one, {"said": "done before"})
    before = shown(admin)
    first.end(signal.SIGKILL)

    second = ServerProcess(folder)
    token, admin.token = admin.token, ""
    admin.close()
    again = User(second)
    again.token = token
    assert shown(again) == before
    worker.at(second)
    assert worker.complete(one, {"said": "done before"}) == "already"
    assert worker.beat(two.attempt).directives[0].action == "go"
    assert worker.complete(two, {"said": "done after"}) == "accepted"
    (three,) = worker.lease()
    assert three.spec.command.lines[0].argv[1] == "done before"
    assert three.number == 1
    worker.complete(three, {"said": "!"})
    assert again.get("/v1/projects/kept")["states"] == {"done": 3}
    again.close()
    worker.close()
    assert second.end(signal.SIGTERM) < 10


def test_fault_01_kills_at_any_time_leave_a_whole_journal(folder, tmp_path):
    """Edits run against a server that is killed; each is there whole, or was never answered."""
    answered = 0
    server = ServerProcess(folder)
    admin = User(server, "admin")
    token = admin.token
    admin.call("POST", "/v1/projects", {"name": "kept"})
    admin.edit("kept", define(echo_function()))
    for round_ in range(3):
        killer = threading.Timer(0.15 + 0.1 * round_, server.end, (signal.SIGKILL,))
        killer.start()
        try:
            for index in range(1000):
                name = f"i{round_}_{index}"
                admin.edit("kept", add(name), set_input(f"{name}.in.text", name))
                answered += 1
        except httpx2.TransportError:
            pass
        killer.join()
        admin.close()
        server = ServerProcess(folder)
        admin = User(server)
        admin.token = token
        root = "/v1/projects/kept"
        journal = []
        while page := admin.get(f"{root}/journal", since=len(journal)):
            journal += page
        paths = [e["event"]["path"] for e in journal if e["kind"] == "instance_added"]
        inputs = [e["event"]["path"] for e in journal if e["kind"] == "input_set"]
        assert answered <= len(paths) <= answered + 1 + round_
        assert paths == inputs
        answered = len(paths)
        jobs = admin.get(f"{root}/jobs")
        assert sorted(job["path"] for job in jobs) == sorted(paths)
    admin.close()
    server.end(signal.SIGTERM)


def test_stopping_answers_those_who_wait(folder, tmp_path):
    server = ServerProcess(folder)
    admin = User(server, "admin")
    worker = ScriptedWorker(server, admin, tmp_path / "w")
    admin.call("POST", "/v1/projects", {"name": "kept"})
    got = []
    waiting = threading.Thread(target=lambda: got.append(worker.lease(wait_s=50.0)))
    waiting.start()
    with admin.events("kept", since=0) as events:
        next(events)
        seconds = server.end(signal.SIGTERM)
        assert list(events) == []
    waiting.join(10)
    assert got == [[]]
    assert seconds < 10
    assert server.process.returncode == 0
    assert read_running(folder) is None
    worker.close()
    admin.close()


def test_a_restart_in_the_same_process_finds_its_settings(folder):
    text = (folder / "server.toml").read_text()
    assert 'names = ["127.0.0.1", "localhost"]' in text
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    for _ in range(2):
        with EmbeddedServer(folder) as server:
            bundle = (folder / "client.cpc").read_text()
            assert json.dumps(server.user_url) in bundle


def test_a_second_interrupt_does_not_break_the_ending(folder):
    server = ServerProcess(folder)
    with contextlib.ExitStack() as stack:
        # A client that is still connected makes the ending take its time.
        stack.enter_context(contextlib.closing(User(server)))
        while server.process.poll() is None:
            server.process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(0.02)

    assert server.process.returncode == 0
    assert not (folder / "run" / "server.json").exists()
