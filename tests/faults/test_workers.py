"""Faults 16 to 19: workers that are killed, frozen, asleep for days, or out of time."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psutil
import pytest
from cryptography import x509

from copernicus.client import Project
from support.clocks import FakeClock
from support.e2e import Env, Worker, all_done, family, is_alive, states, wait_until
from support.e2e_gromacs import (
    EVERY,
    fetch_times,
    first_steps,
    needs_gmx,
    simulations,
    steps_lasting,
)
from support.e2e_programs import count, held, programs_file

LAST = 1500
LONG = {"heartbeat_s": 1.0, "lease_s": 600.0}
DAY_S = 86400


def outcomes(project: Project, path: str = "c.out.result") -> list[str]:
    return [record.outcome for record in project.trace(path).attempts]


def test_fault_16_a_killed_worker_leaves_nothing_running_and_its_job_goes_on_elsewhere(
    env: Env,
) -> None:
    project = env.open()
    programs = programs_file(env)
    count(env, "c", LAST)
    first = env.start_worker("first", "--programs", programs)
    wait_until(lambda: env.checkpoints(), "a checkpoint")

    below = env.kill_worker(first)

    wait_until(lambda: not any(map(is_alive, below)), "its processes end", 15)
    wait_until(lambda: states(project, "c") == ["queued"], "the lease ends")
    env.start_worker("second", "--programs", programs)
    wait_until(lambda: all_done(project, "c", 1), "it is done", 60)
    assert project.get("c.out.began") > 0
    assert outcomes(project) == ["lost", "completed"]


def test_fault_16_what_a_killed_worker_had_finished_is_delivered_by_its_restart(env: Env) -> None:
    project = env.open(**LONG)
    programs = programs_file(env)
    with held(env):
        count(env, "c", 600)
        first = env.start_worker("w", "--programs", programs)
        wait_until(lambda: states(project, "c") == ["running"], "it runs")
        env.kill_server()
    spool = env.root / "w" / "spool"
    wait_until(lambda: list(spool.glob("*.result")), "a result in the spool", 60)
    env.kill_worker(first)
    env.start_server()

    env.start_worker("w", "--programs", programs)

    wait_until(lambda: all_done(project, "c", 1), "it is done")
    assert outcomes(project) == ["completed"]
    assert project.get("c.out.began") == 0


def test_fault_17_a_worker_frozen_beyond_its_lease_lets_go_and_one_result_counts(env: Env) -> None:
    project = env.open()
    programs = programs_file(env)
    count(env, "c", LAST)
    first = env.start_worker("first", "--programs", programs)
    wait_until(lambda: env.checkpoints(), "a checkpoint")
    with frozen(first):
        wait_until(lambda: states(project, "c") == ["queued"], "the lease ends")
        env.start_worker("second", "--programs", programs)
        wait_until(lambda: states(project, "c") == ["running"], "another worker has it")
    wait_until(lambda: all_done(project, "c", 1), "it is done", 60)
    wait_until(lambda: "was given up" in first.said or "finished c" in first.said, "it lets go")
    assert [e.kind for e in project.journal()].count("activation_ended") == 1
    assert first.process.poll() is None


def test_fault_17_what_a_frozen_worker_had_finished_counts_if_it_comes_first(env: Env) -> None:
    project = env.open()
    programs = programs_file(env)
    with held(env):
        count(env, "c", 400)
        first = env.start_worker("first", "--programs", programs)
        wait_until(lambda: counting(first), "its program runs")
        first.process.send_signal(signal.SIGSTOP)
    try:
        # Its program goes on, and ends, while the worker cannot speak.
        wait_until(lambda: not counting(first), "the program ends")
        wait_until(lambda: states(project, "c") == ["queued"], "the lease ends")
    finally:
        first.process.send_signal(signal.SIGCONT)
    wait_until(lambda: all_done(project, "c", 1), "its result counts")
    assert outcomes(project) == ["completed"]


def counting(worker: Worker) -> list[psutil.Process]:
    found = []
    for process in family(worker.process.pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if "--version" not in process.cmdline() and "400" in process.cmdline():
                found.append(process)
    return [process for process in found if is_alive(process)]


@contextlib.contextmanager
def frozen(worker: Worker) -> Iterator[None]:
    """The worker and all that runs below it, as when a laptop is closed."""
    everything = family(worker.process.pid)
    for process in everything:
        process.suspend()
    try:
        yield
    finally:
        for process in everything:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


@pytest.mark.fault_tools
def test_fault_18_a_laptop_that_slept_for_ten_days_renews_itself_and_works(env: Env) -> None:
    """Ten days pass on all clocks while it sleeps; its certificate held for one."""
    clock = FakeClock(env.root / "clock")
    env.variables = clock.variables
    project = env.open(session_idle_s=30.0 * DAY_S, worker_certificate_s=1.0 * DAY_S)
    first = env.start_worker("laptop", "--programs", programs_file(env))
    count(env, "c", LAST)
    wait_until(lambda: states(project, "c") == ["running"], "it runs")
    with frozen(first):
        wait_until(lambda: states(project, "c") == ["queued"], "the lease ends")
        clock.jump(10 * DAY_S)
        assert expiry(env) < datetime.now(UTC) + timedelta(days=10)
    wait_until(lambda: "certificate was renewed" in first.said, "it renews its certificate", 60)
    wait_until(lambda: all_done(project, "c", 1), "it delivers", 60)
    assert expiry(env) > datetime.now(UTC) + timedelta(days=10)
    assert first.process.poll() is None
    assert first.said.count("certificate was renewed") == 1
    assert outcomes(project)[-1] == "completed"


def expiry(env: Env) -> datetime:
    (file,) = (env.root / "laptop").rglob("worker.pem")
    return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc


@pytest.mark.gromacs
@needs_gmx
def test_fault_19_at_the_end_of_its_wall_time_a_worker_hands_back_its_very_last_step(
    env: Env,
) -> None:
    project = env.open(**LONG)
    nsteps = steps_lasting(25)
    simulations(env, project, 1, nsteps)
    first = env.start_worker("first", "--walltime", 18, "--grace", 5)

    assert first.process.wait(60) == 0

    assert "its wall time is nearly over" in first.said
    assert states(project, "run") == ["queued"]
    (reached,) = {int(c.step or 0) for c in env.checkpoints() if c.index == last_index(env)}
    second = env.start_worker("second")
    wait_until(lambda: all_done(project, "run", 1), "it is done", 120)
    assert second.process.poll() is None
    assert first_steps(env, project, 0) == [0, reached]
    assert outcomes(project, "run.out.xtc[0]") == ["stopped", "completed"]
    assert fetch_times(env, "run.out.xtc[0]") == (nsteps // EVERY + 1, 1.0)


def last_index(env: Env) -> int:
    return max(checkpoint.index for checkpoint in env.checkpoints())


def test_fault_19_a_program_that_does_not_stop_is_killed_within_the_grace(env: Env) -> None:
    project = env.open(**LONG)
    programs = env.write("sh.toml", '[programs.sh]\ncommand = ["/bin/sh"]\n')
    project.define(env.write("deaf.toml", DEAF))
    project.add("d", "any.deaf", active=True)
    first = env.start_worker("w", "--programs", programs, "--walltime", 15, "--grace", 3)
    deaf = wait_until(lambda: first.running("sh"), "it runs")
    assert first.process.wait(60) == 0
    assert not any(map(is_alive, deaf))
    assert states(project, "d") == ["queued"]


DEAF = """
name = "any.deaf"
program = "sh"

[[run]]
argv = ["{program}", "-c", "trap '' TERM; while :; do sleep 1; done"]

[outputs.code]
exit_code = true
"""
