"""Every route for everybody: generated from the two applications, so no route can be forgotten.

A cell of the matrix is a route and a caller. Outside projects the answer follows from the tables of
``security.policy``; in a project that is not theirs, callers are told that there is none.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from copernicus.protocol import JoinRequest, RenewRequest, WorkerFacts
from copernicus.protocol.peers import PeerJoin, PeerMoved
from copernicus.security.identity import Authority, create_authority, make_key_and_csr
from copernicus.security.peering import prove, read_invitation, where
from copernicus.security.renewal import make_challenge, sign_renewal
from copernicus.server.clock import wall
from copernicus.server.embedded import EmbeddedServer
from support.everybody import CALLERS, Route, World, running_world
from support.server_client import (
    PASSWORD,
    ScriptedWorker,
    User,
    add,
    define,
    echo_function,
    set_input,
)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[World]:
    with running_world(tmp_path_factory.mktemp("server")) as made:
        yield made


def status(user: User, route: Route) -> tuple[int, str]:
    """The answer; once more where the server has just closed a connection that was kept idle."""
    try:
        return _status(user, route)
    except httpx2.RemoteProtocolError:
        return _status(user, route)


def _status(user: User, route: Route) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {user.token}"} if user.token else {}
    body = {}
    if route.method in ("POST", "PUT"):
        body = {"content": b"{}"}
        headers["Content-Type"] = "application/json"
    with user.http.stream(route.method, route.url, headers=headers, **body) as reply:
        refused = reply.status_code >= 400
        return reply.status_code, reply.read().decode() if refused else ""


def test_fault_47_every_route_answers_everybody_as_the_policy_says(world):
    routes = world.routes["user"]
    assert len(routes) > 60
    assert sum(route.in_project for route in routes) > 25
    wrong, cells = [], 0
    for route in routes:
        for caller in CALLERS:
            cells += 1
            wanted = caller.expected(route)
            found, said = status(world.users[caller.name], route)
            if wanted == 200 and (route.method == "DELETE" or "logout" in route.path):
                world.mend()
            let_in = found not in (401, 403) and not (found == 404 and "no project" in said)
            if (let_in and wanted != 200) or (not let_in and found != wanted) or found >= 500:
                wrong.append(f"{caller.name}: {route.method} {route.path}: {found} {said[:200]}")
    assert not wrong, "\n".join(wrong)
    assert cells == len(routes) * len(CALLERS)


def test_fault_47_names_of_others_projects_are_in_no_answer(world):
    """Lists, searches and refusals: the stranger never reads what the project holds."""
    secret = "canary-in-the-project"
    world.admin.call("POST", "/v1/projects", {"name": secret})
    world.admin.edit(secret, define(echo_function()), add("hidden_instance"))
    stranger = world.users["stranger"]
    for route in world.routes["user"]:
        if route.in_project or route.method != "GET" or "schema" in route.path:
            continue
        reply = stranger.send("GET", route.url)
        assert secret not in reply.text
        assert "hidden_instance" not in reply.text


def test_every_route_of_the_machine_port_is_closed_to_a_revoked_worker(world, tmp_path):
    worker = ScriptedWorker(world.server, world.admin, tmp_path)
    routes = world.routes["machine"]
    assert len(routes) > 10

    def ask(route: Route) -> int:
        body = b"" if route.method == "GET" else b"\x80"
        return worker.http.request(route.method, route.url, content=body).status_code

    before = {route: ask(route) for route in routes}
    assert not {found for found in before.values() if found in (401, 403) or found >= 500}
    world.admin.call("DELETE", f"/v1/workers/{worker.id}")
    worker.at(world.server)
    for route in routes:
        with contextlib.suppress(httpx2.TransportError):
            assert ask(route) == 401, route
    worker.close()


# --- the audit log ------------------------------------------------------------------------------

SILENT = {
    "/v1/projects/{project}/preview": "it is tried out on a copy",
    **{
        f"{where}{what}": "only bytes that nothing names yet"
        for where in ("/v1/projects/{project}", "/v1/loads")
        for what in ("/blobs/missing", "/blobs/small", "/chunks/{sha256}", "/blobs")
    },
}
"""Routes that are no GET and leave no entry, with the reason."""


class Changes:
    """Makes every change that there is a route for, once, and looks for its entry each time."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder, self.admin = world, folder, world.admin
        self.heard: dict[tuple[str, str], str] = {}

    def make(self, who: User, method: str, template: str, body: object = None, **fields: str):
        before = self.admin.get("/v1/audit/chain")["entries"]
        reply = who.call(method, template.format(**fields), body)
        after = self.admin.get("/v1/audit/chain")["entries"]
        assert after > before, f"{method} {template} left no entry"
        newest = self.admin.get("/v1/audit", count=1)[0]
        self.heard[method, template] = newest["action"]
        return reply

    def of_accounts(self) -> None:
        make, admin = self.make, self.admin
        make(admin, "POST", "/v1/users", {"name": "zoe", "password": PASSWORD})
        make(admin, "PUT", "/v1/users/{name}/password", {"password": PASSWORD}, name="zoe")
        make(admin, "PUT", "/v1/users/{name}/admin", {"admin": False}, name="zoe")
        zoe = User(self.world.server)
        login = {"user": "zoe", "password": PASSWORD}
        zoe.token = make(zoe, "POST", "/v1/login", login)["token"]
        for mine in (True, False):
            token = make(zoe, "POST", "/v1/me/tokens", {})["view"]["id"]
            if mine:
                make(zoe, "DELETE", "/v1/me/tokens/{token}", token=token)
            else:
                path = "/v1/users/{name}/tokens/{token}"
                make(admin, "DELETE", path, name="zoe", token=token)
        make(zoe, "PUT", "/v1/me/password", {"password": PASSWORD})
        zoe.token = ""
        zoe.token = make(zoe, "POST", "/v1/login", login)["token"]
        make(zoe, "POST", "/v1/logout")
        make(admin, "DELETE", "/v1/users/{name}", name="zoe")
        zoe.close()

    def of_workers(self) -> None:
        make, admin = self.make, self.admin
        anyone = User(self.world.server)
        bundle = make(admin, "POST", "/v1/bundles", {"uses": 1})
        key, csr = make_key_and_csr()
        request = JoinRequest(bundle["join_token"], csr, WorkerFacts("h"))
        granted = make(anyone, "POST", "/v1/join", request)
        challenge = make_challenge(granted["server_id"], granted["worker_id"], wall())
        _, again = make_key_and_csr()
        signature = sign_renewal(key, challenge, again)
        renewal = RenewRequest(granted["certificate"], again, challenge, signature)
        make(anyone, "POST", "/v1/renew", renewal)
        worker, token = granted["worker_id"], bundle["join_token"][3:19]
        make(admin, "DELETE", "/v1/join-tokens/{token}", token=token)
        make(admin, "POST", "/v1/workers/{worker}/drain", worker=worker)
        make(admin, "POST", "/v1/workers/{worker}/resume", worker=worker)
        make(admin, "DELETE", "/v1/workers/{worker}", worker=worker)
        anyone.close()

    def of_peers(self) -> None:
        make, admin, here = self.make, self.admin, self.world.server
        token = make(admin, "POST", "/v1/peers/invitations", {})["token"]
        folder = self.folder / "stranger"
        create_authority(folder, ["localhost"], wall())
        authority = Authority.load(folder)
        _, csr = make_key_and_csr()
        challenge, signature = prove(authority, here.running.server_id, csr, wall())
        _, secret = read_invitation(token)
        join = PeerJoin(authority.ca_pem, csr, challenge, signature, secret)
        anyone = User(here)
        assert make(anyone, "POST", "/v1/peers/join", join)["certificate"]
        urls = ("https://localhost:14807",)
        proof = prove(authority, here.running.server_id, where(urls, ()), wall())
        make(anyone, "POST", "/v1/peers/moved", PeerMoved(authority.ca_pem, *proof, urls, ()))
        anyone.close()
        _, other = EmbeddedServer.make(self.folder / "other", PASSWORD)
        with other:
            theirs = User(other, "admin")
            theirs.call("POST", "/v1/peers", {"url": here.user_url})
            found = theirs.call("POST", "/v1/peers/invitations", {})
            peer = other.running.server_id
            make(admin, "POST", "/v1/peers", {"url": other.user_url, "token": found["token"]})
            make(admin, "POST", "/v1/peers/{peer}/trust", peer=peer)
            make(admin, "PUT", "/v1/peers/{peer}", {"priority": 2, "cores": 4}, peer=peer)
            make(admin, "POST", "/v1/peers/{peer}/suspend", peer=peer)
            make(admin, "POST", "/v1/peers/{peer}/resume", peer=peer)
            make(admin, "DELETE", "/v1/peers/{peer}", peer=peer)
            theirs.close()

    def of_projects(self) -> None:
        make, admin, root = self.make, self.admin, "/v1/projects/{project}"
        make(admin, "POST", "/v1/projects", {"name": "audited"})
        edits = [define(echo_function()), add("one"), set_input("one.in.text", "x")]
        make(admin, "POST", f"{root}/edits", {"edits": edits}, project="audited")
        worker = ScriptedWorker(self.world.server, admin, self.folder)
        for job in worker.lease():
            worker.complete(job, {"said": "x"})
        worker.close()
        wanted = {"path": "one.out.said"}
        make(admin, "POST", f"{root}/reproductions", wanted, project="audited")
        make(admin, "PUT", f"{root}/share", {"weight": 2.0}, project="audited")
        make(admin, "PUT", f"{root}/verification", {"fraction": 0.5}, project="audited")
        make(admin, "PUT", "/v1/pools/{pool}", {"projects": []}, pool="default")
        member = {"user": "viewer", "role": "viewer"}
        make(admin, "PUT", f"{root}/members", member, project="audited")
        make(admin, "DELETE", f"{root}/members/{{user}}", project="audited", user="viewer")
        saved = admin.send("GET", "/v1/projects/audited/saved").content
        digest = hashlib.sha256(saved).hexdigest()
        admin.call("PUT", f"/v1/loads/chunks/{digest}", content=saved)
        chunk = {"sha256": digest, "size": len(saved)}
        admin.call("POST", "/v1/loads/blobs", {**chunk, "chunks": [chunk]})
        make(admin, "POST", "/v1/loads", {"sha256": digest, "name": "audited-2"})
        make(admin, "DELETE", root, project="audited")


def test_every_change_is_in_the_audit_log(world, tmp_path):
    changes = Changes(world, tmp_path)
    changes.of_accounts()
    changes.of_workers()
    changes.of_peers()
    changes.of_projects()
    routes = [route for route in world.routes["user"] if route.method != "GET"]
    assert {route.path for route in routes} >= set(SILENT), "a route of that list is gone"
    tried = {(route.method, route.path) for route in routes} & set(changes.heard)
    assert tried == set(changes.heard)
    for route in routes:
        if (route.method, route.path) not in tried and route.path not in SILENT:
            # New ones need not be tried here at once, but they must write their entry.
            assert "audit(" in route.source, f"{route.method} {route.path} leaves no audit entry"
    assert world.admin.get("/v1/audit/chain")["broken"] is None
