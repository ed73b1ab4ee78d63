"""A real worker with more jobs than cores: they wait their turn, or go back; results together."""

from __future__ import annotations

import pytest

from support.worker_process import worker
from support.worker_server import program_job, scripted_server, sh


@pytest.fixture
def server(tmp_path):
    with scripted_server(tmp_path) as server:
        server.grants_all = True
        yield server


def attempts(count):
    return [f"p.a{number}#1" for number in range(count)]


def all_results(server, count):
    return [server.result(name).outcome for name in attempts(count)]


def test_short_jobs_wait_their_turn_and_all_are_done(server, tmp_path):
    server.add(*(program_job(number, [sh("true")]) for number in range(40)))
    with worker(server, tmp_path / "w"):
        assert all_results(server, 40) == ["completed"] * 40
    assert sum(server.batches) >= 20


def test_a_server_of_the_version_before_takes_them_one_by_one(server, tmp_path):
    server.of_the_version_before = True
    server.add(*(program_job(number, [sh("true")]) for number in range(20)))
    with worker(server, tmp_path / "w"):
        assert all_results(server, 20) == ["completed"] * 20
    assert server.batches == []


def test_what_waits_for_a_long_job_is_handed_back(server, tmp_path):
    long = [program_job(number, [sh("sleep 100")]) for number in range(2)]
    server.add(*long, *(program_job(number, [sh("true")]) for number in range(2, 6)))
    with worker(server, tmp_path / "w"):
        assert [server.result(name).outcome for name in attempts(6)[2:]] == ["stopped"] * 4
        assert not set(attempts(2)) & set(server.results)


def test_a_worker_that_ends_hands_back_what_waits(server, tmp_path):
    server.add(*(program_job(number, [sh("sleep 100")]) for number in range(6)))
    with worker(server, tmp_path / "w") as running:
        server.wait_for(lambda: len(server.granted) > 0, "a grant")
        running.process.terminate()
        assert all_results(server, 6) == ["stopped"] * 6
