"""A pool that starts its workers through a real Slurm: from zero, through trouble, to zero."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import psutil
import pytest

from copernicus.worker.spool import file_name
from support.e2e import Env, all_done, wait_until
from support.e2e_gromacs import (
    EVERY,
    fetch_times,
    first_steps,
    needs_gmx,
    simulations,
    steps_lasting,
)
from support.slurm import Slurm

pytestmark = [pytest.mark.slurm, pytest.mark.parsl, pytest.mark.timeout(400)]

QUICK = {"provision": ["slurm"], "provision_s": 0.5, "provision_poll_s": 1.0, "lease_s": 600.0}


def pool(env: Env) -> Any:
    return env.json("pool", "show", "cluster")


def allocations(env: Env, *wanted: str) -> list[Any]:
    (found,) = [one for one in env.client.pools() if one.name == "cluster"]
    return [one for one in found.allocations if not wanted or one.state in wanted]


def simulating(env: Env) -> list[psutil.Process]:
    """The simulations that run below the workers of this environment."""
    return [
        process
        for process in psutil.process_iter(["name", "cwd"])
        if process.info["name"] == "gmx" and str(env.root) in (process.info["cwd"] or "")
    ]


def scancelled(env: Env, cluster: Slurm) -> str:
    """The allocation whose batch job was cancelled while its simulation was in the middle."""
    jobs = {one.id: one.job for one in allocations(env) if one.job}
    held: list[psutil.Process] = []

    def frozen() -> str:
        known = {file_name(f"{one.job}#{one.attempt}") for one in env.checkpoints()}
        for process in simulating(env):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
                held.append(process)
                found = [one for one in jobs if one in process.cwd()]
                if found and Path(process.cwd()).parent.name in known:
                    return found[0]
                process.resume()
        return ""

    victim = wait_until(frozen, "a simulation with a checkpoint stands still", 90)
    # Slurm lets what it ends go on, so that it can obey.
    cluster.run("scancel", jobs[victim])
    for process in held:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
    return str(victim)


@pytest.mark.gromacs
@needs_gmx
def test_a_pool_grows_from_zero_survives_scancel_and_shrinks_to_zero(
    slurmed: Env, cluster: Slurm
) -> None:
    env = slurmed
    project = env.open(**QUICK)
    env.cpc(
        *("pool", "add", "cluster", "--provision", "slurm", "--partition", "main"),
        *("--cores", 1, "--walltime", "10min", "--max", 2, "--idle", "3s"),
    )
    assert pool(env).get("allocations", []) == []
    assert not cluster.jobs()
    nsteps = steps_lasting(6)
    simulations(env, project, 3, nsteps)

    wait_until(lambda: len(allocations(env, "working")) == 2, "it grows to two workers", 90)
    assert len(cluster.jobs()) == 2
    wait_until(lambda: env.checkpoints() and simulating(env), "they simulate", 60)
    victim = scancelled(env, cluster)

    wait_until(lambda: all_done(project, "run", 3), "all are done", 120)
    for index in range(3):
        assert fetch_times(env, f"run.out.xtc[{index}]") == (nsteps // EVERY + 1, 1.0)
    parts = [first_steps(env, project, index) for index in range(3)]
    interrupted = [part for part in parts if len(part) > 1]
    assert interrupted, "the job of the cancelled worker went on elsewhere"
    assert all(part[1] > 0 for part in interrupted), "from its last checkpoint"

    wait_until(lambda: not cluster.jobs(), "it shrinks to zero", 60)
    wait_until(lambda: len(allocations(env)) == len(allocations(env, "ended")), "it knows", 30)
    assert pool(env)["core_hours"] > 0
    ended = {one.id: one for one in allocations(env)}
    assert "cancelled" in ended[victim].why
    assert not list((env.server / "pools" / "cluster").glob("*/worker.cpc")), "no secret is left"
    assert [view.state for view in env.client.workers()] == ["revoked"] * len(ended)


def test_a_server_that_is_killed_finds_its_batch_jobs_again(slurmed: Env, cluster: Slurm) -> None:
    env = slurmed
    project = env.open(**QUICK)
    env.cpc(
        *("pool", "add", "cluster", "--provision", "slurm", "--cores", 1, "--walltime", "10min"),
        *("--min", 1, "--max", 1, "--idle", "1s", "--worker=--retry=1"),
    )
    wait_until(lambda: allocations(env, "idle"), "the worker that is always kept", 60)
    (before,) = allocations(env)
    env.kill_server()
    env.start_server()
    wait_until(lambda: allocations(env, "idle"), "the worker is back", 60)
    assert [one.id for one in allocations(env)] == [before.id]
    assert list(cluster.jobs()) == [before.job]

    said = env.json("pool", "remove", "cluster", "--dry-run")
    assert said["workers"] == 1
    env.cpc("pool", "remove", "cluster", "--yes")
    wait_until(lambda: not cluster.jobs(), "its worker ends", 60)
    wait_until(lambda: not env.client.pools(), "nothing is left of the pool")
    assert project.instances() == []


def test_what_slurm_refuses_and_what_fails_to_start_is_told(slurmed: Env, cluster: Slurm) -> None:
    env = slurmed
    env.open(**QUICK)
    base = ("pool", "add", "cluster", "--provision", "slurm", "--min", 1)
    said = env.refused(1, *base, "--option", "queue=x")
    assert "SlurmProvider" in said
    assert "queue" in said
    env.cpc(*base, "--partition", "nowhere")
    wait_until(lambda: allocations(env, "failed"), "Slurm refuses", 60)
    assert "invalid partition specified: nowhere" in allocations(env)[0].why
    wait_until(lambda: "it tries again in" in pool(env)["held_back"], "it says when it tries again")

    # Something wrong on the node: what was written there is told.
    setup = "echo no such module: gromacs/9 >&2; exit 1"
    env.cpc("pool", "set", "cluster", "--partition", "main", "--setup", setup)
    wait_until(lambda: len(allocations(env, "failed")) == 2, "it fails on the node", 60)
    assert "no such module: gromacs/9" in allocations(env)[0].why

    # Somebody else has all cores: Slurm lets it wait, and says why.
    other = cluster.run(
        *("sbatch", "--parsable", "--output=/dev/null", "--cpus-per-task=4"), "--wrap=sleep 300"
    ).strip()
    wait_until(lambda: cluster.jobs().get(other) == "RUNNING", "another job runs")
    env.cpc("pool", "set", "cluster", "--setup", "true")
    reasons = ("Resources", "Priority")
    wait_until(lambda: any(one.why in reasons for one in allocations(env, "pending")), "it waits")
    env.cpc("pool", "remove", "cluster", "--now", "--yes")
    wait_until(lambda: list(cluster.jobs()) == [other], "nothing is left", 60)


def test_only_batch_systems_that_the_server_allows_are_used(env: Env) -> None:
    env.open()
    said = env.refused(1, "pool", "add", "cluster", "--provision", "slurm")
    assert "provision = ['slurm']" in said
