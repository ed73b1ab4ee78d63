"""The page about looking at a running job, done to the letter; and what it says of ended jobs."""

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
    made = Reader(env.root, env.environment(PATH=path, COLUMNS="80"), (0, 0))
    yield made
    for terminal in made.terminals.values():
        terminal.kill()


@pytest.mark.e2e
@pytest.mark.timeout(200)
def test_look_at_a_running_job(env: Env, reader: Reader) -> None:
    project = env.open()
    sh = env.write("programs.toml", '[programs.sh]\ncommand = ["/bin/sh"]\n')
    env.start_worker("w1", "--programs", sh)
    reader.follow(HOW_TO / "look-at-a-running-job.md")
    log = reader.terminals["log"]
    assert log.process.wait(30) == 0, "following ends with the job"
    told = log.log.read_text().splitlines()
    steps = [int(line.split()[1]) for line in told if line.startswith("step ")]
    assert steps == list(range(steps[0], steps[-1] + 1)), "no line twice, none left out"

    (kept,) = project.series("run")
    env.stop_server()
    env.start_server()
    page = project.ended_jobs()
    assert [(job.path, job.state) for job in page.jobs] == [("run", "cancelled")]
    assert page.older == ""
    assert "step " in project.job(page.jobs[0].id).log_tail
    assert project.series("run")[0].rows == kept.rows
    for steps in (1, 2, 3):
        project.set("run.in.steps", steps)
        wait_until(lambda n=steps: n in shown_steps(project), f"the walk of {steps}")
    first = project.ended_jobs(count=3)
    rest = project.ended_jobs(first.older, 3)
    jobs = [job.id for job in (*first.jobs, *rest.jobs)]
    assert len(jobs) == len(set(jobs)) == 4
    assert jobs[-1] == page.jobs[0].id
    assert [job.state for job in first.jobs] == ["done"] * 3
    said = env.run("jobs", "--ended", "--count", 3)
    assert f"cpc jobs --older {first.older.rpartition('.')[2]}" in said.stderr
    assert len(env.json("jobs", "--older", first.older.rpartition(".")[2])) == 1


def shown_steps(project) -> set[int]:
    view = project.instances()[0]
    if view.state != "done":
        return set()
    return {len(project.get("run.out.path").read_text().splitlines()) - 1}
