"""A project saved at one server and loaded at another: journal, files, work under way."""

from __future__ import annotations

import zipfile

import msgspec
import pytest

from copernicus.client import Client
from copernicus.errors import BadValue, Conflict, NotAllowed, NotFound
from copernicus.model.jobs import StoredFile
from copernicus.protocol.saved import ENTRY, SAVED_FORMAT, framed, frames
from copernicus.server.embedded import EmbeddedServer
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

BIG = bytes(range(256)) * 12_000  # three chunks


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    root = tmp_path_factory.mktemp("servers")
    _, one = EmbeddedServer.make(root / "one", PASSWORD)
    _, two = EmbeddedServer.make(root / "two", PASSWORD)
    with one, two:
        yield one, two


def client(server, folder, user="admin"):
    bundle = server.folder / "client.cpc"
    config = folder / f"config-{user}-{server.running.user_port}"
    return Client.login(bundle, user, PASSWORD, config=config)


@pytest.fixture(scope="module")
def story(servers, tmp_path_factory):
    """A project with a result, a file, a running job with a checkpoint and a queued one; saved."""
    one, _ = servers
    folder = tmp_path_factory.mktemp("story")
    admin = User(one, "admin")
    worker = ScriptedWorker(one, admin, folder, host="here")
    admin.call("POST", "/v1/projects", {"name": "ala", "seed": 5})
    (folder / "big.bin").write_bytes(BIG)
    admin.edit("ala", define(echo_function()), add("a"), add("b"), add("c"))
    with client(one, folder) as at_one:
        at_one.project("ala").set("a.in.data", folder / "big.bin")
    admin.edit("ala", set_input("a.in.text", "hello"))
    (job,) = worker.lease()
    worker.complete(job, {"said": "hello!"})
    admin.edit("ala", connect("a.out.said", "b.in.text"))
    (running,) = worker.lease()
    state = worker.upload(b"state at 700")
    worker.checkpoint(running, [StoredFile("state.cpt", state, 12)], 700.0)
    admin.edit("ala", set_input("c.in.text", "later"))
    with client(one, folder) as at_one:
        made = at_one.project("ala").save(folder / "ala.cpcproject")
    yield folder / "ala.cpcproject", made, running, worker
    worker.close()
    admin.close()


def test_it_goes_on_at_the_other_server_where_it_was(servers, story, tmp_path):
    file, made, running, _ = story
    assert (made.name, made.files, made.bytes) == ("ala", 2, len(BIG) + 12)
    _, two = servers
    admin = User(two, "admin")
    worker = ScriptedWorker(two, admin, tmp_path, host="there")
    with client(two, tmp_path) as at_two:
        project = at_two.load_project(file)
        view = project.view()
        assert (view.state, view.owner, view.name) == ("paused", "admin", "ala")
        assert project.get("a.out.said") == "hello!"
        assert project.get("a.in.data").read_bytes() == BIG
        assert [r.summary for r in project.history()][-1][0].startswith("load ala from server")
        assert len(project.history()) == 5 + 1
        (record,) = project.trace("a.out.said").attempts
        assert record.host == "here"
        assert worker.lease(wait_s=0.0) == []
        project.resume()
        jobs = {job.spec.label: job for job in worker.lease()}
        assert set(jobs) == {"b", "c"}
        again = jobs["b"]
        assert again.checkpoint is not None
        assert again.checkpoint.step == 700.0
        assert again.attempt.endswith("#2")
        assert running.spec.checkpoint_key == again.spec.checkpoint_key
        worker.complete(again, {"said": "hello!!"})
        attempts = project.trace("b.out.said").attempts
        assert [(a.host, a.outcome) for a in attempts] == [
            ("here", "moved"),
            ("there", "completed"),
        ]
        assert jobs["c"].attempt.endswith("#1")
        worker.complete(jobs["c"], {"said": "later"})
    worker.close()
    admin.close()


def test_the_original_goes_on_and_so_may_copies(servers, story, tmp_path):
    file, _, running, worker = story
    one, _ = servers
    with client(one, tmp_path) as at_one:
        with pytest.raises(Conflict, match="already a project 'ala'"):
            at_one.load_project(file)
        copy = at_one.load_project(file, "copy")
        assert copy.view().state == "paused"
        worker.complete(running, {"said": "original"})
        assert at_one.project("ala").get("b.out.said") == "original"
        assert copy.value("b.out.said").state == "waiting"
        again = at_one.project("copy").save(tmp_path / "copy.cpcproject")
        assert again.files == 2
        assert at_one.load_project(tmp_path / "copy.cpcproject", "third").view().name == "third"


def test_a_loaded_project_survives_a_restart(tmp_path, story):
    file, _, _, _ = story
    _, server = EmbeddedServer.make(tmp_path / "s", PASSWORD)
    with server, client(server, tmp_path) as at:
        at.load_project(file, resume=True)
    with EmbeddedServer(tmp_path / "s") as again, client(again, tmp_path) as at:
        project = at.project("ala")
        assert project.view().state == "active"
        assert {i.path: i.state for i in project.instances()} == {
            "a": "done",
            "b": "queued",
            "c": "queued",
        }
        (job,) = [job for job in project.jobs() if job.path == "b"]
        assert job.step == 700.0


def test_only_an_owner_may_save(servers, tmp_path):
    one, _ = servers
    admin = User(one, "admin")
    for name in ("eve", "bob"):
        admin.call("POST", "/v1/users", {"name": name, "password": PASSWORD})
    admin.call("POST", "/v1/projects", {"name": "mine"})
    admin.call("PUT", "/v1/projects/mine/members", {"user": "bob", "role": "editor"})
    with client(one, tmp_path, "bob") as bob, pytest.raises(NotAllowed):
        bob.project("mine").save(tmp_path / "x")
    with client(one, tmp_path, "eve") as eve, pytest.raises(NotFound):
        eve.project("mine", check=False).save(tmp_path / "x")
    assert list(tmp_path.glob("*x*")) == []
    admin.close()


def rewritten(file, target, change, drop=()):
    """The archive with each member's bytes as ``change`` (name, bytes) gives them."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if name not in drop:
                new.writestr(name, change(name, old.read(name)))
    return target


def test_damage_is_found_before_anything_is_sent(servers, story, tmp_path):
    file = story[0]
    _, two = servers

    def flipped(name, data):
        return data[:-1] + bytes([data[-1] ^ 1]) if name.startswith("files/") else data

    def newer(name, data):
        if name != "manifest.json":
            return data
        return msgspec.json.encode(
            {**msgspec.json.decode(data), "format": SAVED_FORMAT + 1, "version": "99.1"}
        )

    def same(name, data):
        return data

    whole = file.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text").write_text("no archive")
    first = next(n for n in zipfile.ZipFile(file).namelist() if n.startswith("files/"))
    bad = {
        "another SHA-256": rewritten(file, tmp_path / "flipped", flipped),
        "a newer Copernicus saved it .99.1": rewritten(file, tmp_path / "newer", newer),
        first: rewritten(file, tmp_path / "lacks", same, drop={first}),
        "manifest.json": rewritten(file, tmp_path / "bare", same, drop={"manifest.json"}),
        "no whole archive of a project": tmp_path / "cut",
        "nothing was loaded": tmp_path / "text",
    }
    with client(two, tmp_path) as at_two:
        before = [p.name for p in at_two.projects()]
        for said, archive in bad.items():
            with pytest.raises(BadValue, match=said):
                at_two.load_project(archive, "never")
        with pytest.raises(NotFound):
            at_two.load_project(tmp_path / "none", "never")
        assert [p.name for p in at_two.projects()] == before


def load_frames(user, data: bytes, **more):
    """What somebody may send who does not use our client."""
    import hashlib

    sha256 = hashlib.sha256(data).hexdigest()
    chunk = {"sha256": sha256, "size": len(data)}
    user.call("PUT", f"/v1/loads/chunks/{sha256}", content=data)
    user.call("POST", "/v1/loads/blobs", {**chunk, "chunks": [chunk]})
    return {"sha256": sha256, **more}


def test_what_comes_from_outside_is_not_believed(servers, story):
    _, two = servers
    admin = User(two, "admin")
    with zipfile.ZipFile(story[0]) as archive:
        good = list(frames([archive.read("project.cpc")]))

    def packed(parts):
        return b"".join(framed(kind, msgspec.Raw(body)) for kind, body in parts)

    def refused(parts, status=422, code="bad_value"):
        body = load_frames(admin, packed(parts), name="crafted")
        return admin.refused(status, code, "POST", "/v1/loads", body)

    assert "breaks off" in refused(good[:-1])
    assert "gaps" in refused([good[0], *good[2:]])
    odd = msgspec.msgpack.encode(
        {"position": 2, "revision": 0, "at": 0.0, "event": {"type": "from_the_future"}}
    )
    assert "newer Copernicus" in refused([*good[:2], (ENTRY, odd), *good[3:]])
    absent = msgspec.msgpack.encode({"sha256": "0" * 64, "size": 1})
    assert "not on this server" in refused([*good[:-1], (b"F", absent), good[-1]], 409, "conflict")
    evil = []
    for kind, body in good:
        if kind == ENTRY and b"function_defined" in body:
            entry = msgspec.msgpack.decode(body)
            entry["event"]["spec"]["entry"] = "os:system"
            body = msgspec.msgpack.encode(entry)
        evil.append((kind, body))
    assert "does not have: install the module mine" in refused(evil, 409, "conflict")
    admin.refused(
        422, "bad_value", "POST", "/v1/loads", load_frames(admin, packed(good), name="a/b")
    )
    assert "crafted" not in [p["name"] for p in admin.get("/v1/projects")]
    admin.close()
