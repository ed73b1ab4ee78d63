"""Alanine dipeptide in vacuum, simulated by the real GROMACS of real workers."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import copernicus.modules
from copernicus.client import Project
from support.e2e import Env, Worker

ALA2 = Path(next(iter(copernicus.modules.__path__))) / "data" / "ala2"
EVERY = 500
_SETTINGS = {
    "nstxout-compressed": EVERY,
    "nstenergy": EVERY,
    "nstlog": 5000,
    "gen-seed": 3,
    "ld-seed": 5,
}

# In CI a missing program is a failure, never a silent skip.
needs_gmx = pytest.mark.skipif(
    shutil.which("gmx") is None and not os.environ.get("CI"),
    reason="GROMACS is not installed (apt-get install gromacs)",
)


def start(index: int) -> Path:
    return ALA2 / f"start{index}.gro"


def mdp_text(**changes: object) -> str:
    """Parameters with a frame every 500 steps (1 ps)."""
    wanted = {key.lower().replace("_", "-"): value for key, value in changes.items()}
    wanted = {**_SETTINGS, **wanted}
    lines = (ALA2 / "md_600K.mdp").read_text().splitlines()
    kept = [line for line in lines if line.partition("=")[0].strip() not in wanted]
    return "\n".join([*kept, *(f"{key} = {value}" for key, value in wanted.items())]) + "\n"


def steps_lasting(seconds: float) -> int:
    """Steps that take a core at least about ``seconds``, by what this machine does in one.

    A simulation that a test is to interrupt has to last longer than the interruption takes to
    come, on a machine of any speed.
    """
    return round(seconds * _steps_per_s() / 5000) * 5000


@functools.cache
def _steps_per_s() -> float:
    """The best of some measurements: the others were disturbed.

    If all were, the disturbance may be over soon: half of what a core alone does is the least.
    """
    tried = 50_000
    command = ["gmx", "-quiet", "mdrun", "-s", "t.tpr", "-nsteps", str(tried)]
    command += ["-ntmpi", "1", "-ntomp", "1"]
    with tempfile.TemporaryDirectory() as folder:

        def run(*argv: object) -> None:
            subprocess.run(list(map(str, argv)), cwd=folder, capture_output=True, check=True)

        mdp = Path(folder, "md.mdp")
        mdp.write_text(mdp_text())
        inputs = ("-f", mdp, "-c", start(0), "-p", ALA2 / "topol.top", "-o", "t.tpr")
        run("gmx", "-quiet", "grompp", *inputs)
        took, worked = [], []
        for _ in range(3):
            began = time.monotonic()
            process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            assert process.returncode == 0
            took.append(time.monotonic() - began)
            worked.append(used.ru_utime + used.ru_stime)
    return max(tried / min(took), tried / min(worked) / 2)


def simulations(env: Env, project: Project, count: int, nsteps: int) -> None:
    """``prep`` (grompp) and ``run`` (mdrun), mapped over starting structures, all active."""
    with project.transaction():
        project.add("prep", "gromacs.grompp", map="conf", active=True)
        project.add("run", "gromacs.mdrun", map="tpr", active=True)
        project.connect("prep.out.tpr", "run.in.tpr")
        project.set("prep.in.top", ALA2 / "topol.top")
        project.set("prep.in.mdp", env.write("md.mdp", mdp_text()))
        project.set("run.in.nsteps", nsteps)
        project.set("run.in.checkpoint_every", 0.01)
        project.set("prep.in.conf", [start(i) for i in range(count)])


def times(trajectory: Path) -> tuple[int, float]:
    """Frames of a trajectory and the time between them (ps); ``gmx check`` finds no gap."""
    asked = subprocess.run(
        ["gmx", "-quiet", "check", "-f", str(trajectory)],
        capture_output=True,
        text=True,
        check=True,
    )
    said = asked.stdout + asked.stderr
    assert "don't match" not in said, said
    found = re.search(r"^Step +(\d+) +([\d.]+)", said, re.MULTILINE)
    assert found, said
    return int(found[1]), float(found[2])


def fetch_times(env: Env, path: str) -> tuple[int, float]:
    target = env.root / f"{path.replace('.', '-')}.xtc"
    env.cpc("get", path, "-o", target)
    return times(target)


def first_steps(env: Env, project: Project, index: int) -> list[int]:
    """The step that each part of a simulation began with, from their logs in order."""
    logs = sorted(project.get(f"run.out.logs[{index}]"), key=lambda file: file.name)
    texts = [log.download(env.root / f"{index}-{log.name}").read_text() for log in logs]
    found = [re.search(r"^  step: +(\d+)", text, re.MULTILINE) for text in texts]
    return [int(match[1]) if match else 0 for match in found]


@contextlib.contextmanager
def frozen(worker: Worker) -> Iterator[None]:
    """Simulations stand still, so that what is done meanwhile is done in the middle of them."""
    running = worker.running("gmx")
    assert running, worker.said
    for process in running:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    try:
        yield
    finally:
        for process in running:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()
