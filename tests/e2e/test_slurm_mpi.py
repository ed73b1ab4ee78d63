"""Programs with MPI over two nodes of a real Slurm, by a worker that hands them to MPIExecutor."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from support.e2e import Env, all_done, element, wait_until
from support.slurm import Slurm, slurm
from support.tutorials import blocks

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.parsl,
    pytest.mark.mpi,
    pytest.mark.timeout(400),
]

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-parsl.md"

RANKS = r"""
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int rank, size;
    char node[64] = "", nodes[64 * 8];
    while (access(argv[1], F_OK) != 0)
        usleep(20000);
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    strncpy(node, getenv("SLURMD_NODENAME"), sizeof node - 1);
    MPI_Gather(node, 64, MPI_CHAR, nodes, 64, MPI_CHAR, 0, MPI_COMM_WORLD);
    if (rank == 0)
        for (int i = 0; i < size; i++)
            printf("rank %d of %d on %s\n", i, size, nodes + 64 * i);
    MPI_Finalize();
    return 0;
}
"""

FUNCTION = """
name = "demo.ranks"
program = "ranks"

[inputs.gate]
type = "str"

[resources]
cores = 2
platform = "mpi"

[[run]]
argv = ["{program}", "{in.gate}"]
mpi = true
stdout = "said.txt"

[outputs.said]
file = "said.txt"
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Slurm]:
    """A Slurm with two nodes of one core each."""
    with slurm(cpus=1, nodes=2) as made:
        yield made


@pytest.fixture
def options(slurmed: Env) -> tuple[object, ...]:
    """What the page says, on the reader's cluster: its nodes are smaller, its Python elsewhere."""
    env = slurmed
    paths = f"{Path(sys.executable).parent}{os.pathsep}{env.variables['PATH']}"
    env.variables["PATH"] = paths
    told = {block.option("file"): block.text for block in blocks(PAGE.read_text())}
    config = told["parsl_mpi.py"]
    for theirs, ours in {
        "max_workers_per_block=2": "max_workers_per_block=1, heartbeat_period=1",
        'label="mpi"': 'label="mpi", address="127.0.0.1", heartbeat_threshold=5',
        # The second waits in Slurm for the nodes of the first: Parsl looks only once in a minute.
        "max_blocks=1": "init_blocks=2, max_blocks=2",
        "nodes_per_block=4": "nodes_per_block=2",
        "cores_per_node=16": "cores_per_node=1, exclusive=False",
        "source ~/copernicus-env/bin/activate; module load openmpi": f"export PATH={paths}",
        "executors=": "strategy_period=1, usage_tracking=0, executors=",
    }.items():
        assert config.count(theirs) == 1, theirs
        config = config.replace(theirs, ours)
    env.write("ranks.c", RANKS)
    subprocess.run(["mpicc", "ranks.c", "-o", "ranks"], cwd=env.root, check=True)
    programs = env.write("parsl-programs.toml", told["parsl-programs.toml"])
    return ("--parsl", env.write("parsl_mpi.py", config), "--programs", programs)


def ranks(env: Env) -> dict[str, str]:
    """The nodes on which ranks of this environment run, each with its batch job."""
    found = {}
    for process in psutil.process_iter(["exe"]):
        if process.info["exe"] == str(env.root / "ranks"):
            try:
                told = process.environ()
            except psutil.Error:
                continue
            found[told["SLURMD_NODENAME"]] = told["SLURM_JOB_ID"]
    return found


def on_both(env: Env) -> dict[str, str] | None:
    found = ranks(env)
    return found if len(found) == 2 else None


def test_ranks_are_spread_over_nodes_and_a_job_survives_the_loss_of_them(
    slurmed: Env, cluster: Slurm, options: tuple[object, ...]
) -> None:
    env = slurmed
    project = env.open(lease_s=600.0, backoff_max_s=1.0)
    worker = env.start_worker("w", *options, cores=2, wait=False)
    wait_until(lambda: "programs:" in worker.said or worker.process.poll(), "it starts", 90)
    assert worker.process.poll() is None, worker.said
    env.cpc("define", env.write("ranks.toml", FUNCTION))
    for name in ("lost", "unwanted"):
        project.add(name, "demo.ranks")
        project.set(f"{name}.in.gate", str(env.root / name))

    project.activate("lost")
    first = wait_until(lambda: on_both(env), "a rank waits on each node", 120)
    assert set(first) == {"node1", "node2"}
    (batch_job,) = set(first.values())
    cluster.run("scancel", batch_job)

    def again() -> bool:
        found = on_both(env)
        return found is not None and batch_job not in found.values()

    wait_until(again, "they are started again, in another batch job", 120)
    (env.root / "lost").touch()
    wait_until(lambda: all_done(project, "lost", 1), "it is done", 60)
    said = project.get("lost.out.said").download(env.root / "said.txt").read_text()
    assert sorted(said.splitlines()) == ["rank 0 of 2 on node1", "rank 1 of 2 on node2"]
    assert "Parsl lost the program or its node" in worker.said

    project.activate("unwanted")
    wait_until(lambda: on_both(env), "its ranks run on both nodes", 120)
    env.cpc("cancel", "unwanted")
    wait_until(lambda: not ranks(env), "they end with it, on both nodes", 60)
    assert element(project, "unwanted").state != "done"
    assert cluster.jobs(), "the nodes are kept for the next job"
    assert worker.end(seconds=90) == 0
    wait_until(lambda: not cluster.jobs(), "Parsl's batch jobs end with the worker", 60)
