"""The user port: logins, users, projects, edits, rights."""

from __future__ import annotations

import pytest

from copernicus.errors import BadSettings
from copernicus.server.embedded import EmbeddedServer
from support.server_client import (
    PASSWORD,
    User,
    add,
    connect,
    define,
    echo_function,
    set_input,
)


def new_user(server, admin, name: str) -> User:
    admin.call("POST", "/v1/users", {"name": name, "password": PASSWORD})
    return User(server, name)


def test_health_needs_no_login(server):
    anyone = User(server)
    health = anyone.get("/v1/health")
    assert health["server_id"] == server.running.server_id
    assert health["ca_pem"].startswith("-----BEGIN CERTIFICATE")
    anyone.close()


def test_no_token_and_wrong_token_are_refused_everywhere(server):
    anyone = User(server)
    for path in ("/v1/me", "/v1/projects", "/v1/workers", "/v1/functions", "/v1/projects/none"):
        anyone.refused(401, "not_authenticated", "GET", path)
    anyone.token = "ut_0123456789abcdef." + "A" * 43
    message = anyone.refused(401, "not_authenticated", "GET", "/v1/me")
    assert "A" * 43 not in message
    anyone.close()


def test_fault_49_wrong_password_and_unknown_user_are_told_alike_and_slowed_down(server, admin):
    anyone = User(server)
    new_user(server, admin, "slow").close()
    said = {
        anyone.refused(
            401, "not_authenticated", "POST", "/v1/login", {"user": name, "password": "wrong one"}
        )
        for name in ("slow", "nobody-such")
    }
    assert said == {"Wrong user name or password."}
    for _ in range(4):
        anyone.send("POST", "/v1/login", {"user": "slow", "password": "wrong one"})
    message = anyone.refused(
        401, "not_authenticated", "POST", "/v1/login", {"user": "slow", "password": PASSWORD}
    )
    assert "wait" in message
    anyone.close()


def test_logout_and_password_change_end_logins(server, admin):
    first, second = new_user(server, admin, "leaver"), User(server, "leaver")
    first.call("POST", "/v1/logout")
    first.refused(401, "not_authenticated", "GET", "/v1/me")
    assert second.get("/v1/me")["name"] == "leaver"
    second.call("PUT", "/v1/me/password", {"password": "another password"})
    second.refused(401, "not_authenticated", "GET", "/v1/me")
    User(server, "leaver", "another password").close()
    first.close()
    second.close()


def test_only_administrators_manage_users_and_one_stays(server, admin):
    user = new_user(server, admin, "plain")
    user.refused(403, "not_allowed", "POST", "/v1/users", {"name": "x", "password": PASSWORD})
    user.refused(403, "not_allowed", "POST", "/v1/bundles", {})
    admin.refused(409, "conflict", "POST", "/v1/users", {"name": "plain", "password": PASSWORD})
    admin.refused(422, "bad_value", "POST", "/v1/users", {"name": "y", "password": "short"})
    assert "last administrator" in admin.refused(409, "conflict", "DELETE", "/v1/users/admin")
    admin.call("DELETE", "/v1/users/plain")
    user.refused(401, "not_authenticated", "GET", "/v1/me")
    user.close()


def test_other_users_projects_are_not_there(server, admin):
    ann, bob = new_user(server, admin, "ann"), new_user(server, admin, "bob")
    project = ann.call("POST", "/v1/projects", {"name": "anns"})
    for name in ("anns", project["id"]):
        root = f"/v1/projects/{name}"
        for path in ("", "/instances", "/jobs", "/journal", "/history", "/events", "/jobs/a1"):
            bob.refused(404, "not_found", "GET", root + path)
        bob.refused(404, "not_found", "POST", f"{root}/edits", {"edits": [add("x")]})
        bob.refused(404, "not_found", "DELETE", root)
        bob.refused(404, "not_found", "PUT", f"{root}/chunks/{'0' * 64}", content=b"x")
        bob.refused(404, "not_found", "GET", f"{root}/blobs/{'0' * 64}")
    assert bob.get("/v1/projects") == []
    assert [p["name"] for p in ann.get("/v1/projects")] == ["anns"]
    bob.refused(409, "conflict", "POST", "/v1/projects", {"name": "anns"})
    ann.close()
    bob.close()


def test_viewers_look_editors_edit_owners_share(server, admin):
    owner, other = new_user(server, admin, "owner"), new_user(server, admin, "other")
    owner.call("POST", "/v1/projects", {"name": "shared"})
    root = "/v1/projects/shared"
    owner.call("PUT", f"{root}/members", {"user": "other", "role": "viewer"})
    assert other.get(root)["revision"] == 0
    edits = {"edits": [define(echo_function())]}
    other.refused(403, "not_allowed", "POST", f"{root}/edits", edits)
    owner.call("PUT", f"{root}/members", {"user": "other", "role": "editor"})
    assert other.call("POST", f"{root}/edits", edits)["revision"] == 1
    other.refused(403, "not_allowed", "PUT", f"{root}/members", {"user": "other", "role": "owner"})
    other.refused(403, "not_allowed", "DELETE", root)
    owner.call("DELETE", f"{root}/members/other")
    other.refused(404, "not_found", "GET", root)
    owner.refused(404, "not_found", "PUT", f"{root}/members", {"user": "nobody", "role": "viewer"})
    owner.close()
    other.close()


def test_edits_are_all_or_nothing(server, admin):
    admin.call("POST", "/v1/projects", {"name": "edits"})
    root = "/v1/projects/edits"
    admin.edit("edits", define(echo_function()), add("one"))
    before = admin.get(root), admin.get(f"{root}/journal")
    wrong = [add("two"), set_input("one.in.text", 3)]
    message = admin.refused(422, "bad_value", "POST", f"{root}/edits", {"edits": wrong})
    assert "str" in message
    admin.refused(
        404,
        "not_found",
        "POST",
        f"{root}/edits",
        {"edits": [connect("no.out.said", "one.in.text")]},
    )
    admin.refused(
        409, "conflict", "POST", f"{root}/edits", {"edits": [add("two")], "expected_revision": 7}
    )
    assert (admin.get(root), admin.get(f"{root}/journal")) == before
    assert [i["path"] for i in admin.get(f"{root}/instances")] == ["one"]


def test_a_file_must_be_uploaded_before_it_is_set(server, admin):
    admin.call("POST", "/v1/projects", {"name": "files"})
    root = "/v1/projects/files"
    admin.edit("files", define(echo_function()), add("one"))
    ghost = {"$file": "0" * 64, "size": 3, "name": "ghost"}
    message = admin.refused(
        422, "bad_value", "POST", f"{root}/edits", {"edits": [set_input("one.in.data", ghost)]}
    )
    assert "upload" in message
    stored = admin.upload("files", b"some bytes", "data.bin")
    admin.refused(404, "not_found", "GET", f"{root}/blobs/{stored['$file']}")
    admin.edit("files", set_input("one.in.data", stored))
    url = f"{root}/blobs/{stored['$file']}"
    whole = admin.send("GET", url)
    assert (whole.content, whole.headers["content-length"]) == (b"some bytes", "10")
    part = admin.send("GET", url, headers={"Range": "bytes=5-"})
    assert (part.status_code, part.content) == (206, b"bytes")
    assert part.headers["content-range"] == "bytes 5-9/10"
    assert admin.send("GET", url, headers={"Range": "bytes=-3"}).content == b"tes"
    admin.refused(422, "bad_value", "GET", url, headers={"Range": "bytes=50-"})
    admin.call("POST", "/v1/projects", {"name": "strange"})
    admin.refused(404, "not_found", "GET", f"/v1/projects/strange/blobs/{stored['$file']}")


def test_requests_that_cannot_be_read_are_told_why(server, admin):
    admin.call("POST", "/v1/projects", {"name": "bad"})
    url = "/v1/projects/bad/edits"
    said = admin.refused(400, "bad_request", "POST", url, {"edits": [{"type": "nonsense"}]})
    assert "edits[0]" in said
    json_type = {"Content-Type": "application/json"}
    for content in (b"{", b"[" * 100_000, b'{"edits": NaN}', b'{"edits": "\xff"}'):
        admin.refused(400, "bad_request", "POST", url, content=content, headers=json_type)
    big = b" " * (17 * 1024 * 1024)
    admin.refused(413, "too_large", "POST", url, content=big, headers=json_type)
    admin.refused(404, "not_found", "GET", "/v1/no/such/route")
    admin.refused(405, "bad_request", "DELETE", "/v1/health")


def test_the_api_describes_itself(server, admin):
    schema = admin.get("/schema/openapi.json")
    assert "/v1/projects/{project}/edits" in schema["paths"]
    names = schema["components"]["schemas"]
    assert any("AddInstance" in name for name in names)


def every_route(admin) -> list[tuple[str, str]]:
    paths = admin.get("/schema/openapi.json")["paths"]
    return [
        (method.upper(), path)
        for path, methods in paths.items()
        for method in methods
        if path.startswith("/v1/")
    ]


def filled(path: str, project: str) -> str:
    others = {
        "{sha256}": "0" * 64,
        "{job}": "a1",
        "{user}": "admin",
        "{name}": "x",
        "{worker}": "w",
    }
    path = path.replace("{project}", project)
    for field, value in others.items():
        path = path.replace(field, value)
    return path


def test_every_route_needs_a_login_but_the_public_ones(server, admin):
    public = {"/v1/health", "/v1/ready", "/v1/login", "/v1/join", "/v1/renew"}
    public |= {"/v1/peers/join", "/v1/peers/moved"}
    anyone = User(server)
    routes = [(m, p) for m, p in every_route(admin) if p not in public]
    assert len(routes) > 30
    for method, path in routes:
        anyone.refused(401, "not_authenticated", method, filled(path, "any"))
    anyone.close()


def test_fault_47_no_route_tells_of_a_project_to_strangers(server, admin):
    admin.call("POST", "/v1/projects", {"name": "secret"})
    stranger = new_user(server, admin, "stranger")
    routes = [(m, p) for m, p in every_route(admin) if "{project}" in p]
    assert len(routes) > 15
    for method, path in routes:
        there = stranger.refused(404, "not_found", method, filled(path, "secret"))
        absent = stranger.refused(404, "not_found", method, filled(path, "absent"))
        assert there.replace("secret", "absent") == absent
    stranger.close()


def test_only_administrators_may_administer(server, admin):
    user = new_user(server, admin, "curious")
    for method, path, body in (
        ("GET", "/v1/users", None),
        ("PUT", "/v1/users/admin/password", {"password": "taken over"}),
        ("DELETE", "/v1/users/admin", None),
        ("POST", "/v1/bundles", {}),
        ("POST", "/v1/workers/w/drain", None),
        ("DELETE", "/v1/workers/w", None),
    ):
        user.refused(403, "not_allowed", method, path, body)
    user.close()


def test_a_new_user_of_an_old_name_inherits_nothing(server, admin):
    first = new_user(server, admin, "gone")
    first.call("POST", "/v1/projects", {"name": "left-behind"})
    admin.call("DELETE", "/v1/users/gone")
    second = new_user(server, admin, "gone")
    second.refused(404, "not_found", "GET", "/v1/projects/left-behind")
    assert admin.get("/v1/projects/left-behind")["owner"] == "gone"
    first.close()
    second.close()


def test_a_port_in_use_is_told_by_name(server, tmp_path):
    settings = {"user_port": server.running.user_port}
    _, second = EmbeddedServer.make(tmp_path / "s", PASSWORD, settings)
    with pytest.raises(BadSettings, match=f"Port {server.running.user_port} .*user_port"):
        second.__enter__()


def test_one_server_per_folder(server):
    with pytest.raises(BadSettings):
        EmbeddedServer(server.folder).__enter__()
