"""An adaptive loop: what does a generation cost when there have been hundreds before it?

Each generation is ``WIDTH`` calls and a model of their results. Once in the engine alone, once
with a real server and worker; both also with an evaluator that dies every so many generations,
so that the function is run again from its start with its recorded answers.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.engine_world import engine_world
from benchmarks.site import Site, running_site

WIDTH = 10
DEATHS_EVERY = 100


def measure(folder: Path, generations: int) -> list[dict[str, Any]]:
    """Both forms, each without and with deaths: seconds after each generation."""
    found = []
    for every in (0, max(1, DEATHS_EVERY * generations // 1000)):
        common = {"phase": "loop", "n": generations, "deaths_every": every}
        found.append({**common, "system": "engine", **_engine(generations, every)})
        with running_site(folder / f"site-{every}") as site:
            found.append({**common, "system": "copernicus", **_server(site, generations, every)})
    return found


def _engine(generations: int, every: int) -> dict[str, Any]:
    world, compute = engine_world()
    began = time.perf_counter()
    world.add("ad", "w.adaptive", starts=list(range(WIDTH)), generations=generations)
    times = []
    while world.queue:
        world.work(compute, limit=WIDTH + 1)
        times.append(time.perf_counter() - began)
        if every and len(times) % every == 0 and world.evaluations:
            world.evict("ad")
    _check(len(times) == generations and world.status("ad") == "done", "the loop did not end")
    return _told(times) | {"events": len(world.journal)}


def _server(site: Site, generations: int, every: int) -> dict[str, Any]:
    project = site.client.create_project(f"loop-{every}")
    events = project.events(project.view().position)
    began = time.perf_counter()
    cpu = psutil.Process(site.server).cpu_times()
    with project.transaction():
        project.add("ad", "noop.loop", active=True)
        project.set("ad.in.starts", list(range(WIDTH)))
        project.set("ad.in.generations", generations)
    times: list[float] = []
    for entry in events:
        if entry.kind == "evaluation_ended":
            break
        if entry.kind != "await_answered":
            continue
        times.append(time.perf_counter() - began)
        if every and len(times) % every == 0:
            _kill_evaluators(site.server)
    _check(len(times) == generations, "the loop did not end")
    spent = psutil.Process(site.server).cpu_times()
    seconds = spent.user + spent.system - cpu.user - cpu.system
    return _told(times) | {"server_cpu_ms": seconds / generations * 1e3}


def _kill_evaluators(server: int) -> None:
    for child in psutil.Process(server).children():
        if "copernicus.evaluator" in child.cmdline():
            os.kill(child.pid, signal.SIGKILL)


def _told(times: list[float]) -> dict[str, Any]:
    tenth = max(1, len(times) // 10)
    return {
        "seconds": times[-1],
        "first_tenth_ms": times[tenth - 1] / tenth * 1e3,
        "last_tenth_ms": (times[-1] - times[-tenth - 1]) / tenth * 1e3,
        "times": [round(one, 4) for one in times],
    }


def _check(right: bool, wrong: str) -> None:
    if not right:
        raise RuntimeError(wrong)


def line(one: dict[str, Any]) -> str:
    """A measurement in one line."""
    deaths = f"a death every {one['deaths_every']}" if one["deaths_every"] else "no deaths"
    return (
        f"{one['system']:<11} loop of {one['n']:,} generations of {WIDTH}, {deaths:<20} "
        f"{one['seconds']:>7.2f} s; a generation: first tenth {one['first_tenth_ms']:.1f} ms, "
        f"last tenth {one['last_tenth_ms']:.1f} ms"
    )


def plot(found: list[dict[str, Any]], path: Path) -> None:
    """Seconds over generations."""
    from matplotlib.figure import Figure

    systems = ("engine", "copernicus")
    figure = Figure(figsize=(9, 4), layout="constrained")
    for axes, system in zip(figure.subplots(1, 2), systems, strict=True):
        for one in (one for one in found if one["system"] == system):
            every = one["deaths_every"]
            label = f"evaluator dies every {every}" if every else "no deaths"
            axes.plot(range(1, len(one["times"]) + 1), one["times"], label=label)
        axes.set(title=system, xlabel="generations", ylabel="seconds", ylim=(0, None))
        axes.legend()
    figure.savefig(path, dpi=120)
