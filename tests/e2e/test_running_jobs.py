"""Looking at real simulations while they run: trajectories so far, energies, logs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from copernicus.client import Project
from copernicus.errors import Conflict
from support.e2e import Env, element, is_alive, wait_until
from support.e2e_gromacs import EVERY, mdp_text, needs_gmx, simulations

pytestmark = [pytest.mark.e2e, pytest.mark.gromacs, needs_gmx]

LONG = 5_000_000


def checked(trajectory: Path) -> tuple[int, str]:
    """Whole frames that ``gmx check`` reads, and all that it says."""
    asked = subprocess.run(
        ["gmx", "-quiet", "check", "-f", str(trajectory)],
        capture_output=True,
        text=True,
        check=True,
    )
    said = asked.stdout + asked.stderr
    found = re.search(r"^Step +(\d+)", said, re.MULTILINE)
    assert found, said
    return int(found[1]), said


def simulate(env: Env, project: Project, count: int = 1) -> None:
    """Simulations that no test waits for, whose logs have energies."""
    simulations(env, project, count, LONG)
    with project.transaction():
        project.set("prep.in.mdp", env.write("md.mdp", mdp_text(nstlog=EVERY)))


def frames_so_far(env: Env, path: str, at_least: int) -> Path:
    target = env.root / "so-far.xtc"

    def enough() -> bool:
        done = env.run("get", path, "--partial", "-o", target)
        return done.returncode == 0 and checked(target)[0] >= at_least

    wait_until(enough, f"{at_least} frames so far", 60)
    return target


def test_a_running_simulation_is_looked_at_and_a_killed_worker_takes_it_away(env: Env) -> None:
    project = env.open()
    simulate(env, project, 2)
    first = env.start_worker("first")
    wait_until(lambda: first.running("gmx"), "it runs")
    target = frames_so_far(env, "run[0].out.xtc", 3)
    frames, said = checked(target)
    assert "don't match" not in said

    peek = project.partial("run.out.xtc[0]")[0]
    assert peek.step is not None
    assert peek.total == LONG
    more = frames_so_far(env, "run[0].out.xtc", frames + 5)
    assert checked(more)[0] >= frames + 5
    told = env.run("get", "run[0].out.xtc", "--partial", "-o", target).stderr
    assert re.search(r"run\[0\]\.out\.xtc: so far, taken just now on \S+, at step [\d,]+", told)
    # Of the two elements one runs: without an index, those that run are meant.
    assert [one.path for one in project.partial("run.out.xtc")] == ["run[0].out.xtc"]
    with pytest.raises(Conflict, match=r"run\[1\]\.out\.xtc: it does not run"):
        project.partial("run[1].out.xtc")
    assert "conf of run[0] means nothing before" in env.refused(
        1, "get", "run[0].out.conf", "--partial"
    )

    table = env.json("series", "run[0]")
    assert table["running"] is True
    assert table["columns"][:2] == ["step", "time (ps)"]
    steps = [row[0] for row in table["rows"]]
    assert steps == [EVERY * index for index in range(len(steps))]
    (energies,) = project.series("run[0]")
    assert all(value and 100 < value < 2000 for value in energies["temperature"])

    below = env.kill_worker(first)
    wait_until(lambda: not any(map(is_alive, below)), "gmx ends with its worker", 10)
    job = element(project, "run").job
    wait_until(lambda: project.job(job).state == "queued", "the lease ends")
    with pytest.raises(Conflict, match="it does not run"):
        project.partial("run[0].out.xtc")


def test_the_parts_of_a_continued_simulation_are_one_trajectory(env: Env) -> None:
    project = env.open()
    simulate(env, project)
    first = env.start_worker("first")
    frames, _ = checked(frames_so_far(env, "run[0].out.xtc", 10))
    first.end()
    env.start_worker("second")
    target = frames_so_far(env, "run[0].out.xtc", frames + 10)
    count, said = checked(target)
    assert "don't match" not in said, said
    (energies,) = project.series("run[0]")
    steps = [int(step or 0) for step in energies["step"]]
    assert steps == sorted(set(steps))
    # Where a part ended it also wrote its last step.
    assert set(range(0, steps[-1] + 1, EVERY)) <= set(steps)
    assert count > 10
