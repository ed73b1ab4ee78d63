"""Running something again beside the project: nothing in it changes, and outputs are compared."""

from __future__ import annotations

import threading

import pytest

from copernicus.model.comparing import compare, verdict_of
from copernicus.server.embedded import EmbeddedServer
from support.cli_world import Terminal
from support.server_client import (
    PASSWORD,
    ScriptedWorker,
    User,
    add,
    define,
    echo_function,
    set_input,
)


@pytest.fixture
def lab(tmp_path):
    _, server = EmbeddedServer.make(tmp_path / "server", PASSWORD)
    with server:
        admin = User(server, "admin")
        worker = ScriptedWorker(server, admin, tmp_path, host="node7")
        admin.call("POST", "/v1/projects", {"name": "p"})
        admin.edit("p", define(echo_function()), add("one"), set_input("one.in.text", "hello"))
        (job,) = worker.lease()
        worker.complete(job, {"said": "hello!"})
        cpc = Terminal(tmp_path / "home").login(server)
        cpc("project", "use", "p")
        worker.server = server
        yield admin, worker, cpc, job
        worker.close()
        admin.close()


def again(worker, outputs):
    """Do the next job in a thread of its own: what it asked for."""
    seen = []

    def work():
        (job,) = worker.lease(wait_s=20.0)
        seen.append(job)
        worker.complete(job, outputs)

    thread = threading.Thread(target=work)
    thread.start()
    return thread, seen


def picture(admin):
    root = "/v1/projects/p"
    return (
        admin.get(root),
        admin.get(f"{root}/instances"),
        admin.get(f"{root}/journal"),
        admin.get(f"{root}/trace", path="one.out.said"),
    )


def test_the_same_again_ends_with_0_and_changes_nothing(lab):
    admin, worker, cpc, first = lab
    before = picture(admin)
    thread, seen = again(worker, {"said": "hello!"})
    done = cpc("reproduce", "one.out.said", "--timeout", "30")
    thread.join()
    assert "bit for bit the same" in done.out
    assert "said: identical" in done.out
    (job,) = seen
    assert job.spec.command == first.spec.command
    assert job.spec.checkpoint_key != first.spec.checkpoint_key
    assert picture(admin) == before
    assert ("one (reproduced)", "done") in {
        (j["path"], j["state"]) for j in cpc("jobs", "--json").data
    }


def test_something_else_ends_with_5_and_says_what(lab):
    admin, worker, cpc, _ = lab
    before = picture(admin)
    thread, _ = again(worker, {"said": "other"})
    done = cpc.run("reproduce", "a1", "--json", "--timeout", "30")
    thread.join()
    assert done.code == 5
    assert done.data["verdict"] == "differs"
    (output,) = done.data["outputs"]
    assert output["differences"] == [{"where": "said", "first": "hello!", "second": "other"}]
    assert [a["host"] for a in done.data["run"]["second"]] == ["node7"]
    assert picture(admin) == before


def test_elsewhere_is_never_where_it_was_made(lab, tmp_path):
    admin, worker, cpc, _ = lab
    said = cpc.refused(1, "reproduce", "one", "--elsewhere", "--timeout", "0")
    assert "is still queued" in said
    assert worker.lease(wait_s=0.0) == []
    (waiting,) = (job for job in cpc("jobs", "--json").data if job["state"] == "queued")
    assert "elsewhere than on node7" in waiting["why"]
    other = ScriptedWorker(worker.server, admin, tmp_path / "other", host="node8")
    (job,) = other.lease(wait_s=20.0)
    assert job.job == waiting["id"]
    other.complete(job, {"said": "hello!"})
    other.close()


def test_what_did_not_end_well_is_not_reproduced(lab):
    admin, _, cpc, _ = lab
    assert "set by hand" in cpc.refused(1, "reproduce", "one.in.text")
    admin.edit("p", add("two"), set_input("two.in.text", "x"))
    assert "has not ended" in cpc.refused(1, "reproduce", "two")
    assert "never" not in cpc.refused(1, "reproduce", "one.out.said", "--tolerance", "-1")
    assert "is still queued after 0" in cpc.refused(1, "reproduce", "one", "--timeout", "0")
    admin.refused(404, "not_found", "GET", "/v1/projects/p/reproductions/a1")
    admin.refused(404, "not_found", "GET", "/v1/projects/p/reproductions/p.a1")


def test_numbers_are_compared_with_a_tolerance_and_files_by_content():
    file = {"$file": "0" * 64, "size": 10, "name": "a"}
    other = {"$file": "1" * 64, "size": 12, "name": "a"}
    first = {"energy": [1.0, 2.0], "xtc": file, "n": 3}
    near = {"energy": [1.0, 2.0 + 1e-9], "xtc": file, "n": 3}
    assert verdict_of(compare(first, first)) == "identical"
    assert verdict_of(compare(first, near)) == "differs"
    assert verdict_of(compare(first, near, 1e-6)) == "within"
    found = {one.port: one for one in compare(first, {**near, "xtc": other, "n": 4}, 1e-6)}
    assert [d.sizes for d in found["xtc"].differences] == [(10, 12)]
    assert (found["xtc"].verdict, found["n"].verdict) == ("differs", "differs")
    assert found["energy"].differences[0].where == "energy[1]"
    assert verdict_of(compare({"a": float("nan")}, {"a": float("nan")})) == "identical"
    assert verdict_of(compare({"a": float("nan")}, {"a": 1.0}, 0.5)) == "differs"
    assert verdict_of(compare({"a": [1]}, {"a": [1, 2]}, 0.5)) == "differs"
