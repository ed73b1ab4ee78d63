"""A worker in a batch job of a real Slurm: it knows when that ends, and loses nothing."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from support.e2e import CPC, Env, all_done, states, wait_until
from support.e2e_programs import count, programs_file
from support.slurm import Slurm

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300)]

LAST = 3000


def submit(env: Env, cluster: Slurm, minutes: int, *options: object) -> tuple[str, Path]:
    """A batch job that is a worker; its id, and where it says what it does."""
    output = env.root / f"batch-{minutes}.log"
    argv = [*CPC, "worker", "start", "--bundle", env.bundle, "--cores", 1]
    argv += [
        "--work-dir",
        env.root / f"batch-{minutes}",
        "--programs",
        programs_file(env),
        *options,
    ]
    script = env.write("job.sh", f"#!/bin/bash\nexec {shlex.join(map(str, argv))}\n")
    said = cluster.run("sbatch", f"--time={minutes}", f"--output={output}", "--parsable", script)
    return said.strip(), output


def test_fault_19_a_worker_in_a_job_of_slurm_hands_back_before_that_ends(
    env: Env, cluster: Slurm
) -> None:
    # The lease is long: only a job that was handed back can go on within this test.
    project = env.open(heartbeat_s=1.0, lease_s=600.0)
    count(env, "c", LAST, pause=0.05)
    # Of a minute it leaves the grace: it has twenty seconds to work, of the minutes that it needs.
    job, output = submit(env, cluster, 1, "--grace", 40)
    wait_until(lambda: env.checkpoints(), "a checkpoint")
    wait_until(lambda: job not in cluster.jobs(), "its batch job ends", 80)

    said = output.read_text()
    assert "its batch job ends in " in said
    assert "its wall time is nearly over" in said
    assert "TIME LIMIT" not in said
    assert states(project, "c") == ["queued"]
    assert env.checkpoints()[-1].step


def test_fault_19_scancel_lets_a_worker_hand_its_job_back(env: Env, cluster: Slurm) -> None:
    project = env.open(heartbeat_s=1.0, lease_s=600.0)
    count(env, "c", LAST)
    job, output = submit(env, cluster, 10)
    wait_until(lambda: env.checkpoints(), "a checkpoint")

    cluster.run("scancel", job)

    wait_until(lambda: job not in cluster.jobs(), "its batch job ends")
    wait_until(lambda: env.client.workers()[0].state == "silent", "it says goodbye")
    reached = env.checkpoints()[-1].step
    env.start_worker("after", "--programs", programs_file(env))
    wait_until(lambda: all_done(project, "c", 1), "it is done")
    assert project.get("c.out.began") == reached > 0
    assert "signal SIGTERM" in output.read_text()
    assert sys.executable in (env.root / "job.sh").read_text()
