"""Who may do what, tried from outside against a running server with running workers."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import msgspec
import psutil
import pytest

from copernicus.protocol import (
    Beat,
    CheckpointRequest,
    HeartbeatReply,
    HeartbeatRequest,
    LeaseRequest,
    ResultRequest,
)
from copernicus.security.tls import client_context
from copernicus.server.folder import Running
from support.e2e import ADMIN_PASSWORD, Env, element, states, wait_until
from support.e2e_programs import count, programs_file
from support.server_client import ScriptedWorker, User

pytestmark = pytest.mark.e2e


@dataclass
class Scene:
    """A server, a worker at work, and another one that wants what is not its own."""

    env: Env
    running: Running
    job: str
    stranger: ScriptedWorker

    @property
    def ca(self) -> str:
        return (self.env.server / "identity" / "ca.pem").read_text()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    env = Env(tmp_path_factory.mktemp("scene"))
    try:
        project = env.open()
        count(env, "c", 1_000_000)
        env.start_worker("w", "--programs", programs_file(env))
        wait_until(lambda: states(project, "c") == ["running"], "it runs")
        wait_until(lambda: env.checkpoints(), "a checkpoint")
        assert env.ports is not None
        machine, user = env.ports
        running = Running(env.server_process.pid, "", "127.0.0.1", machine, user, 0.0)
        place: Any = SimpleNamespace(
            folder=env.server,
            user_url=f"https://127.0.0.1:{user}",
            machine_url=f"https://127.0.0.1:{machine}",
        )
        admin = User(place, "admin", ADMIN_PASSWORD)
        stranger = ScriptedWorker(place, admin, env.root / "stranger")
        admin.close()
        try:
            yield Scene(env, running, element(project, "c").job, stranger)
        finally:
            stranger.close()
    finally:
        env.close()


def listening(pid: int) -> set[int]:
    server = psutil.Process(pid)
    family = [server, *server.children(recursive=True)]
    return {
        connection.laddr.port
        for process in family
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN or connection.type == socket.SOCK_DGRAM
    }


def test_only_the_two_ports_are_open_and_both_speak_tls_only(scene: Scene) -> None:
    ports = {scene.running.machine_port, scene.running.user_port}
    assert listening(scene.running.pid) == ports
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            plain.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = b""
            try:
                while piece := plain.recv(4096):
                    answer += piece
            except ConnectionResetError:
                pass
        assert b"HTTP" not in answer


def test_workers_listen_nowhere(scene: Scene) -> None:
    for worker in scene.env.workers:
        assert listening(worker.process.pid) == set()


def test_old_tls_is_refused(scene: Scene) -> None:
    for port in (scene.running.machine_port, scene.running.user_port):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with (
            socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
            pytest.raises((ssl.SSLError, ConnectionResetError)),
        ):
            context.wrap_socket(plain)


def test_a_worker_without_an_identity_is_refused(scene: Scene) -> None:
    url = f"https://127.0.0.1:{scene.running.machine_port}"
    with (
        httpx2.Client(base_url=url, verify=client_context(scene.ca), trust_env=False) as nobody,
        pytest.raises(httpx2.TransportError),
    ):
        nobody.post("/v1/work/lease", content=b"")


@pytest.mark.parametrize("token", ["", "st_guessed.0000000000000000"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/projects"),
        ("GET", "/v1/projects/p"),
        ("GET", "/v1/projects/p/instances"),
        ("GET", "/v1/projects/p/journal"),
        ("GET", "/v1/projects/p/events"),
        ("POST", "/v1/projects"),
        ("POST", "/v1/projects/p/edits"),
        ("DELETE", "/v1/projects/p"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/workers"),
        ("GET", "/v1/users"),
        ("POST", "/v1/users"),
        ("POST", "/v1/bundles"),
        ("GET", "/v1/me"),
    ],
)
def test_a_user_without_a_login_is_refused(
    scene: Scene, method: str, path: str, token: str
) -> None:
    url = f"https://127.0.0.1:{scene.running.user_port}"
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with httpx2.Client(base_url=url, verify=client_context(scene.ca), trust_env=False) as nobody:
        reply = nobody.request(method, path, headers=headers)
        assert reply.status_code == 401, reply.text
        assert reply.json()["code"] == "not_authenticated"


def test_the_machine_port_has_nothing_for_users_and_the_other_way_round(scene: Scene) -> None:
    assert scene.stranger.http.get("/v1/projects").status_code == 404
    url = f"https://127.0.0.1:{scene.running.user_port}"
    with httpx2.Client(base_url=url, verify=client_context(scene.ca), trust_env=False) as nobody:
        reply = nobody.post("/v1/work/lease", content=b"")
        assert reply.status_code in (401, 404)


def test_a_worker_gets_nothing_of_another_s_attempt(scene: Scene) -> None:
    env, stranger = scene.env, scene.stranger
    project = env.project()
    attempt = f"{scene.job}#1"
    before = project.journal()
    checkpoint = env.checkpoints()[-1]

    body = HeartbeatRequest((Beat(attempt, 10_000),))
    reply = stranger.ask("heartbeat", body, HeartbeatReply)
    assert [directive.action for directive in reply.directives] == ["discard"]
    forged = CheckpointRequest(attempt, 10_001, checkpoint.key, checkpoint.files, 5e5)
    assert stranger.send("checkpoint", forged).status_code in (403, 409)
    result = ResultRequest(attempt, 10_002, "completed", {"result": 1.0, "began": 0.0})
    refusal = stranger.refused(403, "result", result)
    assert refusal["code"] == "not_allowed"
    for guess in (f"{scene.job}#2", "p0.a1#1", "nonsense"):
        forged_result = ResultRequest(guess, 1, "completed", {})
        assert stranger.send("result", forged_result).status_code in (403, 404)
    for file in checkpoint.files:
        answer = stranger.http.get(f"/v1/work/blobs/{file.sha256}")
        assert answer.status_code == 404

    assert project.journal() == before
    assert states(project, "c") == ["running"]
    assert project.job(scene.job).attempts == 1
    assert all(ref.step != 5e5 for ref in env.checkpoints())


def test_a_worker_cannot_ask_with_another_s_name(scene: Scene) -> None:
    """Who asks is who the certificate names; there is no field to lie in."""
    lease = LeaseRequest("r1", scene.stranger.offer(program="count"), 0.0)
    reply = scene.stranger.send("lease", lease)
    assert reply.status_code == 200
    assert not msgspec.msgpack.decode(reply.content)["assignments"]


def test_secrets_are_in_no_log_and_no_listing(scene: Scene) -> None:
    env = scene.env
    profile = env.client.profile
    join_token = next(
        line.partition('"')[2].rstrip('"')
        for line in env.bundle.read_text().split("\n")
        if line.startswith("join_token")
    )
    logs = [env.server / "server.log", *(worker.output for worker in env.workers)]
    for secret in (ADMIN_PASSWORD, profile.token, join_token.rpartition(".")[2]):
        assert len(secret) > 10
        for log in logs:
            assert secret not in log.read_text()
        for process in [psutil.Process(scene.running.pid), *psutil.Process().children(True)]:
            try:
                assert secret not in " ".join(process.cmdline())
            except psutil.NoSuchProcess:
                continue
    for path in private_files(env):
        assert path.stat().st_mode & 0o077 == 0, path


def private_files(env: Env) -> list[Path]:
    named = [env.bundle, env.config / "profiles.json", env.server]
    keys = [*env.server.rglob("*.key"), *env.root.glob("w/**/*.pem"), *env.root.glob("w/**/*.key")]
    assert keys
    return named + keys
