"""The machine port: joining, work, files, results, and what a worker may not do."""

from __future__ import annotations

import threading

import httpx2
import msgspec
import pytest

from copernicus.model.jobs import StoredFile
from copernicus.protocol import (
    PROTOCOL,
    Certificate,
    JoinRequest,
    LeaseReply,
    LeaseRequest,
    ProgressReport,
    RenewRequest,
    ResultRequest,
    ResultsReply,
    ResultsRequest,
    WorkerFacts,
)
from copernicus.security.identity import make_key_and_csr
from copernicus.security.renewal import make_challenge, sign_renewal
from copernicus.security.tls import client_context
from copernicus.server.clock import wall
from support.server_client import (
    ScriptedWorker,
    User,
    add,
    ca_of,
    connect,
    define,
    echo_function,
    set_input,
)


def project_with(admin, name: str, *edits) -> str:
    admin.call("POST", "/v1/projects", {"name": name})
    admin.edit(name, define(echo_function()), *edits)
    return f"/v1/projects/{name}"


def test_a_result_fires_what_depends_on_it(admin, worker):
    root = project_with(
        admin,
        "chain",
        add("one"),
        add("two"),
        connect("one.out.said", "two.in.text"),
        set_input("one.in.text", "hello"),
    )
    (job,) = worker.lease()
    assert job.spec.command.lines[0].argv == ("{program}", "hello")
    states = {i["path"]: i["state"] for i in admin.get(f"{root}/instances")}
    assert states == {"one": "running", "two": "waiting"}
    worker.beat(job.attempt, progress=ProgressReport(step=5, total=10), log_tail="half way")
    shown = admin.get(f"{root}/jobs/{job.job}")
    assert (shown["state"], shown["path"], shown["progress"]["step"]) == ("running", "one", 5)
    assert shown["log_tail"] == "half way"
    assert worker.complete(job, {"said": "hello!"}) == "accepted"
    (next_job,) = worker.lease()
    assert next_job.spec.command.lines[0].argv == ("{program}", "hello!")
    assert worker.complete(next_job, {"said": "hello!!"}) == "accepted"
    assert worker.complete(next_job, {"said": "hello!!"}) == "already"
    value = admin.get(f"{root}/value", path="two.out.said")
    assert (value["value"], value["state"]) == ("hello!!", "current")
    trace = admin.get(f"{root}/trace", path="two.out.said")
    (made,) = trace["roots"]
    assert trace["steps"][made]["attempts"][0]["worker"] == worker.id
    assert trace["steps"][made]["origins"] == {"text": ["a1"]}
    assert set(trace["steps"]) == {"a1", "a2"}
    assert [r["number"] for r in admin.get(f"{root}/history")] == [1]
    detail = admin.get(f"{root}/instance", path="two")
    assert detail["elements"][0]["state"] == "done"


def test_a_result_can_ask_for_what_it_makes_ready(admin, worker):
    project_with(
        admin,
        "hop",
        add("one"),
        add("two"),
        connect("one.out.said", "two.in.text"),
        set_input("one.in.text", "hello"),
    )
    (job,) = worker.lease()
    ended = ResultRequest(job.attempt, 1, "completed", {"said": "hello!"})
    asked = ResultsRequest((ended,), LeaseRequest("next", worker.offer(), 30.0))
    reply = worker.ask("results", asked, ResultsReply)
    assert [one.verdict for one in reply.outcomes] == ["accepted"]
    assert [one.spec.command.lines[0].argv for one in reply.lease.assignments] == [
        ("{program}", "hello!")
    ]
    again = worker.ask("results", asked, ResultsReply)
    assert [one.verdict for one in again.outcomes] == ["already"]
    assert again.lease == reply.lease
    assert worker.lease(request="next") == list(reply.lease.assignments)
    (next_job,) = reply.lease.assignments
    asked = ResultsRequest(
        (ResultRequest(next_job.attempt, 1, "completed", {"said": "hello!!"}),),
        LeaseRequest("last", worker.offer(), 30.0),
    )
    assert worker.ask("results", asked, ResultsReply).lease == LeaseReply()


def test_the_result_of_a_worker_that_gets_no_more_work_is_taken(admin, worker):
    root = project_with(admin, "old", add("one"), set_input("one.in.text", "x"))
    (job,) = worker.lease()
    ended = ResultRequest(job.attempt, 1, "completed", {"said": "x"})
    asked = ResultsRequest((ended,), LeaseRequest("more", worker.offer(), protocol=PROTOCOL - 5))
    reply = worker.ask("results", asked, ResultsReply)
    assert ([one.verdict for one in reply.outcomes], reply.lease) == (["accepted"], None)
    assert admin.get(f"{root}/value", path="one.out.said")["value"] == "x"


def test_a_waiting_worker_gets_work_as_soon_as_there_is_some(admin, worker):
    got = []
    waiting = threading.Thread(target=lambda: got.extend(worker.lease(wait_s=30.0)))
    waiting.start()
    project_with(admin, "waited", add("one"), set_input("one.in.text", "x"))
    waiting.join(20)
    assert [job.spec.function for job in got] == ["mine.echo"]
    worker.complete(got[0], {"said": "x"})


def test_fault_38_the_same_request_gets_the_same_work(admin, worker):
    project_with(admin, "again", add("one"), set_input("one.in.text", "x"))
    first = worker.lease(request="same")
    assert len(first) == 1
    assert worker.lease(request="same") == first
    assert worker.lease(wait_s=0.0, request="other") == []
    worker.complete(first[0], {"said": "x"})


def test_no_wait_no_work_is_an_empty_answer(worker):
    assert worker.lease(wait_s=0.0) == []
    assert worker.lease(wait_s=0.05) == []


def test_inputs_are_inline_or_fetched_by_their_holder_only(server, admin, worker, tmp_path):
    other = ScriptedWorker(server, admin, tmp_path, "other")
    root = project_with(admin, "inputs", add("one"))
    stored = admin.upload("inputs", b"input bytes")
    admin.edit("inputs", set_input("one.in.data", stored), set_input("one.in.text", "x"))
    (job,) = worker.lease()
    assert job.inline == {stored["$file"]: b"input bytes"}
    url = f"/v1/work/blobs/{stored['$file']}"
    assert worker.http.get(url).content == b"input bytes"
    assert other.http.get(url).status_code == 404
    made = worker.upload(b"checkpoint")
    assert worker.http.get(f"/v1/work/blobs/{made}").status_code == 404
    worker.checkpoint(job, [StoredFile("state.cpt", made, 10)], step=3.0)
    assert worker.http.get(f"/v1/work/blobs/{made}").content == b"checkpoint"
    ghost = (StoredFile("state.cpt", "0" * 64, 10),)
    with pytest.raises(AssertionError, match="upload"):
        worker.checkpoint(job, ghost, step=4.0)
    assert admin.get(f"{root}/jobs/{job.job}")["step"] == 3.0
    worker.complete(job, {"said": "x"})
    assert worker.http.get(url).status_code == 404
    assert admin.send("GET", f"{root}/blobs/{made}").content == b"checkpoint"
    other.close()


def test_fault_37_a_worker_cannot_speak_for_anothers_attempt(server, admin, worker, tmp_path):
    thief = ScriptedWorker(server, admin, tmp_path, "thief")
    root = project_with(admin, "theft", add("one"), set_input("one.in.text", "x"))
    (job,) = worker.lease()
    reply = thief.refused(403, "result", ResultRequest(job.attempt, 1, "completed", {"said": "!"}))
    assert reply["code"] == "not_allowed"
    assert thief.beat(job.attempt).directives[0].action == "discard"
    thief.refused(403, "result", ResultRequest("nonsense", 1, "completed"))
    assert admin.get(f"{root}/value", path="one.out.said")["state"] != "current"
    assert worker.complete(job, {"said": "x"}) == "accepted"
    thief.close()


def test_a_file_that_came_with_a_result_is_what_its_hash_says(admin, worker):
    project_with(admin, "ghosts", add("one"), set_input("one.in.text", "x"))
    (job,) = worker.lease()
    wrong = ResultRequest(job.attempt, 2, "completed", {"said": "x"}, inline={"2" * 64: b"data"})
    assert "another SHA-256" in worker.refused(422, "result", wrong)["message"]
    worker.complete(job, {"said": "x"})


def test_no_certificate_no_machine_port(server):
    context = client_context(ca_of(server))
    with (
        httpx2.Client(base_url=server.machine_url, verify=context, trust_env=False) as stranger,
        pytest.raises(httpx2.TransportError),
    ):
        stranger.post("/v1/work/lease", content=b"")


def test_users_have_no_business_on_the_machine_port_and_the_reverse(server, admin, worker):
    assert worker.http.get("/v1/projects").status_code == 404
    assert admin.send("POST", "/v1/work/lease", {}).status_code == 404
    assert worker.http.post("/v1/work/lease", content=b"\x93nonsense").status_code == 400


def test_a_join_token_is_used_up(server, admin):
    bundle = admin.call("POST", "/v1/bundles", {"pool": "lab", "uses": 1, "days": 1})
    assert bundle["urls"][0] == server.machine_url
    _, csr = make_key_and_csr()
    request = JoinRequest(bundle["join_token"], csr, WorkerFacts("host"))
    anyone = User(server)
    damaged = msgspec.structs.replace(request, csr="nonsense")
    anyone.refused(422, "bad_value", "POST", "/v1/join", damaged)
    joined = anyone.call("POST", "/v1/join", request)
    anyone.refused(401, "not_authenticated", "POST", "/v1/join", request)
    pools = {w["id"]: w["pool"] for w in admin.get("/v1/workers")}
    assert pools[joined["worker_id"]] == "lab"
    anyone.close()


def test_a_worker_renews_with_its_key_only(server, admin, worker):
    key, csr = make_key_and_csr()
    challenge = make_challenge(server.running.server_id, worker.id, wall())
    signed = sign_renewal(worker.key, challenge, csr)
    request = RenewRequest(worker.identity.certificate, csr, challenge, signed)
    anyone = User(server)
    assert anyone.call("POST", "/v1/renew", request)["worker_id"] == worker.id
    assert worker.ask("renew", request, Certificate).worker_id == worker.id
    forged = msgspec.structs.replace(request, signature=sign_renewal(key, challenge, csr))
    anyone.refused(401, "not_authenticated", "POST", "/v1/renew", forged)
    admin.call("DELETE", f"/v1/workers/{worker.id}")
    anyone.refused(401, "not_authenticated", "POST", "/v1/renew", request)
    anyone.close()


def test_fault_40_a_revoked_worker_is_out_at_once_and_its_work_goes_to_others(
    server, admin, tmp_path
):
    lost = ScriptedWorker(server, admin, tmp_path, "lost")
    heir = ScriptedWorker(server, admin, tmp_path, "heir")
    project_with(admin, "revoked", add("one"), set_input("one.in.text", "x"))
    (job,) = lost.lease()
    got = []
    waiting = threading.Thread(target=lambda: got.extend(heir.lease(wait_s=30.0)))
    waiting.start()
    admin.call("DELETE", f"/v1/workers/{lost.id}")
    waiting.join(20)
    assert [again.job for again in got] == [job.job]
    lost.refused(401, "result", ResultRequest(job.attempt, 1, "completed", {"said": "x"}))
    assert heir.complete(got[0], {"said": "x"}) == "accepted"
    states = {w["id"]: w["state"] for w in admin.get("/v1/workers")}
    assert (states[lost.id], states[heir.id]) == ("revoked", "connected")
    lost.close()
    heir.close()


def test_a_draining_worker_finishes_and_is_told(admin, worker):
    project_with(admin, "drained", add("one"), set_input("one.in.text", "x"))
    (job,) = worker.lease()
    admin.call("POST", f"/v1/workers/{worker.id}/drain")
    assert worker.beat(job.attempt).drain
    worker.complete(job, {"said": "x"})
    assert worker.lease(wait_s=0.0) == []


def test_pause_takes_jobs_off_the_queue(admin, worker):
    root = project_with(
        admin, "paused", {"type": "pause"}, add("one"), set_input("one.in.text", "x")
    )
    assert admin.get(root)["state"] == "paused"
    assert worker.lease(wait_s=0.0) == []
    admin.edit("paused", {"type": "resume"})
    (job,) = worker.lease()
    worker.complete(job, {"said": "x"})


def test_deleting_a_project_stops_its_work(admin, worker):
    project_with(admin, "doomed", add("one"), set_input("one.in.text", "x"))
    (job,) = worker.lease()
    admin.call("DELETE", "/v1/projects/doomed")
    assert worker.beat(job.attempt).directives[0].action != "go"
    admin.refused(404, "not_found", "GET", "/v1/projects/doomed")
    admin.call("POST", "/v1/projects", {"name": "doomed"})
