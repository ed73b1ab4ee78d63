"""The pages about machines, done to the letter."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.model.resources import ranks_of
from support.e2e import Env, wait_until
from support.tutorials import Reader, blocks

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.fixture
def reader(env: Env) -> Iterator[Reader]:
    """Somebody in the folder of ``env``, with its logins."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    made = Reader(env.root, env.environment(PATH=path, COLUMNS="120"), (0, 0))
    yield made
    for terminal in made.terminals.values():
        terminal.kill()


@pytest.mark.e2e
def test_describe_your_machine(env: Env, reader: Reader) -> None:
    reader.follow(HOW_TO / "describe-your-machine.md")
    found = env.json("worker", "machine", "--cores", 1)
    assert len(found["core_ids"]) == 1
    assert found["processor"]


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_choose_where_jobs_run(env: Env, reader: Reader) -> None:
    project = env.open("ala")
    sh = env.write("programs.toml", '[programs.sh]\ncommand = ["/bin/sh"]\n')
    env.start_worker("w1", "--programs", sh)
    reader.follow(HOW_TO / "choose-where-jobs-run.md")

    labels = ("--label", "site=kth")
    env.start_worker("w2", "--programs", sh, *labels)
    wait_until(lambda: project.instances()[0].state == "done", "the job to run at kth")
    view = project.view()
    assert (view.weight, view.priority, view.pools) == (2.5, 10, ())
    env.stop_server()
    env.start_server()
    assert (project.view().weight, project.view().priority) == (2.5, 10)

    env.cpc("pool", "serve", "default", "ala")
    env.cpc("project", "create", "other")
    env.cpc("define", "count.toml")
    env.cpc("add", "run", "demo.count")
    env.cpc("set", "run.in.n", 7)
    env.cpc("activate", "run")
    why = env.json("job", "why", "run")
    wait_until(lambda: env.json("job", "why", "run")["kinds"], "a worker to ask again")
    why = env.json("job", "why", "run")
    assert {kind["reason"].partition(";")[0] for kind in why["kinds"]} == {
        "pool default does not serve the project"
    }
    env.cpc("pool", "serve", "default", "--all")
    other = env.client.project("other")
    wait_until(lambda: other.instances()[0].state == "done", "the pool to serve all again")


@pytest.mark.e2e
@pytest.mark.mpi
@pytest.mark.timeout(300)
def test_use_mpi(env: Env, reader: Reader) -> None:
    env.variables |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    env.variables |= {"OMPI_MCA_rmaps_base_oversubscribe": "1"}
    project = env.open()
    page = HOW_TO / "use-mpi.md"
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.option("file").endswith((".c", "programs.toml")):
            (env.root / block.option("file")).write_text(block.text)
    subprocess.run(["mpicc", "ranks.c", "-o", "ranks"], cwd=env.root, check=True)
    sequential = env.write("plain.toml", '[programs.ranks]\ncommand = ["./ranks"]\nversion = "1"\n')
    env.start_worker("plain", "--programs", sequential)
    env.start_worker("w1", "--programs", env.root / "mpi-programs.toml", cores=2)
    reader.follow(page)
    assert project.get("run.out.sum") == 1
    (attempt,) = project.trace("run.out.ranks").attempts
    assert attempt.cores == 2
    assert [worker.host for worker in env.client.workers() if worker.id == attempt.worker]


def test_ranks_and_threads_use_every_core_once() -> None:
    assert ranks_of(2, 1) == (2, 1)
    assert ranks_of(6, 4) == (2, 3)
    assert ranks_of(7, 4) == (7, 1)
    assert ranks_of(8, 8) == (1, 8)
    assert ranks_of(8, 16) == (1, 8)
