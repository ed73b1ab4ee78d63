"""A worker that hands its jobs to Parsl's HighThroughputExecutor, on the nodes of a real Slurm."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

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
from support.e2e_programs import count, programs_file
from support.evaluators import install
from support.slurm import Slurm

pytestmark = [pytest.mark.slurm, pytest.mark.parsl, pytest.mark.timeout(400)]

CONFIG = """
import parsl
from parsl.executors import HighThroughputExecutor
from parsl.launchers import SimpleLauncher
from parsl.providers import SlurmProvider

config = parsl.Config(
    executors=[
        HighThroughputExecutor(
            label="nodes",
            address="127.0.0.1",
            cores_per_worker=1,
            max_workers_per_node=1,
            heartbeat_period=1,
            heartbeat_threshold=5,
            provider=SlurmProvider(
                partition="main",
                cores_per_node=1,
                exclusive=False,
                init_blocks=2,
                max_blocks=2,
                walltime="00:10:00",
                worker_init="export PATH=PATHS",
                launcher=SimpleLauncher(),
            ),
        )
    ],
    strategy_period=1,
    usage_tracking=0,
)
"""


@pytest.fixture
def config(slurmed: Env) -> Path:
    """The configuration of Parsl, by which its jobs find this environment's Python and Slurm."""
    paths = f"{Path(sys.executable).parent}{os.pathsep}{slurmed.variables['PATH']}"
    slurmed.variables["PATH"] = paths
    return slurmed.write("parsl_config.py", CONFIG.replace("PATHS", paths))


def scancelled(env: Env, cluster: Slurm) -> str:
    """The job whose node was taken away in the middle of its simulation, after a checkpoint."""
    held: list[psutil.Process] = []

    def frozen() -> tuple[str, str] | None:
        known = {file_name(f"{ref.job}#{ref.attempt}"): ref.job for ref in env.checkpoints()}
        for process in psutil.process_iter(["name", "cwd"]):
            if process.info["name"] != "gmx" or str(env.root) not in (process.info["cwd"] or ""):
                continue
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
                held.append(process)
                job = known.get(Path(process.cwd()).parent.name, "")
                if job:
                    return job, process.environ()["SLURM_JOB_ID"]
                process.resume()
        return None

    job, batch_job = wait_until(frozen, "a simulation with a checkpoint stands still", 90)
    cluster.run("scancel", batch_job)
    for process in held:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.resume()
    return str(job)


@pytest.mark.gromacs
@needs_gmx
def test_simulations_run_on_nodes_through_parsl_and_survive_the_loss_of_one(
    slurmed: Env, cluster: Slurm, config: Path
) -> None:
    env = slurmed
    project = env.open(lease_s=600.0, backoff_max_s=1.0)
    nsteps = steps_lasting(6)
    simulations(env, project, 3, nsteps)
    worker = env.start_worker("w", "--parsl", config, cores=2, wait=False)
    wait_until(lambda: "programs:" in worker.said or worker.process.poll(), "it starts", 90)
    (view,) = env.client.workers()
    assert (view.cores, view.pool) == (2, "default")
    lost = scancelled(env, cluster)
    assert not worker.running("gmx"), "nothing is simulated by the worker itself"

    wait_until(lambda: all_done(project, "run", 3), "all are done", 200)
    for index in range(3):
        assert fetch_times(env, f"run.out.xtc[{index}]") == (nsteps // EVERY + 1, 1.0)
    (record, *_) = [job for job in project.jobs() if job.id == lost]
    (index,) = [i for i in range(3) if record.path == f"run[{i}]"]
    began = first_steps(env, project, index)
    assert len(began) > 1, worker.said
    assert began[1] > 0, "from its last checkpoint"
    assert "Parsl lost the program or its node" in worker.said
    assert worker.end(seconds=90) == 0
    wait_until(lambda: not cluster.jobs(), "Parsl's batch jobs end with the worker", 60)


def test_tasks_run_on_nodes_and_what_is_cancelled_ends_there(
    slurmed: Env, cluster: Slurm, config: Path
) -> None:
    env = slurmed
    library = env.root / "lib"
    install(library, {"nodes": "nodes_module"})
    env.write("lib/nodes_module.py", MODULE)
    paths = [str(library), os.environ.get("PYTHONPATH", "")]
    env.variables["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    project = env.open(lease_s=600.0)
    options = ("--parsl", config, "--programs", programs_file(env))
    worker = env.start_worker("w", *options, cores=2, wait=False)
    wait_until(lambda: "programs:" in worker.said or worker.process.poll(), "it starts", 90)
    assert worker.process.poll() is None, worker.said
    with project.transaction():
        project.add("here", "nodes.where", map="text", active=True)
        project.set("here.in.text", ["a", "b", "c"])
    wait_until(lambda: all_done(project, "here", 3), "the tasks are done", 120)
    assert {project.get(f"here.out.job[{i}]") for i in range(3)} <= set(cluster.jobs())
    written = project.get("here.out.file[2]").download(env.root / "written")
    assert written.read_text() == "c"
    assert "here is a" in env.cpc("log", "here[0]")

    count(env, "c", 10_000_000)
    wait_until(lambda: counting(env), "it counts on a node", 60)
    env.cpc("cancel", "c")
    wait_until(lambda: not counting(env), "it ends there", 60)

    env.kill_worker(worker)
    wait_until(lambda: not cluster.jobs(), "Parsl's batch jobs end with a killed worker, too", 60)


MODULE = """
import os
from copernicus.sdk import File, Module, current_task, task

@task(outputs={"job": str, "file": File})
def where(text: str):
    \"\"\"Say which batch job this is.\"\"\"
    path = current_task().folder / "written.txt"
    path.write_text(text)
    print("here is", text)
    return {"job": os.environ["SLURM_JOB_ID"], "file": File.new(path)}

module = Module("nodes", "1.0", [where])
"""


def counting(env: Env) -> list[psutil.Process]:
    """The counters that run in a folder of this environment, and are not its own children."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(env.root / "count.sh.py") in (process.info["cmdline"] or [])
    ]
