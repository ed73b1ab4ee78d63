"""Nobody gets a file of another by its hash: not by an edit, a load, a result or an upload."""

from __future__ import annotations

import base64
import hashlib
import itertools
import random

import msgspec
import pytest

from copernicus.model.functions import FunctionSpec, Port, RetryPolicy
from copernicus.model.jobs import Checkpoint, Command, Line, Output, StoredFile
from copernicus.model.resources import ProgramNeed
from copernicus.model.types import AnyType, FileType
from copernicus.protocol import BlobManifest, ChunkRef, MissingReply, MissingRequest, ResultRequest
from copernicus.protocol.saved import ENTRY, FILE, framed, frames
from copernicus.server.embedded import EmbeddedServer
from support.server_client import PASSWORD, ScriptedWorker, User, add, define, set_input

CHUNK = 1 << 20
SECRET = b"a file of ann's that nobody else shall read"
_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def ann(server, admin):
    yield from new_user(server, admin, "ann")


@pytest.fixture(scope="module")
def bob(server, admin):
    yield from new_user(server, admin, "bob")


def new_user(server, admin, name):
    name = f"{name}{next(_NUMBERS)}"
    admin.call("POST", "/v1/users", {"name": name, "password": PASSWORD})
    made = User(server, name)
    made.name = name
    yield made
    made.close()


def taking() -> FunctionSpec:
    """A file, or anything, in; anything out."""
    return FunctionSpec(
        "mine.take",
        "1",
        "program",
        inputs=(
            Port("data", FileType(), required=False),
            Port("note", AnyType(), required=False),
        ),
        outputs=(Port("said", AnyType()),),
        program=ProgramNeed("echo"),
        retry=RetryPolicy(job_errors=0),
        template=Command(
            lines=(Line(("{program}",), stdout="out.json"),),
            outputs=(Output("said", "json", "out.json"),),
            checkpoint=Checkpoint(files=("state",), required=("state",)),
        ),
    )


def project(user, *edits):
    """A project whose only instance is held, so that no job of it gets into another test."""
    name = f"p{next(_NUMBERS)}"
    user.call("POST", "/v1/projects", {"name": name})
    user.edit(name, define(taking()), add("one", "mine.take", held=True), *edits)
    return name


def running(user, worker, **inputs):
    """A project of which a worker has the only job."""
    edits = [set_input(f"one.in.{port}", value) for port, value in inputs.items()]
    name = project(user, *edits, {"type": "activate", "path": "one"})
    (job,) = worker.lease()
    return name, job


def plain(data: bytes, name: str = "file") -> dict:
    return {"$file": hashlib.sha256(data).hexdigest(), "size": len(data), "name": name}


def refused(user, name: str, value, port: str = "data") -> str:
    edits = {"edits": [set_input(f"one.in.{port}", value)]}
    return user.refused(422, "bad_value", "POST", f"/v1/projects/{name}/edits", edits)


def fetch(user, name: str, data: bytes) -> int:
    sha256 = hashlib.sha256(data).hexdigest()
    return user.send("GET", f"/v1/projects/{name}/blobs/{sha256}").status_code


def manifest(data: bytes) -> BlobManifest:
    pieces = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    chunks = tuple(ChunkRef(hashlib.sha256(p).hexdigest(), len(p)) for p in pieces)
    return BlobManifest(hashlib.sha256(data).hexdigest(), len(data), chunks)


def test_a_hash_in_an_edit_is_not_enough_and_tells_nothing(ann, bob):
    of_ann, of_bob = project(ann), project(bob)
    ann.edit(of_ann, set_input("one.in.data", ann.upload(of_ann, SECRET)))
    secret, ghost = plain(SECRET), plain(b"nobody has this")
    said = refused(bob, of_bob, secret)
    assert "upload it first" in said
    assert said.replace(secret["$file"], "") == (
        refused(bob, of_bob, ghost).replace(ghost["$file"], "").replace("15 b", "43 b")
    )
    for value in ([secret], {"deep": [secret]}, {"$file": secret["$file"]}):
        refused(bob, of_bob, value, "note")
    asked = {"chunks": [secret["$file"]], "blobs": [secret["$file"]]}
    for root in (f"/v1/projects/{of_bob}", "/v1/loads"):
        assert bob.call("POST", f"{root}/blobs/missing", asked) == asked
    nothing = {"chunks": [], "blobs": []}
    assert ann.call("POST", "/v1/loads/blobs/missing", asked) == nothing
    bob.edit(of_bob, set_input("one.in.data", bob.upload(of_bob, SECRET)))
    assert fetch(bob, of_bob, SECRET) == 200


def test_small_files_that_came_whole_are_of_who_sent_them_only(ann, bob):
    of_ann, of_bob = project(ann), project(bob)
    files = [b"the first of ann's small ones", b"her second", b""]
    contents = [base64.b64encode(data).decode() for data in [*files, files[0]]]
    ann.call("POST", f"/v1/projects/{of_ann}/blobs/small", {"contents": contents})
    ann.edit(of_ann, set_input("one.in.note", [plain(data) for data in files]))
    assert [fetch(ann, of_ann, data) for data in files] == [200] * 3
    for data in files:
        assert "upload it first" in refused(bob, of_bob, plain(data))
    bob.call("POST", "/v1/loads/blobs/small", {"contents": contents[:1]})
    bob.edit(of_bob, set_input("one.in.data", plain(files[0])))
    assert fetch(bob, of_bob, files[0]) == 200
    assert "upload it first" in refused(bob, of_bob, plain(files[1]))


def test_what_only_looks_like_a_hash_in_a_value_gives_no_file(ann, bob):
    of_ann, of_bob = project(ann), project(bob)
    data = b"looked for by its name"
    ann.edit(of_ann, set_input("one.in.data", ann.upload(of_ann, data)))
    bob.edit(of_bob, set_input("one.in.note", {"sha256": plain(data)["$file"], "path": "x"}))
    assert fetch(bob, of_bob, data) == 404


def test_a_blob_of_chunks_that_were_not_sent_is_refused(ann, bob):
    of_ann, of_bob = project(ann), project(bob)
    data = random.Random(3).randbytes(2 * CHUNK + 10)
    made = manifest(data)
    for index, chunk in enumerate(made.chunks):
        content = data[index * CHUNK :][: chunk.size]
        ann.call("PUT", f"/v1/projects/{of_ann}/chunks/{chunk.sha256}", content=content)
    ann.call("POST", f"/v1/projects/{of_ann}/blobs", made)
    where = f"/v1/projects/{of_bob}"
    last = made.chunks[-1]
    bob.call("PUT", f"{where}/chunks/{last.sha256}", content=data[2 * CHUNK :])
    said = bob.refused(409, "conflict", "POST", f"{where}/blobs", made)
    assert "lacks 2 of its chunks" in said
    refused(bob, of_bob, {"$file": made.sha256, "size": made.size, "name": "x"})


def test_a_member_of_both_projects_may_carry_a_file_over_until_they_leave(ann, bob):
    of_ann, of_bob = project(ann), project(bob)
    data = b"shared for a while"
    stored = ann.upload(of_ann, data)
    ann.edit(of_ann, set_input("one.in.data", stored))
    refused(bob, of_bob, stored)
    ann.call("PUT", f"/v1/projects/{of_ann}/members", {"user": bob.name, "role": "viewer"})
    bob.edit(of_bob, set_input("one.in.data", stored))
    ann.call("DELETE", f"/v1/projects/{of_ann}/members/{bob.name}")
    other = project(bob)
    bob.edit(other, set_input("one.in.data", stored))  # of a project of theirs by now
    assert fetch(bob, other, data) == 200


def test_another_user_of_the_same_name_has_sent_nothing(server, admin, ann):
    of_ann = project(ann)
    data = b"sent by one who has gone"
    ending = new_user(server, admin, "temp")
    first = next(ending)
    of_first = project(first)
    stored = first.upload(of_first, data)
    ann.edit(of_ann, set_input("one.in.data", ann.upload(of_ann, data)))
    admin.call("DELETE", f"/v1/users/{first.name}")
    admin.call("POST", "/v1/users", {"name": first.name, "password": PASSWORD})
    second = User(server, first.name)
    refused(second, project(second), stored)
    second.close()
    next(ending, None)


def load(user, data: bytes):
    made = manifest(data)
    user.call("PUT", f"/v1/loads/chunks/{made.sha256}", content=data)
    user.call("POST", "/v1/loads/blobs", made)
    return {"sha256": made.sha256, "name": f"p{next(_NUMBERS)}"}


def saved_by(user, name: str) -> list[tuple[bytes, bytes]]:
    return list(frames([user.send("GET", f"/v1/projects/{name}/saved").content]))


def packed(parts) -> bytes:
    return b"".join(framed(kind, msgspec.Raw(body)) for kind, body in parts)


def test_a_load_brings_its_files_or_is_refused(ann, bob):
    of_ann, of_bob = project(ann), project(bob)
    data, own = b"kept by ann alone", b"bob's own"
    ann.edit(of_ann, set_input("one.in.data", ann.upload(of_ann, data)))
    bob.edit(of_bob, set_input("one.in.data", bob.upload(of_bob, own)))
    good = saved_by(bob, of_bob)
    whole = packed(good)
    assert bob.call("POST", "/v1/loads", load(bob, whole))["owner"] == bob.name

    stolen, mine = plain(data)["$file"].encode(), plain(own)["$file"].encode()
    said = bob.refused(409, "conflict", "POST", "/v1/loads", load(bob, whole.replace(mine, stolen)))
    assert "did not come along" in said
    unlisted = packed(part for part in good if part[0] != FILE).replace(mine, stolen)
    bob.refused(409, "conflict", "POST", "/v1/loads", load(bob, unlisted))
    ann_s = load(ann, packed(saved_by(ann, of_ann)))
    assert "not on this server" in bob.refused(409, "conflict", "POST", "/v1/loads", ann_s)


def test_what_a_job_had_so_far_is_left_out_of_a_load(ann, bob):
    begin = set_input("one.in.note", "begin"), {"type": "activate", "path": "one"}
    of_ann, of_bob = project(ann), project(bob, *begin)
    data = b"not for a provisional value either"
    ann.edit(of_ann, set_input("one.in.data", ann.upload(of_ann, data)))
    good = saved_by(bob, of_bob)
    bob.call("DELETE", f"/v1/projects/{of_bob}")
    entries = [msgspec.msgpack.decode(body) for kind, body in good if kind == ENTRY]
    (job,) = [e["event"] for e in entries if e["event"]["type"] == "job_made"]
    last = entries[-1]
    event = {
        "type": "partial_made",
        "id": job["activation"],
        "attempt": 1,
        "sequence": 1,
        "outputs": {"said": plain(data)},
    }
    crafted = {**last, "position": last["position"] + 1, "event": event}
    end = msgspec.msgpack.encode(crafted["position"])
    parts = [*good[:-1], (ENTRY, msgspec.msgpack.encode(crafted)), (good[-1][0], end)]
    made = bob.call("POST", "/v1/loads", load(bob, packed(parts)))
    assert fetch(bob, made["name"], data) == 404
    journal = bob.send("GET", f"/v1/projects/{made['name']}/journal").text
    assert "partial_made" in journal
    assert plain(data)["$file"] not in journal


@pytest.mark.parametrize("form", ["whole", "short"])
def test_a_result_that_names_a_file_of_another_project_has_failed(ann, bob, worker, form):
    of_ann = project(ann)
    data = b"not to be had by a program that prints JSON"
    ann.edit(of_ann, set_input("one.in.data", ann.upload(of_ann, data)))
    of_bob, job = running(bob, worker, note="go")
    said = {"whole": plain(data), "short": {"$file": plain(data)["$file"]}}
    worker.complete(job, {"said": said[form]})
    (view,) = bob.get(f"/v1/projects/{of_bob}/instances")
    assert "which the job has not made" in view["failure"]["reason"]
    assert fetch(bob, of_bob, data) == 404
    bob.call("DELETE", f"/v1/projects/{of_bob}")


def test_a_worker_names_what_it_has_sent_or_what_the_project_has(ann, worker):
    of_ann = project(ann)
    given = ann.upload(of_ann, b"an input of this project")
    ann.edit(of_ann, set_input("one.in.data", given), {"type": "activate", "path": "one"})
    (job,) = worker.lease()
    worker.complete(job, {"said": [given]})
    value = ann.get(f"/v1/projects/{of_ann}/value", path="one.out.said")
    assert value["value"] == [given]


def work(worker, path: str, body, kind=None):
    return worker.ask(path, body, kind)


def test_a_grown_file_is_sent_by_its_tail_and_a_foreign_one_whole(
    ann, worker, server, admin, tmp_path
):
    of_ann, job = running(ann, worker, note="long")
    first = random.Random(1).randbytes(2 * CHUNK)
    grown = first + b"and on"
    made, later = manifest(first), manifest(grown)

    for index, chunk in enumerate(made.chunks):
        worker.upload(first[index * CHUNK :][: chunk.size])
    work(worker, "blobs", made)
    worker.checkpoint(job, [StoredFile("state", made.sha256, made.size)], 1.0)
    question = MissingRequest(tuple(c.sha256 for c in later.chunks), (later.sha256,))
    asked = work(worker, "blobs/missing", question, MissingReply)
    assert asked.chunks == (later.chunks[-1].sha256,)

    stranger = ScriptedWorker(server, admin, tmp_path / "stranger", "elsewhere")
    asked = work(stranger, "blobs/missing", question, MissingReply)
    assert asked == MissingReply(question.chunks, question.blobs)
    assert stranger.send("blobs", made).status_code == 409
    stranger.close()
    worker.complete(job, {"said": "x"})
    assert fetch(ann, of_ann, first) == 200


def test_a_worker_cannot_have_a_checkpoint_or_partial_of_a_file_of_others(ann, bob, worker):
    of_ann = project(ann)
    data = b"nor by a checkpoint"
    ann.edit(of_ann, set_input("one.in.data", ann.upload(of_ann, data)))
    of_bob, job = running(bob, worker, note="go")
    stolen = StoredFile("state.cpt", plain(data)["$file"], len(data))
    with pytest.raises(AssertionError, match="was not sent by this worker"):
        worker.checkpoint(job, [stolen], 1.0)
    assert fetch(bob, of_bob, data) == 404
    worker.complete(job, {"said": 1})


def test_who_sent_a_file_is_known_after_a_restart(tmp_path):
    _, made = EmbeddedServer.make(tmp_path / "s", PASSWORD)
    data = random.Random(2).randbytes(CHUNK + 5)
    with made as server:
        admin = User(server, "admin")
        admin.call("POST", "/v1/users", {"name": "eve", "password": PASSWORD})
        eve = User(server, "eve")
        name = project(eve)
        sent = manifest(data)
        for index, chunk in enumerate(sent.chunks):
            content = data[index * CHUNK :][: chunk.size]
            eve.call("PUT", f"/v1/projects/{name}/chunks/{chunk.sha256}", content=content)
        eve.call("POST", f"/v1/projects/{name}/blobs", sent)
        eve.close()
        admin.close()
    with EmbeddedServer(tmp_path / "s") as server:
        eve = User(server, "eve")
        eve.edit(name, set_input("one.in.data", plain(data)))
        assert fetch(eve, name, data) == 200
        eve.close()


def test_random_users_never_get_what_nobody_gave_them(server, admin):
    seed = 20261128
    chance = random.Random(seed)
    made = [new_user(server, admin, "r") for _ in range(3)]
    users = [next(one) for one in made]
    owners = {project(user): user for user in users for _ in range(2)}
    members = {name: {user.name} for name, user in owners.items()}
    blobs = [f"random {seed} {n}".encode() for n in range(6)]
    own = {user.name: set(chance.sample(range(6), 2)) for user in users}
    named: dict[str, set[int]] = {name: set() for name in owners}
    sent = {user.name: set() for user in users}
    taken = refusals = 0
    for step in range(200):
        user, blob = chance.choice(users), chance.randrange(6)
        name = chance.choice([n for n in members if user.name in members[n]])
        match chance.choice(("set", "set", "set", "upload", "share", "leave")):
            case "upload" if blob in own[user.name]:
                user.upload(name, blobs[blob])
                sent[user.name].add(blob)
            case "share":
                other = chance.choice(users)
                if user is owners[name] and other is not user:
                    body = {"user": other.name, "role": "editor"}
                    user.call("PUT", f"/v1/projects/{name}/members", body)
                    members[name].add(other.name)
            case "leave":
                owner = owners[name]
                if user is not owner:
                    owner.call("DELETE", f"/v1/projects/{name}/members/{user.name}")
                    members[name].discard(user.name)
            case "set":
                seen = {b for n in members if user.name in members[n] for b in named[n]}
                may = blob in seen | sent[user.name]
                edits = {"edits": [set_input("one.in.data", plain(blobs[blob]))]}
                reply = user.send("POST", f"/v1/projects/{name}/edits", edits)
                assert (reply.status_code == 200) == may, (seed, step, user.name, name, blob)
                if may:
                    named[name].add(blob)
                taken, refusals = taken + may, refusals + (not may)
    for user, (name, those) in itertools.product(users, named.items()):
        for number, data in enumerate(blobs):
            may = user.name in members[name] and number in those
            assert (fetch(user, name, data) == 200) == may, (seed, user.name, name, number)
    assert min(taken, refusals) > 20
    for user in users:
        user.close()


def test_a_result_with_a_lost_file_is_refused_until_it_is_sent_again(server, ann, worker):
    _, job = running(ann, worker, note="lost")
    sha256 = worker.upload(b"sent, and then lost by the disk")
    (kept,) = server.folder.rglob(sha256)
    kept.unlink()
    file = {"$file": sha256, "size": 31, "name": "out"}
    reply = worker.refused(
        422, "result", ResultRequest(job.attempt, 90, "completed", {"said": file})
    )
    assert "upload it first" in reply["message"]
    worker.upload(b"sent, and then lost by the disk")
    worker.complete(job, {"said": file})


def test_a_token_for_one_project_names_what_that_project_has_or_it_has_sent(server, ann):
    one, other = project(ann), project(ann)
    data, sent = b"of her other project", b"sent by her, set nowhere yet"
    ann.edit(other, set_input("one.in.data", ann.upload(other, data)))
    ann.upload(other, sent)
    program = User(server)
    wanted = {"scope": "all", "project": one}
    program.token = ann.call("POST", "/v1/me/tokens", wanted)["token"]
    refused(program, one, plain(data))
    refused(program, one, plain(sent))
    program.edit(one, set_input("one.in.data", program.upload(one, data)))
    assert fetch(program, one, data) == 200
    ann.edit(one, set_input("one.in.data", plain(sent)))
    program.edit(one, set_input("one.in.note", plain(sent)))
    program.close()
