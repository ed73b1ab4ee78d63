"""The server's folder, disk, clock and version go wrong; real processes, as people run them."""

from __future__ import annotations

import random
import resource
import shutil
import socket
import ssl
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from copernicus.errors import CopernicusError
from copernicus.protocol import ResultReply, ResultRequest
from copernicus.server.embedded import EmbeddedServer
from copernicus.store.opening import GAP
from support.crashes import check_made_once
from support.e2e import Env, all_done, states, wait_until
from support.e2e_programs import SHIFT_TOML, count, programs_file
from support.server_client import (
    PASSWORD,
    ScriptedWorker,
    User,
    add,
    define,
    echo_function,
    set_input,
)


def worker_on(env: Env, name: str = "w"):
    return env.start_worker(name, "--programs", programs_file(env), "--retry", 0.5, cores=2)


def closed(env: Env) -> None:
    for worker in env.workers:
        if worker.process.poll() is None:
            worker.end()
    assert env.stop_server() == 0
    check_made_once(env)


def test_fault_07_a_damaged_input_fails_its_job_and_says_how_to_get_it_back(env: Env) -> None:
    project = env.open()
    project.define(env.write("shift.toml", SHIFT_TOML))
    data = random.Random(3).randbytes(5000)
    source = env.write("source", data)
    with project.transaction():
        project.add("s", "bytes.shift", active=True)
        project.set("s.in.source", source)
    count(env, "fine", 20)
    digest = project.get("s.in.source").sha256
    chunk = env.server / "blobs" / "chunks" / digest[:2] / digest
    chunk.write_bytes(bytes([data[0] ^ 1]) + data[1:])

    worker_on(env)

    wait_until(lambda: all_done_of(project, "fine"), "others are not touched")
    failure = wait_until(lambda: project.instance_detail("s").elements[0].failure, "it fails")
    assert "damaged" in failure.reason
    assert digest in failure.reason
    assert "backup" in env.cpc("why", "s")
    with pytest.raises(CopernicusError, match="damaged"):
        project.get("s.in.source").download(env.root / "got")
    assert not (env.root / "got").exists()

    project.set("s.in.source", env.write("again", b"x" + data))
    project.set("s.in.source", source)
    wait_until(lambda: states(project, "s") == ["done"], "the file is stored again; it is made")
    turned = bytes((byte + 1) % 256 for byte in data)
    assert project.get("s.out.result").download(env.root / "out").read_bytes() == turned
    closed(env)


def all_done_of(project, path: str) -> bool:
    return states(project, path) == ["done"]


def test_fault_09_a_second_server_ends_and_says_who_has_the_folder(env: Env) -> None:
    env.open()
    first = env.server_process
    before = env.cpc("status")
    for _ in range(2):
        said = env.run("server", "start", env.server, "--machine-port", "0", "--user-port", "0")
        assert said.returncode == 1
        assert f"pid {first.pid}" in said.stderr
        assert "stop it first" in said.stderr
    assert env.cpc("status") == before
    env.kill_server()
    env.start_server()
    assert env.cpc("status") == before


def test_fault_10_after_an_old_backup_no_attempt_is_given_twice(tmp_path: Path) -> None:
    folder, kept = tmp_path / "s", tmp_path / "kept"
    EmbeddedServer.make(folder, PASSWORD)
    with EmbeddedServer(folder) as server:
        admin = User(server, "admin")
        worker = ScriptedWorker(server, admin, tmp_path / "w")
        admin.call("POST", "/v1/projects", {"name": "p"})
        admin.edit("p", define(echo_function()), add("a"), set_input("a.in.text", "x"))
        (first,) = worker.lease()
        admin.close()
    shutil.copytree(folder, kept)
    with EmbeddedServer(folder) as server:
        worker.at(server)
        failed = ResultRequest(first.attempt, 1, "stopped")
        assert worker.ask("result", failed, ResultReply).verdict == "accepted"
        (second,) = worker.lease()
        assert second.number == first.number + 1
    epoch = (folder / "epoch").read_text()
    shutil.rmtree(folder)
    shutil.copytree(kept, folder)
    (folder / "epoch").write_text(epoch)
    with EmbeddedServer(folder) as server:
        worker.at(server)
        # The restored server does not know the second attempt, and grants neither again.
        worker.refused(403, "result", ResultRequest(second.attempt, 1, "completed", {"said": "2"}))
        assert worker.ask("result", failed, ResultReply).verdict == "accepted"
        (third,) = worker.lease()
        assert third.number > GAP
        assert worker.complete(third, {"said": "3"}) == "accepted"
        admin = User(server, "admin")
        assert admin.get("/v1/projects/p")["states"] == {"done": 1}
        admin.close()
    worker.close()


def test_fault_11_a_stop_during_uploads_loses_nothing(env: Env) -> None:
    project = env.open()
    data = random.Random(9).randbytes(40_000_000)
    source = env.write("source", data)
    project.define(env.write("shift.toml", SHIFT_TOML))
    troubles: list[Exception] = []

    def upload() -> None:
        try:
            project.add("s", "bytes.shift")
            project.set("s.in.source", source)
        except CopernicusError as error:
            troubles.append(error)

    uploading = threading.Thread(target=upload)
    uploading.start()
    chunks = env.server / "blobs" / "chunks"
    wait_until(lambda: chunks.is_dir() and any(chunks.rglob("*")), "the upload has begun")
    env.server_process.terminate()
    assert env.server_process.wait(10) == 0
    uploading.join()
    env.start_server()
    env.log_in()
    project = env.project()
    with suppress(CopernicusError):
        project.add("s", "bytes.shift")
    before = sum(1 for path in chunks.rglob("*") if path.is_file())
    project.set("s.in.source", source)
    assert before > 0
    worker_on(env)
    project.activate("s")
    wait_until(lambda: all_done(project, "s", 1), "it is done", 90)
    closed(env)


def hello(port: int) -> None:
    """A TLS connection, or an error."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", port), timeout=5) as raw:
        context.wrap_socket(raw).close()


def test_fault_12_when_open_files_run_out_nothing_is_damaged(env: Env) -> None:
    project = env.open()
    worker_on(env)
    count(env, "before", 20)
    wait_until(lambda: all_done(project, "before", 1), "it is done")
    pid = env.server_process.pid
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 4, hard))
    with ExitStack() as stack:
        for _ in range(40):
            made = socket.create_connection(("127.0.0.1", env.ports[1]), timeout=5)
            stack.callback(made.close)
        with pytest.raises((CopernicusError, OSError)):
            hello(env.ports[1])
        assert env.server_process.poll() is None
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    count(env, "after", 20)
    wait_until(lambda: all_done(env.project(), "after", 1), "it goes on by itself", 60)
    closed(env)
