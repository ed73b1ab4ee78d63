"""Tokens for programs, join tokens of bundles, and what takes them away."""

from __future__ import annotations

import msgspec
import pytest

from copernicus.protocol import JoinRequest, ResultRequest, WorkerFacts
from copernicus.security.identity import make_key_and_csr
from copernicus.server.embedded import EmbeddedServer
from support.server_client import (
    PASSWORD,
    ScriptedWorker,
    User,
    add,
    define,
    echo_function,
    set_input,
    to_the_end,
)


@pytest.fixture
def people(server, admin):
    """Makes users, and closes their connections at the end."""
    made: list[User] = []

    def new(name: str, **more) -> User:
        admin.call("POST", "/v1/users", {"name": name, "password": PASSWORD, **more})
        made.append(User(server, name))
        return made[-1]

    def with_token(owner: User, **wanted) -> User:
        user = User(server)
        user.token = owner.call("POST", "/v1/me/tokens", wanted)["token"]
        made.append(user)
        return user

    new.with_token = with_token
    yield new
    for user in made:
        user.close()


def join(anyone: User, token: str, host: str = "node"):
    _, csr = make_key_and_csr()
    return anyone.send("POST", "/v1/join", JoinRequest(token, csr, WorkerFacts(host)))


# --- tokens of users ----------------------------------------------------------------------------


def test_a_token_may_do_what_its_scope_says_and_no_more(people):
    ann = people("ann")
    ann.call("POST", "/v1/projects", {"name": "a"})
    edits = {"edits": [define(echo_function())]}
    reader, editor, all_but_account = (
        people.with_token(ann, name=scope, scope=scope) for scope in ("read", "edit", "all")
    )

    assert reader.get("/v1/projects/a")["revision"] == 0
    said = reader.refused(403, "not_allowed", "POST", "/v1/projects/a/edits", edits)
    assert "scope is read" in said
    assert "cpc user token create" in said
    reader.refused(403, "not_allowed", "POST", "/v1/projects", {"name": "b"})
    assert editor.call("POST", "/v1/projects/a/edits", edits)["revision"] == 1
    editor.refused(403, "not_allowed", "DELETE", "/v1/projects/a")
    for token in (reader, editor, all_but_account):
        token.refused(403, "not_allowed", "PUT", "/v1/me/password", {"password": "stolen it"})
        token.refused(403, "not_allowed", "POST", "/v1/me/tokens", {"scope": "all"})
        token.refused(403, "not_allowed", "GET", "/v1/me/tokens")
    assert all_but_account.send("DELETE", "/v1/projects/a").status_code == 204


def test_a_token_of_an_administrator_is_bound_by_its_scope(people):
    boss = people("boss", admin=True)
    reader = people.with_token(boss, scope="read")
    reader.refused(403, "not_allowed", "GET", "/v1/users")
    reader.refused(403, "not_allowed", "POST", "/v1/bundles", {})
    assert people.with_token(boss, scope="all").get("/v1/users")


def test_a_token_for_one_project_is_good_there_alone(people, admin):
    bob = people("bob")
    for name in ("mine", "other"):
        bob.call("POST", "/v1/projects", {"name": name})
    token = people.with_token(bob, scope="all", project="mine")
    assert token.get("/v1/projects/mine")["name"] == "mine"
    token.refused(404, "not_found", "GET", "/v1/projects/other")
    assert [p["name"] for p in token.get("/v1/projects")] == ["mine"]
    assert token.get("/v1/jobs") == []
    token.refused(403, "not_allowed", "POST", "/v1/projects", {"name": "third"})
    admin.refused(404, "not_found", "POST", "/v1/me/tokens", {"project": "nosuch"})
    # An administrator sees all projects, but not with a token for one of them.
    narrow = people.with_token(admin, scope="all", project="mine")
    narrow.refused(404, "not_found", "GET", "/v1/projects/other")
    narrow.refused(403, "not_allowed", "GET", "/v1/users")


def test_tokens_are_listed_without_themselves_and_ended_by_id(people, admin):
    eve = people("eve")
    token = people.with_token(eve, name="nightly", scope="read", days=2)
    listed = eve.get("/v1/me/tokens")
    assert [(one["scope"], one.get("name", "")) for one in listed] == [
        ("login", ""),
        ("read", "nightly"),
    ]
    assert listed[0]["current"]
    assert 1.9 * 86400 < listed[1]["expires"] - listed[1]["created"] < 2.1 * 86400
    assert token.token not in msgspec.json.encode(listed).decode()
    assert token.get("/v1/me/token")["id"] == listed[1]["id"]
    assert admin.get("/v1/users/eve/tokens")[1]["id"] == listed[1]["id"]
    eve.refused(403, "not_allowed", "GET", "/v1/users/admin/tokens")

    eve.call("DELETE", f"/v1/me/tokens/{listed[1]['id']}")
    token.refused(401, "not_authenticated", "GET", "/v1/me")
    eve.refused(404, "not_found", "DELETE", f"/v1/me/tokens/{listed[1]['id']}")
    admin.call("DELETE", f"/v1/users/eve/tokens/{listed[0]['id']}")
    eve.refused(401, "not_authenticated", "GET", "/v1/me")


@pytest.mark.parametrize("wanted", [{"days": 0}, {"days": 400}, {"days": -1}, {"name": "x" * 101}])
def test_a_token_that_cannot_be_is_refused(admin, wanted):
    admin.refused(422, "bad_value", "POST", "/v1/me/tokens", wanted)


def test_a_scope_that_no_token_has_is_refused(admin):
    for scope in ("login", "admin", ""):
        admin.refused(400, "bad_request", "POST", "/v1/me/tokens", {"scope": scope})


def test_a_new_password_ends_tokens_too(people):
    gil = people("gil")
    token = people.with_token(gil, scope="all")
    gil.call("PUT", "/v1/me/password", {"password": "another password"})
    token.refused(401, "not_authenticated", "GET", "/v1/me")


def test_tokens_survive_a_restart_with_their_scope(tmp_path):
    _, made = EmbeddedServer.make(tmp_path / "s", PASSWORD)
    with made as server:
        admin, program = User(server, "admin"), User(server)
        program.token = admin.call("POST", "/v1/me/tokens", {"scope": "read"})["token"]
        admin.close()
        program.close()
    with EmbeddedServer(tmp_path / "s") as server:
        again = User(server)
        again.token = program.token
        assert again.get("/v1/projects") == []
        again.refused(403, "not_allowed", "POST", "/v1/projects", {"name": "x"})
        again.close()


# --- administrators -----------------------------------------------------------------------------


def test_administrators_are_made_and_unmade_but_one_stays(people, admin):
    deputy = people("deputy")
    deputy.refused(403, "not_allowed", "PUT", "/v1/users/deputy/admin", {"admin": True})
    assert admin.call("PUT", "/v1/users/deputy/admin", {"admin": True})["admin"]
    assert deputy.get("/v1/users")
    admin.call("PUT", "/v1/users/deputy/admin", {"admin": False})
    deputy.refused(403, "not_allowed", "GET", "/v1/users")
    for boss in [user["name"] for user in admin.get("/v1/users") if user["admin"]]:
        if boss != "admin":
            admin.call("PUT", f"/v1/users/{boss}/admin", {"admin": False})
    said = admin.refused(409, "conflict", "PUT", "/v1/users/admin/admin", {"admin": False})
    assert "last administrator" in said
    admin.refused(404, "not_found", "PUT", "/v1/users/nobody/admin", {"admin": True})


# --- join tokens --------------------------------------------------------------------------------


def bundle(admin: User, **wanted) -> tuple[str, str]:
    text = admin.call("POST", "/v1/bundles", {"uses": 1, "days": 1, **wanted})["join_token"]
    return text, text.partition(".")[0].removeprefix("jt_")


def listed(admin: User, token: str) -> dict:
    return next(one for one in admin.get("/v1/join-tokens") if one["id"] == token)


def test_fault_39_a_join_token_is_good_once_and_listed_with_whom_it_let_in(server, admin, people):
    text, token = bundle(admin, pool="gpu")
    assert listed(admin, token)["uses_left"] == 1
    anyone = User(server)
    worker = join(anyone, text).json()["worker_id"]
    second = join(anyone, text)
    assert (second.status_code, "used up" in second.json()["message"]) == (401, True)
    shown = listed(admin, token)
    assert (shown["uses"], shown["uses_left"], shown["workers"]) == (1, 0, [worker])
    assert (shown["pool"], shown["creator"]) == ("gpu", "admin")
    assert text not in msgspec.json.encode(shown).decode()
    people("nosy").refused(403, "not_allowed", "GET", "/v1/join-tokens")
    anyone.close()


def test_a_join_token_good_three_times_lets_three_in(server, admin):
    text, token = bundle(admin, uses=3)
    anyone = User(server)
    assert [join(anyone, text).status_code for _ in range(4)] == [201, 201, 201, 401]
    assert len(listed(admin, token)["workers"]) == 3
    anyone.close()


def test_a_request_that_is_refused_costs_no_use(server, admin):
    text, token = bundle(admin)
    anyone = User(server)
    body = JoinRequest(text, "no certificate request", WorkerFacts("node"))
    assert anyone.send("POST", "/v1/join", body).status_code == 422
    wrong = text[:-1] + ("A" if text[-1] != "A" else "B")
    assert join(anyone, wrong).status_code == 401
    assert listed(admin, token)["uses_left"] == 1
    anyone.close()


def test_fault_39_a_revoked_join_token_lets_nobody_in_but_those_inside_stay(
    server, admin, tmp_path
):
    text, token = bundle(admin, uses=5)
    anyone = User(server)
    inside = join(anyone, text).json()["worker_id"]
    shown = admin.call("DELETE", f"/v1/join-tokens/{token}")
    assert (shown["revoked"], shown["uses_left"]) == (True, 0)
    refused = join(anyone, text)
    assert (refused.status_code, "revoked" in refused.json()["message"]) == (401, True)
    states = {one["id"]: one["state"] for one in admin.get("/v1/workers")}
    assert states[inside] != "revoked"
    admin.call("DELETE", f"/v1/join-tokens/{token}?workers=true")
    states = {one["id"]: one["state"] for one in admin.get("/v1/workers")}
    assert states[inside] == "revoked"
    admin.refused(404, "not_found", "DELETE", "/v1/join-tokens/0123456789abcdef")
    anyone.close()


@pytest.mark.parametrize("wanted", [{"uses": 0}, {"uses": 10**7}, {"days": 0}, {"days": 1e9}])
def test_a_bundle_that_cannot_be_is_refused(admin, wanted):
    admin.refused(422, "bad_value", "POST", "/v1/bundles", wanted)


# --- what is open is cut ------------------------------------------------------------------------


def test_fault_40_an_open_stream_ends_with_the_role_with_the_user_and_with_the_token(people, admin):
    owner, guest = people("host"), people("guest")
    for end in ("role", "token", "user"):
        owner.call("POST", "/v1/projects", {"name": f"open-{end}"})
        owner.call("PUT", f"/v1/projects/open-{end}/members", {"user": "guest", "role": "viewer"})
    token = people.with_token(guest, scope="read")
    token_id = token.get("/v1/me/token")["id"]
    for end, follower, path in (
        ("role", guest, "/v1/projects/open-role/members/guest"),
        ("token", token, f"/v1/users/guest/tokens/{token_id}"),
        ("user", guest, "/v1/users/guest"),
    ):
        with follower.events(f"open-{end}", since=0) as events:
            next(events)
            admin.call("DELETE", path)
            # With the default 15 s between signs of life, only the revocation can end it.
            assert to_the_end(events) == []


def test_fault_40_what_a_revoked_worker_held_is_given_to_another_at_once(server, admin, tmp_path):
    worker = ScriptedWorker(server, admin, tmp_path / "w")
    project = "cut"
    admin.call("POST", "/v1/projects", {"name": project})
    admin.edit(project, define(echo_function()), add("one"), set_input("one.in.text", "hi"))
    (held,) = worker.lease()
    admin.call("DELETE", f"/v1/workers/{worker.id}")
    other = ScriptedWorker(server, admin, tmp_path / "x")
    (again,) = other.lease()
    assert again.attempt.partition("#")[0] == held.attempt.partition("#")[0]
    assert again.attempt != held.attempt
    late = ResultRequest(held.attempt, 9, "completed", {"said": "late"})
    worker.refused(401, "result", late)
    worker.close()
    other.close()
