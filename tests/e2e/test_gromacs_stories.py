"""Breaking, growing and extending ensembles of real simulations while they run."""

from __future__ import annotations

from collections import Counter

import pytest

from copernicus.client import Project
from copernicus.protocol import JobView
from support.e2e import Env, all_done, element, is_alive, states, wait_until
from support.e2e_gromacs import (
    EVERY,
    fetch_times,
    first_steps,
    frozen,
    needs_gmx,
    simulations,
    start,
    steps_lasting,
)

pytestmark = [pytest.mark.e2e, pytest.mark.gromacs, needs_gmx, pytest.mark.timeout(300)]


def job_of(project: Project, path: str) -> JobView | None:
    detail = element(project, path.partition("[")[0], int(path.partition("[")[2][:-1]))
    return project.job(detail.job) if detail is not None and detail.job else None


def kinds(project: Project) -> Counter[str]:
    return Counter(entry.kind for entry in project.journal())


def attempts(project: Project) -> dict[str, int]:
    return {job.path: job.attempts for job in project.jobs()}


def has_checkpoint(env: Env, project: Project, path: str) -> bool:
    """Whether it runs, and the server holds a checkpoint of it."""
    failures = [view.failure for view in project.instances() if view.failure]
    assert not failures, failures
    job = job_of(project, path)
    assert job is None or job.state in ("queued", "running"), job
    return job is not None and bool(env.checkpoints(job.id))


def test_a_killed_worker_s_simulation_goes_on_elsewhere_from_its_checkpoint(env: Env) -> None:
    project = env.open()
    nsteps = steps_lasting(8)
    simulations(env, project, 1, nsteps)
    first = env.start_worker("first")
    wait_until(lambda: has_checkpoint(env, project, "run[0]"), "a checkpoint at the server")
    assert first.running("gmx")

    below = env.kill_worker(first)
    wait_until(lambda: not any(map(is_alive, below)), "gmx ends with its worker", 10)

    def is_queued_again() -> bool:
        job = job_of(project, "run[0]")
        return job is not None and job.state == "queued"

    wait_until(is_queued_again, "the lease ends")
    assert "worker" in env.json("job", "why", "run[0]")["why"]
    env.start_worker("second")
    wait_until(lambda: all_done(project, "run", 1), "the simulation is done", 150)

    began = first_steps(env, project, 0)
    assert began[0] == 0
    assert len(began) == 2
    assert began[1] > 0
    assert fetch_times(env, "run.out.xtc[0]") == (nsteps // EVERY + 1, 1.0)
    assert attempts(project) == {"prep[0]": 1, "run[0]": 2}
    assert kinds(project)["job_made"] == 2
    assert kinds(project)["activation_ended"] == 2


def test_a_killed_server_comes_back_and_nothing_finished_runs_again(env: Env) -> None:
    project = env.open()
    simulations(env, project, 3, steps_lasting(5))
    worker = env.start_worker()

    def in_the_middle() -> bool:
        return states(project, "run")[:2] == ["done", "running"]

    wait_until(in_the_middle, "the first is done, the second runs", 60)
    (simulation,) = wait_until(lambda: worker.running("gmx"), "it simulates")
    with frozen(worker):
        before = project.journal()
        made = {name: project.value(f"run.out.{name}[0]").digest for name in ("xtc", "conf")}
        env.kill_server()
        assert is_alive(simulation), "the worker stops for nothing"
        env.start_server()

    wait_until(lambda: all_done(project, "run", 3), "all are done", 150)
    assert worker.process.poll() is None
    assert project.journal()[: len(before)] == before
    assert kinds(project)["activation_opened"] == kinds(project)["job_made"] == 6
    assert kinds(project)["activation_ended"] == 6
    assert set(attempts(project).values()) == {1}
    for name, digest in made.items():
        assert project.value(f"run.out.{name}[0]").digest == digest


def test_an_appended_start_is_exactly_one_more_grompp_and_one_more_mdrun(env: Env) -> None:
    project = env.open()
    simulations(env, project, 2, steps_lasting(10))
    worker = env.start_worker(cores=2)
    wait_until(lambda: worker.running("gmx") and states(project, "run"), "a simulation runs")
    wait_until(lambda: has_checkpoint(env, project, "run[0]"), "the first has a checkpoint")

    with frozen(worker):
        env.cpc("append", "prep.in.conf", start(2))
        assert "running" in states(project, "run")

    wait_until(lambda: all_done(project, "run", 3), "all are done", 150)
    assert states(project, "prep") == ["done"] * 3
    assert kinds(project)["activation_opened"] == kinds(project)["job_made"] == 6
    assert set(attempts(project).values()) == {1}
    assert len(attempts(project)) == 6


def test_raising_nsteps_continues_running_and_finished_simulations(env: Env) -> None:
    project = env.open()
    short, long = steps_lasting(6), steps_lasting(7.5)
    simulations(env, project, 2, short)
    worker = env.start_worker()

    def in_the_middle() -> bool:
        return states(project, "run")[:2] == ["done", "running"]

    wait_until(in_the_middle, "the first is done, the second runs", 60)
    shorter = project.value("run.out.xtc[0]").digest
    wait_until(lambda: has_checkpoint(env, project, "run[1]"), "the second has a checkpoint")

    with frozen(worker):
        env.cpc("set", "run.in.nsteps", long)
        assert states(project, "run")[1] != "done"

    wait_until(lambda: all_done(project, "run", 2), "both are longer", 150)
    finished, running = first_steps(env, project, 0), first_steps(env, project, 1)
    assert finished == [0, short]
    assert running[0] == 0
    assert all(step > 0 for step in running[1:])
    assert len(running) == 2
    for index in range(2):
        assert fetch_times(env, f"run.out.xtc[{index}]") == (long // EVERY + 1, 1.0)
    ran = sum(attempts(project).values())

    env.cpc("set", "run.in.nsteps", short)

    wait_until(lambda: all_done(project, "run", 2), "both are shorter", 150)
    assert project.value("run.out.xtc[0]").digest == shorter
    assert fetch_times(env, "run.out.xtc[1]") == (short // EVERY + 1, 1.0)
    assert sum(attempts(project).values()) <= ran + 1
