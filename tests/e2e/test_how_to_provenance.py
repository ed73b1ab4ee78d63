"""The pages about traces and moves, done to the letter, where work is under way."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.client import Client
from copernicus.client.client import save_worker_bundle
from copernicus.server.folder import init_server
from support.e2e import ADMIN_PASSWORD, Env, wait_until
from support.e2e_gromacs import needs_gmx, simulations
from support.e2e_programs import count, programs_file
from support.tutorials import Reader

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.fixture
def reader(env: Env) -> Iterator[Reader]:
    """Somebody in the folder of ``env``, with its logins."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = env.environment(PATH=path, COLUMNS="120")
    made = Reader(env.root, variables, (0, 0))
    yield made
    for terminal in made.terminals.values():
        terminal.kill()


def log_in_as(env: Env, profile: str, folder: Path) -> Client:
    bundle = folder / "client.cpc"
    return Client.login(bundle, "admin", ADMIN_PASSWORD, profile=profile, config=env.config)


@pytest.mark.e2e
@pytest.mark.timeout(200)
def test_move_a_project(env: Env, reader: Reader) -> None:
    project = env.open()
    programs = programs_file(env)
    other = env.root / "other"
    local = {"host": "127.0.0.1", "machine_port": 0, "user_port": 0, "evaluators": 1}
    init_server(other, ["127.0.0.1"], ADMIN_PASSWORD, local)
    env.start_server(other)
    with log_in_as(env, "new", other) as there:
        save_worker_bundle(env.root / "new.cpc", there.worker_bundle())
        env.start_worker("x", "--programs", programs, bundle=env.root / "new.cpc")
        worker = env.start_worker("w", "--programs", programs)
        count(env, "slow", 1000, 0.02)
        wait_until(env.checkpoints, "there is a checkpoint")
        log_in_as(env, "old", env.server).close()
        reader.follow(HOW_TO / "move-a-project.md")
        (before, after) = there.project("p").trace("slow.out.result").attempts
        assert (before.worker, before.outcome) == (worker.id, "moved")
        assert after.outcome == "completed"
        assert there.project("p").get("slow.out.result") == 1000
        assert there.project("p").get("slow.out.began") > 0
    assert project.view().state == "paused"


@pytest.mark.e2e
@pytest.mark.timeout(200)
def test_trace_and_reproduce(env: Env, reader: Reader) -> None:
    env.open()
    env.start_worker("w", "--programs", programs_file(env))
    reader.follow(HOW_TO / "trace-and-reproduce.md")
    assert [job.path for job in env.project().jobs()].count("three") == 0


@pytest.mark.e2e
@pytest.mark.gromacs
@needs_gmx
@pytest.mark.timeout(300)
def test_a_real_simulation_is_traced_extended_reproduced_and_published(env: Env) -> None:
    project = env.open()
    env.start_worker("w")
    simulations(env, project, 1, 1000)
    project.wait("run", 120)
    env.cpc("set", "run.in.nsteps", 2000)
    project.wait("run", 120)
    told = env.json("trace", "run.out.xtc[0]")
    last = told["steps"][told["roots"][0]]
    assert last["function"] == "gromacs.mdrun"
    assert told["steps"][last["parent"]]["inputs"]["nsteps"] == 1000
    (made,) = last["origins"]["tpr"]
    prep = told["steps"][made]
    assert prep["function"] == "gromacs.grompp"
    assert prep["inputs"]["conf"]["name"].endswith(".gro")
    assert prep["attempts"][0]["program_version"]
    assert last["attempts"][-1]["checkpoint"]["step"] == 2000
    text = env.cpc("trace", "run.out.xtc[0]")
    assert "continues run[0]" in text

    before = env.json("project", "info")
    done = env.run("reproduce", last["parent"], "--timeout", 120, "--json")
    compared = {one["port"]: one["verdict"] for one in json.loads(done.stdout)["outputs"]}
    # Logs and checkpoints say when and how fast; the physics of one core is the same.
    assert (compared["xtc"], compared["conf"]) == ("identical", "identical"), done.stdout
    assert done.returncode == (5 if "differs" in compared.values() else 0)
    assert env.json("project", "info") == before

    env.cpc("project", "export", "--ro-crate", "ala.zip")
    with zipfile.ZipFile(env.root / "ala.zip") as crate:
        graph = json.loads(crate.read("ro-crate-metadata.json"))["@graph"]
    programs = {e["name"] for e in graph if e["@type"] == "SoftwareApplication"}
    assert {"gromacs", "gromacs.mdrun", "gromacs.grompp", "Copernicus"} <= programs
