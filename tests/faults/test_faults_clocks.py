"""Fault 30: wall clocks that jump, by hours and by years, forward and back, here and there."""

from __future__ import annotations

import re

import pytest

from copernicus.client import Project
from support.clocks import FakeClock
from support.e2e import Env, Worker, all_done, states, wait_until
from support.e2e_programs import count, held, programs_file

pytestmark = pytest.mark.fault_tools

HOUR_S, DAY_S, YEAR_S = 3600.0, 86400.0, 365 * 86400.0
JUMPS = (HOUR_S, -HOUR_S, 2 * DAY_S, -2 * DAY_S, 2 * YEAR_S, -2 * YEAR_S, 0.0)


def outcomes(project: Project, path: str = "c.out.result") -> list[str]:
    return [record.outcome for record in project.trace(path).attempts]


def goes_on(env: Env, when: str) -> None:
    """The job's newest checkpoint is replaced: its worker is heard, and its uploads are taken."""
    before = max((ref.index for ref in env.checkpoints()), default=-1)
    wait_until(
        lambda: any(ref.index > before for ref in env.checkpoints()), f"a checkpoint {when}", 60
    )


def start_worker(
    env: Env, clock: FakeClock | None = None, *options: object, wait: bool = True
) -> Worker:
    variables = clock.variables if clock else {}
    options = ("--programs", programs_file(env), *options)
    return env.start_worker("w", *options, variables=variables, wait=wait)


@pytest.mark.parametrize("place", ["server", "worker"])
def test_fault_30_jumps_of_a_clock_cost_no_lease_and_run_nothing_twice(
    env: Env, place: str
) -> None:
    clock = FakeClock(env.root / "clock")
    env.init_server()
    env.start_server(**(clock.variables if place == "server" else {}))
    project = env.begin()
    worker = start_worker(env, clock if place == "worker" else None)
    with held(env):
        count(env, "c", 100)
        for jump in JUMPS:
            clock.jump(jump)
            goes_on(env, f"after a jump by {jump:+.0f} s")
    wait_until(lambda: all_done(project, "c", 1), "it is done", 120)
    assert outcomes(project) == ["completed"]
    assert worker.process.poll() is None
    assert env.json("project", "list")  # the login holds


def test_fault_30_a_worker_whose_clock_runs_ahead_works_on_and_says_by_how_much(env: Env) -> None:
    """Its certificate seems over; the server, whose clock is right, does not renew it so."""
    clock = FakeClock(env.root / "clock")
    # Life begins five minutes early, for clocks that are a little off: two thirds are soon over.
    project = env.open(worker_certificate_s=160.0)
    worker = start_worker(env, clock)
    with held(env):
        count(env, "c", 100)
        clock.jump(10 * DAY_S)
        wait_until(lambda: "clock is 10.0 days ahead" in worker.said, "it says so", 90)
        goes_on(env, "with a wrong clock")
    clock.jump(0)
    wait_until(lambda: "was renewed" in worker.said, "its clock is set, and it is renewed", 90)
    wait_until(lambda: all_done(project, "c", 1), "it is done", 120)
    assert outcomes(project) == ["completed"]
    assert worker.process.poll() is None


@pytest.mark.parametrize(
    ("jump", "said"),
    [(-2 * DAY_S, "clock is 2.0 days behind"), (2 * YEAR_S, "clock is 730.0 days ahead")],
)
def test_fault_30_a_worker_that_starts_with_a_wrong_clock_is_told_by_how_much(
    env: Env, jump: float, said: str
) -> None:
    env.open()
    joined = start_worker(env)
    assert joined.end() == 0
    clock = FakeClock(env.root / "clock")
    clock.jump(jump)
    again = start_worker(env, clock, wait=False)
    assert again.process.wait(60) != 0
    assert said in again.said
    assert "set the one that is wrong" in again.said
    assert "Traceback" not in again.said
    clock.jump(0)
    start_worker(env, clock)


def test_fault_30_a_command_on_a_machine_with_a_wrong_clock_is_told_by_how_much(env: Env) -> None:
    env.open()
    clock = FakeClock(env.root / "clock")
    clock.jump(-2 * DAY_S)
    env.variables = clock.variables
    done = env.run("project", "list")
    assert done.returncode != 0
    assert re.search("clock is 2.0 days behind the server's", done.stderr), done.stderr
    clock.jump(0)
    assert env.json("project", "list")


@pytest.mark.parametrize(
    ("jump", "said"),
    [(2 * YEAR_S, "clock is 730.0 days behind"), (-2 * DAY_S, "clock is 2.0 days ahead")],
)
def test_fault_30_a_server_started_with_a_wrong_clock_loses_nothing_once_it_is_set(
    env: Env, jump: float, said: str
) -> None:
    """It renews its own certificate meanwhile, by the wrong clock."""
    clock = FakeClock(env.root / "clock")
    project = env.open(lease_s=600.0)
    worker = start_worker(env, None, "--retry", 0.5)
    with held(env):
        count(env, "c", 100)
        goes_on(env, "at the start")
        assert env.stop_server() == 0
        clock.jump(jump)
        env.start_server(**clock.variables)
        wait_until(lambda: said in worker.said, "the worker says by how much", 60)
    assert env.stop_server() == 0
    env.start_server()
    env.log_in()
    project = env.project()
    wait_until(lambda: all_done(project, "c", 1), "it is done", 120)
    assert states(project, "c") == ["done"]
    assert outcomes(project) == ["completed"]
    assert worker.process.poll() is None
