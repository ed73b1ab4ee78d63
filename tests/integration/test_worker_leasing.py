"""How a worker asks for work, and what it does when answers are lost or the server is away."""

from __future__ import annotations

import msgspec
import pytest

from support.worker_process import wait_until, worker
from support.worker_server import Refuse, program_job, scripted_server, sh


@pytest.fixture
def server(tmp_path):
    with scripted_server(tmp_path) as running:
        yield running


def test_a_lost_answer_is_asked_for_again_and_runs_once(server, tmp_path):
    server.lose_grant = True
    server.add(program_job(1, [sh(f"echo ran >> {tmp_path}/ran")]))
    with worker(server, tmp_path / "w"):
        assert server.result("p.a1#1").outcome == "completed"
    assert (tmp_path / "ran").read_text() == "ran\n"
    ids = [request.request_id for request in server.offers]
    assert ids[0] == ids[1]


def test_results_bring_the_next_jobs(server, tmp_path):
    server.grants_along = True
    jobs = [program_job(number, [sh("true")], cores=2) for number in range(30)]
    server.add(*jobs)
    with worker(server, tmp_path / "w"):
        for job in jobs:
            assert server.result(job.attempt).outcome == "completed"
    assert {request.offer.cores for request in server.along} == {2}
    assert any(server.granted[request.request_id] for request in server.along)


def test_what_was_granted_with_a_lost_answer_to_results_is_asked_for_again(server, tmp_path):
    server.grants_along = server.lose_grant_along = True
    jobs = [
        program_job(number, [sh(f"echo {number} >> {tmp_path}/ran")], cores=2)
        for number in range(30)
    ]
    server.add(*jobs)
    with worker(server, tmp_path / "w"):
        for job in jobs:
            assert server.result(job.attempt).outcome == "completed"
    assert not server.lose_grant_along
    assert sorted(map(int, (tmp_path / "ran").read_text().split())) == list(range(30))
    again = {request.request_id for request in server.offers}
    assert again & {request.request_id for request in server.along}


def test_cores_are_offered_once_and_jobs_run_side_by_side(server, tmp_path):
    script = "touch {me}; while [ ! -e {other} ]; do sleep 0.01; done; taskset -cp $$ > {me}.cpu"
    for number, (me, other) in enumerate((("a", "b"), ("b", "a"))):
        text = script.replace("{me}", f"{tmp_path}/{me}").replace("{other}", f"{tmp_path}/{other}")
        server.add(program_job(number, [sh(text)]))
    with worker(server, tmp_path / "w"):
        server.wait_for(lambda: len(server.results) == 2, "both")
    cpus = [(tmp_path / f"{name}.cpu").read_text().rpartition(": ")[2] for name in "ab"]
    assert cpus[0] != cpus[1]


def test_a_wide_job_does_not_wait_for_the_end_of_a_poll(server, tmp_path):
    go = tmp_path / "go"
    server.add(program_job(1, [sh(f"while [ ! -e {go} ]; do sleep 0.01; done")]))
    with worker(server, tmp_path / "w"):
        server.wait_for(lambda: any(r.offer.cores == 1 for r in server.offers), "a narrow poll")
        server.add(program_job(2, [sh("true")], cores=2))
        go.touch()
        assert server.result("p.a2#1").outcome == "completed"
        assert any(request.wait_s > 0 for request in server.offers)


def test_no_more_jobs_at_once_than_wanted(server, tmp_path):
    lock = tmp_path / "lock"
    for number in range(3):
        server.add(program_job(number, [sh(f"mkdir {lock} && sleep 0.05 && rmdir {lock}")]))
    with worker(server, tmp_path / "w", max_jobs=1, job_cores=1, projects=("p",)):
        server.wait_for(lambda: len(server.results) == 3, "all")
        assert {r.outcome for r in server.results.values()} == {"completed"}
        offer = server.offers[0].offer
        assert (offer.max_jobs, offer.job_cores, offer.projects) == (1, 1, ("p",))


def test_a_server_that_comes_back_is_found_again(server, tmp_path):
    def away(path: str) -> None:
        raise Refuse(503, "busy", "restarting")

    with worker(server, tmp_path / "w") as running:
        server.wait_for(lambda: bool(server.offers), "a first poll")
        server.fail = away
        server.add(program_job(1, [sh("true")]))
        wait_until(lambda: "restarting" in running.said(), "a word of the trouble")
        server.fail = lambda path: None
        assert server.result("p.a1#1").outcome == "completed"
        wait_until(lambda: "answers again" in running.said(), "a word of relief")


def test_json_lines_can_be_read_by_programs(server, tmp_path):
    server.add(program_job(1, [sh("true")]))
    with worker(server, tmp_path / "w", json_lines=True) as running:
        server.result("p.a1#1")
        assert running.end() == 0
        lines = [msgspec.json.decode(line) for line in running.said().splitlines()]
    events = [line["event"] for line in lines]
    assert events[:3] == ["started", "machine", "programs"]
    assert "job_started" in events
    assert "job_finished" in events
    assert lines[0]["worker"] == "w1"
