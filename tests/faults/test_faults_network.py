"""Networks that cut, lose, repeat and delay, between real servers and real workers."""

from __future__ import annotations

import random
import ssl
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import msgspec
import pytest

from copernicus.blobs import CHUNK_SIZE
from copernicus.model.jobs import StoredFile
from copernicus.protocol import CheckpointRequest, HeartbeatRequest, ResultReply, ResultRequest
from copernicus.server.embedded import EmbeddedServer
from support.chaos_proxy import ChaosProxy, chaos
from support.crashes import check_made_once
from support.e2e import Env, Worker, all_done, states, wait_until
from support.e2e_programs import SHIFT_TOML, count, held, programs_file
from support.namespaces import Network, inside, two_sides
from support.server_client import (
    PASSWORD,
    ScriptedWorker,
    User,
    add,
    define,
    echo_function,
    set_input,
)

LAST = 500
BEAT = msgspec.msgpack.encode(HeartbeatRequest(()))


def through(env: Env, *proxies: ChaosProxy) -> Path:
    """A bundle whose addresses of the machine port are these proxies, in this order."""
    port = env.ports[0]
    text = env.bundle.read_text()
    lines = [line for line in text.splitlines() if not line.startswith("urls")]
    urls = ", ".join(f'"https://127.0.0.1:{proxy.port}"' for proxy in proxies)
    assert f":{port}" in text
    bundle = env.root / "proxied.cpc"
    bundle.touch(mode=0o600)
    first = next(i for i, line in enumerate(lines) if line.startswith("join_urls"))
    lines.insert(first, f"urls = [{urls}]")
    bundle.write_text("\n".join(lines) + "\n")
    return bundle


def worker_through(env: Env, *proxies: ChaosProxy) -> Worker:
    bundle = through(env, *proxies)
    return env.start_worker(
        "w", "--programs", programs_file(env), "--retry", 0.5, bundle=bundle, cores=2
    )


def closed(env: Env) -> None:
    """The end of everything, which was made once."""
    for worker in env.workers:
        worker.end(seconds=60)
    assert env.stop_server() == 0
    check_made_once(env)


# --- partitions between network namespaces


@pytest.fixture
def apart(env: Env) -> Iterator[Network]:
    """Server and test in one network, workers in the other."""
    with two_sides() as net:
        env.address = net.server.address
        with inside(net.server):
            yield net
            env.close()


@pytest.mark.fault_tools
@pytest.mark.timeout(400)
@pytest.mark.parametrize("lost", ["both ways", "to the server", "to the worker"])
def test_fault_24_work_goes_on_in_a_partition_and_counts_once(
    env: Env, apart: Network, lost: str
) -> None:
    project = env.open(heartbeat_s=1.0, lease_s=3.0)
    with inside(apart.worker):
        far = env.start_worker("far", "--programs", programs_file(env), "--retry", 0.5)
    with held(env):
        count(env, "c", LAST)
        wait_until(lambda: env.checkpoints(), "a checkpoint")
        if lost != "to the worker":
            apart.server.drop("INPUT")
        if lost != "to the server":
            apart.server.drop("OUTPUT")
        wait_until(lambda: states(project, "c") == ["queued"], "the lease ends")
    near = env.start_worker("near", "--programs", programs_file(env))
    wait_until(lambda: states(project, "c") != ["queued"], "another has it")
    apart.server.heal()
    wait_until(lambda: all_done(project, "c", 1), "it is done", 90)
    assert project.get("c.out.result") == LAST
    wait_until(lambda: "server answers again" in far.said or "c (" in far.said, "it is back", 90)
    count(env, "d", 20)
    near.end()
    wait_until(lambda: all_done(project, "d", 1), "the other one works again", 90)
    closed(env)


@pytest.mark.fault_tools
def test_fault_24_what_was_finished_in_a_partition_is_delivered(env: Env, apart: Network) -> None:
    project = env.open(heartbeat_s=1.0, lease_s=60.0)
    with inside(apart.worker):
        far = env.start_worker("far", "--programs", programs_file(env), "--retry", 0.5)
    with held(env):
        count(env, "c", 100)
        wait_until(lambda: states(project, "c") == ["running"], "it runs")
        apart.server.drop("INPUT")
    wait_until(lambda: "finished c" in far.said, "it is finished in the partition")
    assert states(project, "c") == ["running"]
    apart.server.heal()
    wait_until(lambda: all_done(project, "c", 1), "it is delivered", 90)
    closed(env)


@pytest.mark.fault_tools
@pytest.mark.timeout(400)
def test_fault_28_a_dead_connection_is_noticed_on_both_sides(env: Env, apart: Network) -> None:
    project = env.open(heartbeat_s=1.0, lease_s=4.0)
    with inside(apart.worker):
        far = env.start_worker("far", "--programs", programs_file(env), "--retry", 0.5)
    established = partial(apart.server.calls_from, apart.worker.address)
    with held(env):
        count(env, "c", LAST)
        wait_until(lambda: env.checkpoints(), "a checkpoint")
        assert established() > 0
        apart.worker.cable("down")
        wait_until(lambda: "cannot be reached" in far.said, "the worker notices", 70)
        wait_until(lambda: states(project, "c") == ["queued"], "the server takes the job back", 70)
    wait_until(lambda: established() == 0, "the server lets its connections go", 70)
    apart.worker.cable("up")
    wait_until(lambda: all_done(project, "c", 1), "it is done", 90)
    closed(env)


@pytest.mark.fault_tools
def test_a_worker_that_changes_its_address_goes_on_with_its_job(env: Env, apart: Network) -> None:
    """It calls the server; nothing that begins outside reaches it."""
    apart.worker.refuse_calls()
    project = env.open(heartbeat_s=1.0, lease_s=120.0)
    with inside(apart.worker):
        env.start_worker("far", "--programs", programs_file(env), "--retry", 0.5)
    with held(env):
        count(env, "c", LAST)
        wait_until(lambda: env.checkpoints(), "a checkpoint")
        moved = apart.worker.move("10.213.7.3")
        wait_until(lambda: apart.server.calls_from(moved.address), "a call from there", 90)
        assert states(project, "c") == ["running"]
    wait_until(lambda: all_done(project, "c", 1), "it is done", 90)
    assert project.get("c.out.result") == LAST
    records = project.trace("c.out.result").attempts
    assert [(one.number, one.outcome) for one in records] == [(1, "completed")]
    closed(env)


# --- connections through a proxy


def test_fault_25_a_lost_answer_to_a_request_for_work_is_given_again(env: Env) -> None:
    project = env.open()
    with chaos(env.ports[0]) as (proxy,):
        worker = worker_through(env, proxy)
        wait_until(lambda: env.client.workers()[0].state == "connected", "it asks for work")
        proxy.down.cut_after = 1
        count(env, "c", 50)
        wait_until(lambda: all_done(project, "c", 1), "it is done")
        assert proxy.cuts == 1
        assert "(1)" not in worker.said
        records = project.trace("c.out.result").attempts
        assert [(one.number, one.outcome) for one in records] == [(1, "completed")]
        closed(env)


def test_fault_27_an_upload_cut_again_and_again_goes_on_where_it_was(env: Env) -> None:
    project = env.open()
    size = 8 * CHUNK_SIZE + 17
    project.define(env.write("shift.toml", SHIFT_TOML))
    with project.transaction():
        project.add("s", "bytes.shift", active=True)
        project.set("s.in.source", env.write("source", random.Random(5).randbytes(size)))
    with chaos(env.ports[0]) as (proxy,):
        proxy.up.cut_after = 3 * CHUNK_SIZE + 100
        proxy.up.cut_next = [CHUNK_SIZE + 7] * 3
        worker_through(env, proxy)
        proxy.wait_for(lambda: proxy.up.held, "it was cut three times", 60)
        assert states(project, "s") == ["running"]
        assert project.value("s.out.result").value is None
        proxy.heal()
        wait_until(lambda: all_done(project, "s", 1), "it is done")
        assert proxy.cuts == 3
        # Each cut may cost what was on its way at once, four chunks; never all that was there.
        assert proxy.up.bytes < size + (proxy.cuts + 1) * 5 * CHUNK_SIZE
        turned = bytes((byte + 1) % 256 for byte in random.Random(5).randbytes(size))
        assert project.get("s.out.result").download(env.root / "got").read_bytes() == turned
        closed(env)


def test_fault_29_a_server_that_moved_is_known_by_its_id_alone(env: Env) -> None:
    project = env.open()
    other = env.root / "other"
    info, stranger = EmbeddedServer.make(other, PASSWORD)
    assert info.server_id != env.client.profile.server_id
    with stranger, chaos(env.ports[0], env.ports[0]) as (old, new):
        worker = worker_through(env, old, new)
        count(env, "one", 20)
        wait_until(lambda: all_done(project, "one", 1), "it is done at the old address")
        old.target = stranger.running.machine_port
        old.cut_all()
        count(env, "two", 20)
        wait_until(lambda: all_done(project, "two", 1), "it is done at the new address")
        assert new.up.bytes > 0
        user = User(stranger, "admin")
        assert user.get("/v1/workers") == []
        user.close()
        assert worker.process.poll() is None
        closed(env)


def test_fault_26_messages_that_come_again_or_late_change_nothing(tmp_path: Path) -> None:
    _, server = EmbeddedServer.make(tmp_path / "s", PASSWORD)
    with server, chaos(server.running.machine_port) as (proxy,):
        admin = User(server, "admin")
        worker = ScriptedWorker(server, admin, tmp_path / "w")
        worker.at(_Moved(server, proxy))
        admin.call("POST", "/v1/projects", {"name": "p"})
        admin.edit("p", define(echo_function()), add("a"), set_input("a.in.text", "x"))
        proxy.up.record = True
        (job,) = worker.lease(request="the same")
        assert [again.attempt for again in worker.lease(request="the same")] == [job.attempt]
        key, state = job.spec.checkpoint_key, worker.upload(b"state 2")
        files = (StoredFile("state.cpt", state, 7),)
        newer, older = (CheckpointRequest(job.attempt, n, key, files, n) for n in (5, 4))
        worker.ask("checkpoint", newer, None)
        worker.refused(409, "checkpoint", older)
        result = ResultRequest(job.attempt, 9, "completed", {"said": "x"})
        assert worker.ask("result", result, ResultReply).verdict == "accepted"
        journal = admin.get("/v1/projects/p/journal")
        for _ in range(3):
            worker.at(_Moved(server, proxy))
            assert worker.ask("result", result, ResultReply).verdict == "already"
        assert worker.beat(job.attempt).directives[0].action == "discard"
        other = ResultRequest(job.attempt, 10, "completed", {"said": "y"})
        assert worker.ask("result", other, ResultReply).verdict == "superseded"
        recorded = [bytes(data) for data in proxy.up.recorded]
        assert recorded
        for data in recorded:
            proxy.replay(data)
        assert admin.get("/v1/projects/p/journal") == journal
        assert admin.get("/v1/projects/p/value", path="a.out.said")["value"] == "x"
        worker.close()
        admin.close()


class _Moved:
    """A server as it is seen through a proxy."""

    def __init__(self, server: EmbeddedServer, proxy: ChaosProxy) -> None:
        self.machine_url = f"https://127.0.0.1:{proxy.port}"
        self.folder = server.folder


def test_fault_31_hundreds_that_come_back_at_once_are_answered(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    EmbeddedServer.make(folder, PASSWORD)
    with EmbeddedServer(folder) as server:
        admin = User(server, "admin")
        worker = ScriptedWorker(server, admin, tmp_path / "w")
        admin.close()
    answered: list[int] = []
    problems: list[Exception] = []

    def come_back(context: ssl.SSLContext, url: str) -> None:
        try:
            with httpx2.Client(verify=context, timeout=60, trust_env=False) as client:
                for _ in range(10):
                    reply = client.post(f"{url}/v1/work/heartbeat", content=BEAT)
                    answered.append(reply.status_code)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is counted
            problems.append(error)

    with EmbeddedServer(folder) as server:
        threads = [
            threading.Thread(target=come_back, args=(worker._context, server.machine_url))
            for _ in range(200)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert answered == [200] * 2000
    worker.close()
