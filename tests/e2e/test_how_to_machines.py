"""The pages about machines, done to the letter."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.e2e import Env, wait_until
from support.tutorials import Reader

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
