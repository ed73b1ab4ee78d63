"""Simulations of a minute each through the system, and in a shell loop: what does the system cost?

The overhead of a run is what its slot was taken for, or stood idle before it, beyond the time that
mdrun itself says it took: so other load on the machine, which makes mdrun slower in both, does not
count. The system also keeps checkpoints, joins trajectories and brings all files to the server.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import copernicus.modules
from benchmarks.measuring import cpu_seconds, own_seconds
from benchmarks.ours import wait_for
from benchmarks.site import Site, running_site
from copernicus.client import Project

ALA2 = Path(next(iter(copernicus.modules.__path__))) / "data" / "ala2"
MINUTE_S = 60.0
SLOTS = 2
_TRIED = 50_000
_WALL = re.compile(r"^ +Time: +[\d.]+ +([\d.]+)", re.MULTILINE)
Span = tuple[float, float]


def measure(folder: Path, runs: int, seconds: float = MINUTE_S) -> list[dict[str, Any]]:
    """So many runs of about ``seconds`` each, two at a time, in either way."""
    folder.mkdir(parents=True, exist_ok=True)
    tpr = _prepared(folder)
    steps = _steps_lasting(folder, tpr, seconds)
    shell = _loop(folder, tpr, steps, runs)
    with running_site(folder / "site", cores=SLOTS) as site:
        project = site.client.create_project("ensemble")
        ours = _through_us(site, project, tpr, steps, runs)
    found: dict[str, Any] = {"system": "copernicus", "phase": "ensemble", "n": runs}
    found |= {"shell_overhead": shell["overhead"], "run_s": ours["run_s"], "steps": steps}
    found |= {"overhead": ours["overhead"] - shell["overhead"], "cpu_share": ours["cpu_share"]}
    return [found | {"shell_s": shell["seconds"], "seconds": ours["seconds"]}]


def _gmx(folder: Path, *words: object) -> None:
    command = ["gmx", "-quiet", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-500:]}")


def _prepared(folder: Path) -> Path:
    inputs = ("-f", ALA2 / "md_600K.mdp", "-c", ALA2 / "start0.gro", "-p", ALA2 / "topol.top")
    _gmx(folder, "grompp", *inputs, "-o", "run.tpr")
    return folder / "run.tpr"


def _mdrun(folder: Path, tpr: Path, steps: int) -> float:
    """The seconds that one run takes by its own account."""
    folder.mkdir()
    threads = ("-ntmpi", 1, "-ntomp", 1, "-pin", "off", "-nb", "cpu")
    _gmx(folder, "mdrun", "-s", tpr, "-deffnm", "md", "-nsteps", steps, *threads)
    return _wall((folder / "md.log").read_text())


def _wall(log: str) -> float:
    found = _WALL.search(log)
    if not found:
        raise RuntimeError(f"mdrun does not say how long it took: {log[-300:]}")
    return float(found[1])


def _steps_lasting(folder: Path, tpr: Path, seconds: float) -> int:
    taken = _mdrun(folder / "tried", tpr, _TRIED)
    return max(1000, round(_TRIED * seconds / taken / 1000) * 1000)


def _loop(folder: Path, tpr: Path, steps: int, runs: int) -> dict[str, float]:
    """The shell loop's work: two at a time, one after the other."""
    spans: list[Span] = []

    def one(number: int) -> float:
        began = time.time()
        taken = _mdrun(folder / f"loop-{number}", tpr, steps)
        spans.append((began, time.time()))
        return taken

    with ThreadPoolExecutor(SLOTS) as pool:
        walls = list(pool.map(one, range(runs)))
    return _told(spans, walls)


def _through_us(site: Site, project: Project, tpr: Path, steps: int, runs: int) -> dict[str, float]:
    cpu, own = cpu_seconds([os.getpid()]), _own(site)
    copies = [tpr.with_name(f"run{number}.tpr") for number in range(runs)]
    for copy in copies:
        shutil.copy(tpr, copy)
    with project.transaction():
        project.add("run", "gromacs.mdrun", map="tpr", active=True)
        project.set("run.in.nsteps", steps)
        project.set("run.in.tpr", copies)
    wait_for(project, "run", runs)
    share = (_own(site) - own) / (cpu_seconds([os.getpid()]) - cpu)
    spans, walls = [], []
    for number in range(runs):
        (attempt,) = project.trace(f"run.out.conf[{number}]").attempts
        spans.append((attempt.started, attempt.ended))
        (log,) = project.get(f"run.out.logs[{number}]")
        walls.append(_wall(log.read_text()))
    return _told(spans, walls) | {"cpu_share": share}


def _own(site: Site) -> float:
    """CPU seconds of the server and the worker themselves, not of what they started."""
    return sum(own_seconds(pid) for pid in site.pids)


def _told(spans: list[Span], walls: list[float]) -> dict[str, float]:
    idle = _idle(spans)
    taken = sum(ended - began for began, ended in spans)
    return {
        "overhead": (taken + idle - sum(walls)) / sum(walls),
        "run_s": sum(walls) / len(walls),
        "seconds": max(ended for _, ended in spans) - min(began for began, _ in spans),
    }


def _idle(spans: list[Span]) -> float:
    """How long slots stood idle between one run and the next."""
    starts = sorted(began for began, _ in spans)[SLOTS:]
    ends = sorted(ended for _, ended in spans)
    return sum(max(0.0, began - ended) for began, ended in zip(starts, ends, strict=False))


def line(one: dict[str, Any]) -> str:
    """A measurement in one line."""
    return (
        f"{one['n']} simulations of {one['run_s']:.1f} s, two at a time: {one['overhead']:.2%} "
        f"more than a shell loop ({one['seconds']:.1f} s, {one['shell_s']:.1f} s in the loop); "
        f"server and worker used {one['cpu_share']:.2%} of the CPU time"
    )
