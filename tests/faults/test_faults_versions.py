"""Workers and servers of other versions: the lines that differ are changed before they start."""

from __future__ import annotations

import pytest

from support.crashes import check_made_once
from support.e2e import Env, all_done, states, wait_until
from support.e2e_programs import count, programs_file

SPEAKS = "from copernicus.protocol import common, machine; import copernicus.protocol as p; "
SPEAKS += "common.PROTOCOL = p.PROTOCOL = {0}"


def speaks(protocol: int) -> str:
    """The lines by which a process is of another version."""
    return SPEAKS.format(protocol)


def closed(env: Env) -> None:
    for worker in env.workers:
        if worker.process.poll() is None:
            worker.end()
    assert env.stop_server() == 0
    check_made_once(env)


def test_fault_14_a_worker_of_the_version_before_works(env: Env) -> None:
    project = env.open()
    env.stop_server()
    env.start_server(prelude=speaks(2))
    env.start_worker("w", "--programs", programs_file(env))
    count(env, "c", 20)
    wait_until(lambda: all_done(project, "c", 1), "it is done")
    closed(env)


def test_fault_14_a_newer_worker_is_told_to_have_the_server_upgraded(env: Env) -> None:
    env.open()
    worker = env.start_worker("w", prelude=speaks(2), wait=False)
    assert worker.process.wait(60) != 0
    assert "protocol 2, the server 1: upgrade the server" in worker.said


@pytest.mark.timeout(300)
def test_fault_14_a_worker_that_became_too_old_delivers_and_ends(env: Env) -> None:
    project = env.open(max_wait_s=1.0, lease_s=60.0)
    worker = env.start_worker("w", "--programs", programs_file(env), "--retry", 0.5, cores=2)
    count(env, "c", 600)
    wait_until(lambda: states(project, "c") == ["running"], "it runs")
    env.stop_server()
    env.start_server(prelude=speaks(3))
    assert worker.process.wait(60) == 1
    assert "speaks protocol 1, the server 3: upgrade the worker" in worker.said
    assert states(env.project(), "c") == ["done"]
    closed(env)
