"""How a worker ends: told to, drained, revoked, idle, or killed; what it had goes on elsewhere."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from support.e2e import Env, all_done, is_alive, states, wait_until
from support.e2e_gromacs import (
    EVERY,
    fetch_times,
    first_steps,
    needs_gmx,
    simulations,
    steps_lasting,
)
from support.e2e_programs import count, held, programs_file

pytestmark = pytest.mark.e2e

LAST = 1500


def test_a_terminated_worker_hands_back_and_another_goes_on_at_once(env: Env) -> None:
    # The lease is long: only a job that was handed back can go on within this test.
    project = env.open(heartbeat_s=1.0, lease_s=600.0)
    programs = programs_file(env)
    count(env, "c", LAST)
    first = env.start_worker("first", "--programs", programs)
    wait_until(lambda: env.checkpoints(), "a checkpoint")

    assert first.end(signal.SIGTERM) == 0

    reached = env.checkpoints()[-1].step
    assert states(project, "c") == ["queued"]
    env.start_worker("second", "--programs", programs)
    wait_until(lambda: all_done(project, "c", 1), "it is done")
    assert project.get("c.out.result") == LAST
    assert project.get("c.out.began") == reached > 0
    records = project.trace("c.out.result").attempts
    assert [record.outcome for record in records] == ["stopped", "completed"]


@pytest.mark.gromacs
@needs_gmx
@pytest.mark.timeout(300)
def test_a_terminated_worker_hands_back_a_simulation_with_all_its_steps(env: Env) -> None:
    project = env.open(heartbeat_s=1.0, lease_s=600.0)
    nsteps = steps_lasting(10)
    simulations(env, project, 1, nsteps)
    first = env.start_worker("first")
    wait_until(lambda: first.running("gmx") and env.checkpoints(), "it simulates")

    assert first.end(signal.SIGTERM) == 0

    assert states(project, "run") == ["queued"]
    reached = int(env.checkpoints()[-1].step or 0)
    env.start_worker("second")
    wait_until(lambda: all_done(project, "run", 1), "it is done", 150)
    assert first_steps(env, project, 0) == [0, reached]
    assert fetch_times(env, "run.out.xtc[0]") == (nsteps // EVERY + 1, 1.0)


def test_an_idle_worker_ends_by_itself_after_its_work(env: Env) -> None:
    project = env.open()
    count(env, "c", 10)
    options = ("--programs", programs_file(env), "--idle-exit", 1)
    # It may have ended before one looks whether it has started.
    worker = env.start_worker("w", *options, wait=False)
    assert worker.process.wait(60) == 0
    assert states(project, "c") == ["done"]
    (shown,) = env.json("worker", "list", "--all")
    assert shown["state"] == "silent"  # it said goodbye: nobody counts on it for a lease time


def test_a_drained_worker_takes_nothing_more_and_ends(env: Env) -> None:
    project = env.open()
    programs = programs_file(env)
    count(env, "one", LAST)
    drained = env.start_worker("drained", "--programs", programs)
    wait_until(lambda: env.checkpoints(), "it counts")

    env.cpc("worker", "drain", drained.id)

    count(env, "two", 10)
    assert drained.process.wait(40) == 0
    assert states(project, "two") == ["queued"]
    listed = {view["id"]: view["state"] for view in env.json("worker", "list")}
    assert listed[drained.id] == "silent"
    env.start_worker("other", "--programs", programs)
    wait_until(lambda: all_done(project, "one", 1), "one is done")
    wait_until(lambda: all_done(project, "two", 1), "two is done")


def test_an_idle_worker_is_drained_too(env: Env) -> None:
    env.open()
    worker = env.start_worker("w")
    wait_until(lambda: env.client.workers()[0].state == "connected", "it is connected")
    env.cpc("worker", "drain", worker.id)
    assert worker.process.wait(40) == 0


def test_a_revoked_worker_is_refused_at_once_and_its_job_goes_on_elsewhere(env: Env) -> None:
    project = env.open(heartbeat_s=1.0, lease_s=600.0)
    programs = programs_file(env)
    count(env, "c", LAST)
    with held(env):
        revoked = env.start_worker("revoked", "--programs", programs)
        wait_until(lambda: env.checkpoints(), "a checkpoint")
        below = revoked.running(Path(sys.executable).name)
        assert below

        env.cpc("worker", "revoke", revoked.id, "--yes")

        wait_until(lambda: states(project, "c") == ["queued"], "the job is in the queue", 20)
    assert revoked.process.wait(30) == 3
    last = revoked.said.strip().rpartition("\n")[2]
    assert "revoked" in last
    assert "cpc worker bundle" in last or "bundle" in last
    assert not any(map(is_alive, below))
    env.start_worker("second", "--programs", programs)
    wait_until(lambda: all_done(project, "c", 1), "it is done")
    assert project.get("c.out.began") > 0

    again = env.start_worker("revoked", "--programs", programs, wait=False)
    assert again.process.wait(30) == 3
    assert "revoked" in again.said


def test_a_worker_that_comes_back_after_its_lease_does_not_count_twice(env: Env) -> None:
    """SIGSTOP for longer than the lease: another worker has it; one result counts."""
    project = env.open()
    programs = programs_file(env)
    count(env, "c", LAST)
    first = env.start_worker("first", "--programs", programs)
    wait_until(lambda: env.checkpoints(), "a checkpoint")
    first.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: states(project, "c") == ["queued"], "the lease ends")
        env.start_worker("second", "--programs", programs)
        wait_until(lambda: states(project, "c") == ["running"], "another worker has it")
    finally:
        first.process.send_signal(signal.SIGCONT)
    wait_until(lambda: all_done(project, "c", 1), "it is done")
    wait_until(lambda: "was given up" in first.said or "finished c" in first.said, "it lets go")
    ended = [e for e in project.journal() if e.kind == "activation_ended"]
    assert len(ended) == 1
    assert first.process.poll() is None
