"""Identities that were stolen, revoked, forged or are over; and the ways to guess or abuse one."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import socket
import sqlite3
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import httpx2
import msgspec
import pytest

import copernicus
from copernicus.blobs import CHUNK_SIZE
from copernicus.protocol import JoinRequest, LeaseRequest, RenewRequest, ResultRequest, WorkerFacts
from copernicus.security.certificates import tls_name
from copernicus.security.identity import Authority, make_key_and_csr
from copernicus.security.renewal import make_challenge, sign_renewal
from copernicus.security.tls import client_context
from copernicus.server.clock import wall
from copernicus.server.embedded import EmbeddedServer
from copernicus.store.store import Store
from support.server_client import (
    PASSWORD,
    ScriptedWorker,
    User,
    add,
    ca_of,
    define,
    echo_function,
    set_input,
)
from support.tls_servers import connected, save_pair

SOURCE = Path(copernicus.__file__).parent


def project_with_work(admin: User, name: str, jobs: int = 1) -> str:
    admin.call("POST", "/v1/projects", {"name": name})
    edits = [define(echo_function())]
    for n in range(jobs):
        edits += [add(f"i{n}"), set_input(f"i{n}.in.text", "x")]
    admin.edit(name, *edits)
    return f"/v1/projects/{name}"


# --- 37: what a worker does not hold ------------------------------------------------------------


def test_fault_37_guessed_attempts_are_refused_and_audited(server, admin, worker, tmp_path):
    project_with_work(admin, "guessed")
    (job,) = worker.lease()
    thief = ScriptedWorker(server, admin, tmp_path, "thief")
    guesses = [job.attempt, f"{job.job}#2", f"{job.job}#0", f"{job.job}#-1", "p.a1#1", "", "#"]
    for guess in [*guesses, job.job, f"{job.attempt}x", "../" + job.attempt, "\x00"]:
        reply = thief.send("result", ResultRequest(guess, 1, "completed", {"said": "forged"}))
        assert reply.status_code == 403, guess
    found = admin.get("/v1/audit", actor=thief.id, action="attempt.result", outcome="refused")
    assert len(found) == len(guesses) + 4
    assert found[-1]["object"] == job.attempt
    (shown,) = [one for one in admin.get("/v1/workers") if one["id"] == thief.id]
    assert shown["state"] == "quarantined"
    assert "never given to it, 3 times" in shown["why"]
    assert worker.complete(job, {"said": "mine"}) == "accepted"
    value = admin.get("/v1/projects/guessed/value", path="i0.out.said")
    assert value["value"] == "mine"
    thief.close()


# --- 39: a stolen bundle ------------------------------------------------------------------------


def test_fault_39_a_stolen_bundle_is_bound_to_its_pool_and_seen_in_the_audit_log(server, admin):
    bundle = admin.call("POST", "/v1/bundles", {"pool": "cluster", "uses": 2, "days": 1})
    token = bundle["join_token"].partition(".")[0].removeprefix("jt_")
    anyone = User(server)
    _, csr = make_key_and_csr()
    facts = WorkerFacts("host-of-a-thief")
    request = JoinRequest(bundle["join_token"], csr, facts)
    inside = anyone.call("POST", "/v1/join", request)["worker_id"]
    shown = next(one for one in admin.get("/v1/workers") if one["id"] == inside)
    assert (shown["pool"], shown["host"]) == ("cluster", "host-of-a-thief")
    joined = admin.get("/v1/audit", action="worker.join", about=token)
    assert "host-of-a-thief" in joined[0]["object"]
    admin.call("DELETE", f"/v1/join-tokens/{token}?workers=true")
    assert anyone.send("POST", "/v1/join", request).status_code == 401
    refused = admin.get("/v1/audit", action="worker.join", about=token, outcome="refused")
    assert len(refused) == 1
    states = {one["id"]: one["state"] for one in admin.get("/v1/workers")}
    assert states[inside] == "revoked"
    anyone.close()


# --- 40: revoked while connected ----------------------------------------------------------------


def test_fault_40_an_upload_is_cut_when_its_worker_is_revoked(server, admin, worker):
    """The body stalls and its time is not over: only the revocation can end the connection."""
    path = f"/v1/work/chunks/{'0' * 64}"
    head = f"PUT {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {CHUNK_SIZE}\r\n\r\n"
    name = tls_name(server.running.server_id)
    with (
        connected(server.running.machine_port, worker._context, name) as uploading,
        connected(server.running.machine_port, worker._context, name) as idle,
    ):
        uploading.sendall(head.encode() + b"x" * 1000)
        idle.sendall(b"GET /v1/work/blobs/00 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle.recv(4096).startswith(b"HTTP/1.1 404")
        admin.call("DELETE", f"/v1/workers/{worker.id}")
        assert rest_of(uploading) == b""
        assert b"HTTP/1.1" not in rest_of(idle)


def rest_of(connection: ssl.SSLSocket) -> bytes:
    """What comes until the connection is cut; fails if it never is."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            said += piece
    return said


def test_fault_40_a_worker_that_waits_for_work_is_cut(server, admin, worker):
    answered: list[object] = []

    def wait() -> None:
        try:
            answered.append(worker.send("lease", LeaseRequest("r", worker.offer(), 60.0)))
        except httpx2.TransportError as error:
            answered.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    shown = lambda: next(w for w in admin.get("/v1/workers") if w["id"] == worker.id)  # noqa: E731
    while shown()["state"] != "connected" or not shown().get("cores"):
        pass
    admin.call("DELETE", f"/v1/workers/{worker.id}")
    waiting.join(30)
    assert answered, "it still waits"
    if isinstance(answered[0], httpx2.Response):
        assert msgspec.msgpack.decode(answered[0].content)["assignments"] == []
    refused = worker.refused(401, "lease", LeaseRequest("r2", worker.offer(), 0.0))
    assert "revoked" in refused["message"]


def test_fault_40_a_download_of_a_user_who_was_removed_is_cut(server, admin):
    admin.call("POST", "/v1/users", {"name": "leech", "password": PASSWORD})
    project_with_work(admin, "big")
    stored = admin.upload("big", b"x" * CHUNK_SIZE)
    chunk = {"sha256": stored["$file"], "size": CHUNK_SIZE}
    whole = hashlib.sha256(b"x" * CHUNK_SIZE * 64).hexdigest()
    manifest = {"sha256": whole, "size": 64 * CHUNK_SIZE, "chunks": [chunk] * 64}
    admin.call("POST", "/v1/projects/big/blobs", manifest)
    file = {"$file": whole, "size": 64 * CHUNK_SIZE, "name": "big"}
    admin.edit("big", set_input("i0.in.data", file))
    admin.call("PUT", "/v1/projects/big/members", {"user": "leech", "role": "viewer"})
    leech = User(server, "leech")
    head = (
        f"GET /v1/projects/big/blobs/{whole} HTTP/1.1\r\nHost: localhost\r\n"
        f"Authorization: Bearer {leech.token}\r\n\r\n"
    )
    name = tls_name(server.running.server_id)
    with connected(server.running.user_port, client_context(ca_of(server)), name) as tls:
        tls.sendall(head.encode())
        assert tls.recv(4096).startswith(b"HTTP/1.1 200")
        admin.call("DELETE", "/v1/projects/big/members/leech")
        assert len(rest_of(tls)) < 63 * CHUNK_SIZE
    leech.close()


# --- 41: certificates that are over, and the way back -------------------------------------------


@pytest.mark.parametrize("days", [1.5, 60, 89])
def test_fault_41_a_laptop_that_was_away_comes_back_by_its_key(server, admin, worker, days):
    """A certificate that ended long ago is refused by TLS, but renewed on the user port."""
    authority = Authority.load(server.folder / "identity")
    key, csr = make_key_and_csr()
    then = wall() - timedelta(days=days)
    old = authority.issue_worker(csr, worker.id, timedelta(days=1), then)
    cert_file, key_file = save_pair(server.folder, f"old-{days}", old, key)
    context = client_context(ca_of(server), cert_file=cert_file, key_file=key_file)
    with (
        httpx2.Client(base_url=server.machine_url, verify=context, trust_env=False) as expired,
        pytest.raises(httpx2.TransportError),
    ):
        expired.post("/v1/work/lease", content=b"")
    new_key, new_csr = make_key_and_csr()
    challenge = make_challenge(server.running.server_id, worker.id, wall())
    request = RenewRequest(old, new_csr, challenge, sign_renewal(key, challenge, new_csr))
    anyone = User(server)
    granted = anyone.call("POST", "/v1/renew", request)
    assert granted["worker_id"] == worker.id
    pair = save_pair(server.folder, f"new-{days}", granted["certificate"], new_key)
    again = client_context(ca_of(server), cert_file=pair[0], key_file=pair[1])
    with httpx2.Client(base_url=server.machine_url, verify=again, trust_env=False) as back:
        body = msgspec.msgpack.encode(LeaseRequest(f"back-{days}", worker.offer(), 0.0))
        assert back.post("/v1/work/lease", content=body).status_code == 200
    admin.call("DELETE", f"/v1/workers/{worker.id}")
    assert anyone.send("POST", "/v1/renew", request).status_code == 401
    anyone.close()


def test_fault_41_after_90_days_it_joins_anew(server, worker):
    authority = Authority.load(server.folder / "identity")
    key, csr = make_key_and_csr()
    old = authority.issue_worker(csr, worker.id, timedelta(days=1), wall() - timedelta(days=92))
    _, new_csr = make_key_and_csr()
    challenge = make_challenge(server.running.server_id, worker.id, wall())
    request = RenewRequest(old, new_csr, challenge, sign_renewal(key, challenge, new_csr))
    anyone = User(server)
    said = anyone.refused(401, "not_authenticated", "POST", "/v1/renew", request)
    assert "expired" in said
    anyone.close()


# --- 45: the server calls nobody but peers -----------------------------------------------------

CALLERS = {"httpx2", "httpx", "requests", "aiohttp", "http.client", "urllib.request", "ftplib"}
CALLERS |= {"copernicus.calling.link", "copernicus.calling.transfer"}


# One asks who is at an address that an administrator named; the other has found out.
RELAY = {"joining.py": {"httpx2"}, "way.py": {"copernicus.calling.link"}}
RELAY["way.py"].add("copernicus.calling.transfer")


def test_fault_45_nothing_in_the_server_can_call_an_address():
    """Save two files of the relay: they call peers that an administrator named or said yes to.

    What these send, and to whom, is shown with canaries in ``test_faults_peer_addresses.py``.
    """
    parts = ("server", "engine", "store", "blobs", "scheduling", "evaluator", "security")
    relay = SOURCE / "server" / "relay"
    for path in (file for part in parts for file in (SOURCE / part).rglob("*.py")):
        may = RELAY.get(path.name, set()) if path.parent == relay else set()
        tree = ast.parse(path.read_text("utf-8"))
        names: set[str] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            if isinstance(node, ast.ImportFrom) and node.module:
                names.update((node.module, *(f"{node.module}.{one.name}" for one in node.names)))
        assert CALLERS & names == may, f"{path} imports {CALLERS & names}"
        assert not may or "follow_redirects" not in path.read_text("utf-8")


def test_fault_45_an_address_in_any_text_is_only_a_text(admin, worker):
    with socket.create_server(("127.0.0.1", 0)) as canary:
        canary.settimeout(1.0)
        url = f"http://127.0.0.1:{canary.getsockname()[1]}/secret"
        project = admin.call("POST", "/v1/projects", {"name": "ssrf"})["id"]
        spec = echo_function()
        admin.edit("ssrf", define(msgspec.structs.replace(spec, doc=url)), add("one"))
        admin.edit("ssrf", set_input("one.in.text", url))
        admin.send("POST", "/v1/projects/ssrf/edits", {"edits": [], "note": url})
        admin.send("POST", "/v1/loads", {"sha256": url, "name": url})
        admin.send("GET", "/v1/projects/ssrf", headers={"X-Forwarded-Host": url, "Referer": url})
        job = next(job for job in worker.lease() if job.job.startswith(project))
        assert worker.complete(job, {"said": url}) == "accepted"
        with pytest.raises(TimeoutError):
            canary.accept()


# --- 48: browsers -------------------------------------------------------------------------------


def test_fault_48_a_page_elsewhere_can_do_nothing_with_the_ports(server, admin):
    evil = {"Origin": "https://evil.example", "Host": "evil.example"}
    for method, path in (("GET", "/v1/projects"), ("POST", "/v1/projects"), ("GET", "/v1/health")):
        reply = admin.send(method, path, {"name": "x"} if method == "POST" else None, headers=evil)
        if path != "/v1/health":
            assert reply.status_code == 403
            assert "evil.example" in reply.json()["message"]
        names = {name.lower() for name in reply.headers}
        assert not {name for name in names if name.startswith("access-control-")}
        assert "set-cookie" not in names
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"
    anyone = User(server)
    cookies = {"Cookie": f"token={admin.token}; session={admin.token}"}
    assert anyone.send("GET", "/v1/projects", headers=cookies).status_code == 401
    assert anyone.send("GET", f"/v1/projects?token={admin.token}").status_code == 401
    preflight = {**evil, "Access-Control-Request-Method": "POST"}
    reply = anyone.send("OPTIONS", "/v1/projects", headers=preflight)
    assert "access-control-allow-origin" not in {name.lower() for name in reply.headers}
    anyone.close()


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:{port}", None, 200),
        ("localhost:{port}", None, 200),
        ("LOCALHOST", None, 200),
        ("[::1]:{port}", None, 200),
        ("{id}.cpc.internal", None, 200),
        ("localhost:{port}", "https://localhost:{port}", 200),
        ("evil.example", None, 403),
        ("localhost.evil.example:{port}", None, 403),
        ("127.0.0.1.evil.example", None, 403),
        ("localhost:evil.example", None, 403),
        ("localhost:{port}", "https://evil.example", 403),
        ("localhost:{port}", "http://localhost:{port}", 403),
        ("127.0.0.1:{port}", "https://6.6.6.6", 403),
        ("localhost:{port}", "null", 403),
    ],
)
def test_fault_48_a_server_answers_to_its_own_names_and_to_its_own_pages(
    server, admin, host, origin, status
):
    told = {"id": server.running.server_id, "port": server.running.user_port}
    headers = {"Host": host.format(**told)}
    if origin is not None:
        headers["Origin"] = origin.format(**told)
    assert admin.send("GET", "/v1/projects", headers=headers).status_code == status


def test_fault_48_a_file_of_a_job_is_never_shown_as_a_page(admin):
    project_with_work(admin, "pages")
    page = admin.upload("pages", b"<script>alert(1)</script>", "index.html")
    admin.edit("pages", set_input("i0.in.data", page))
    path = f"/v1/projects/pages/blobs/{page['$file']}"
    reply = admin.send("GET", path, params={"name": 'a"; filename=b.html\r\nX: y'})
    assert reply.headers["content-type"].startswith("application/octet-stream")
    assert reply.headers["content-disposition"].startswith("attachment;")
    assert reply.headers["content-security-policy"] == "sandbox"
    assert "\n" not in reply.headers["content-disposition"]
    assert "x" not in {name.lower() for name in reply.headers}
    named = admin.send("GET", path, params={"name": "über uns.html"})
    assert named.headers["content-disposition"] == (
        "attachment; filename*=UTF-8''%C3%BCber%20uns.html"
    )


# --- 49: guessing -------------------------------------------------------------------------------


def test_fault_49_a_flood_of_guesses_is_paused_and_leaves_few_entries(server, admin):
    admin.call("POST", "/v1/users", {"name": "victim", "password": PASSWORD})
    anyone = User(server)
    before = len(admin.get("/v1/audit", actor="victim", count=1000))
    said = []
    for n in range(60):
        body = {"user": "victim", "password": f"guess {n}"}
        said.append(anyone.refused(401, "not_authenticated", "POST", "/v1/login", body))
    wrong = [text for text in said if "wait" not in text]
    assert len(wrong) == 5
    assert len(admin.get("/v1/audit", actor="victim", count=1000)) - before == len(wrong)
    assert admin.get("/v1/me")["name"] == "admin"
    anyone.close()


# --- the audit log itself -----------------------------------------------------------------------


def test_the_chain_of_the_audit_log_shows_what_was_changed_and_what_was_cut_off(tmp_path):
    _, made = EmbeddedServer.make(tmp_path / "s", PASSWORD)
    with made as running:
        admin = User(running, "admin")
        for n in range(5):
            admin.call("POST", "/v1/projects", {"name": f"p{n}"})
        whole = admin.get("/v1/audit/chain")
        assert whole["broken"] is None
        noted = admin.get("/v1/audit/chain", number=3)["noted"]
        admin.close()
    with Store.open(tmp_path / "s") as store:
        file = next(path for path in (tmp_path / "s").iterdir() if path.suffix == ".db")
        assert store.check_audit(3).noted == noted
    with sqlite3.connect(file) as database:
        database.execute("UPDATE audit SET actor = 'somebody else' WHERE number = 3")
    with Store.open(tmp_path / "s") as store:
        assert store.check_audit().broken == 4
        assert store.check_audit(3).noted != noted
    with sqlite3.connect(file) as database:
        database.execute("DELETE FROM audit WHERE number >= 3")
    with Store.open(tmp_path / "s") as store:
        # By itself the rest looks whole: that is what the number and hash kept elsewhere are for.
        assert store.check_audit().broken is None
        assert store.check_audit().entries < whole["entries"]
