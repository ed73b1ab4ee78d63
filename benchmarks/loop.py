"""An adaptive loop: what does a generation cost when there have been hundreds before it?

Each generation is ``WIDTH`` calls and a model of their results. Once in the engine alone, once
with a real server and worker; both also with an evaluator that dies every so many generations,
so that the function is run again from its start with its recorded answers. What counts is the CPU
time of each process: the wall time grows with whatever else runs.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.engine_world import engine_world
from benchmarks.measuring import cpu_seconds, own_seconds
from benchmarks.site import Site, running_site

WIDTH = 10
DEATHS_EVERY = 100
POINTS = 50
Spent = dict[str, float]


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
    began, cpu = time.perf_counter(), time.process_time()
    world.add("ad", "w.adaptive", starts=list(range(WIDTH)), generations=generations)
    times = []
    spent: list[Spent] = []
    while world.queue:
        world.work(compute, limit=WIDTH + 1)
        times.append(time.perf_counter() - began)
        if len(times) % max(1, generations // POINTS) == 0:
            spent.append({"engine": time.process_time() - cpu})
        if every and len(times) % every == 0 and world.evaluations:
            world.evict("ad")
    _check(len(times) == generations and world.status("ad") == "done", "the loop did not end")
    return _told(times, spent, generations) | {"events": len(world.journal)}


def _server(site: Site, generations: int, every: int) -> dict[str, Any]:
    project = site.client.create_project(f"loop-{every}")
    events = project.events(project.view().position)
    began = time.perf_counter()
    used = _Used(site)
    with project.transaction():
        project.add("ad", "noop.loop", active=True)
        project.set("ad.in.starts", list(range(WIDTH)))
        project.set("ad.in.generations", generations)
    times: list[float] = []
    spent: list[Spent] = []
    for entry in events:
        if entry.kind == "evaluation_ended":
            break
        if entry.kind != "await_answered":
            continue
        times.append(time.perf_counter() - began)
        if len(times) % max(1, generations // POINTS) == 0:
            spent.append(used.now())
        if every and len(times) % every == 0:
            used.now()
            _kill_evaluators(site.server)
    _check(len(times) == generations, "the loop did not end")
    return _told(times, spent, generations)


class _Used:
    """The CPU time of a site's processes since now, those that have died included."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._evaluators: dict[int, float] = {}
        self._before: Spent = {}
        self._before = self.now()

    def now(self) -> Spent:
        """Seconds by the kind of process."""
        server, worker = self._site.pids
        for pid in _evaluators(server):
            self._evaluators[pid] = own_seconds(pid)
        present = {
            "server": own_seconds(server),
            "evaluators": sum(self._evaluators.values()),
            "worker": cpu_seconds([worker]),
        }
        return {name: used - self._before.get(name, 0.0) for name, used in present.items()}


def _evaluators(server: int) -> list[int]:
    children = psutil.Process(server).children()
    return [child.pid for child in children if "copernicus.evaluator" in child.cmdline()]


def _kill_evaluators(server: int) -> None:
    for pid in _evaluators(server):
        os.kill(pid, signal.SIGKILL)


def _told(times: list[float], spent: list[Spent], generations: int) -> dict[str, Any]:
    tenth = max(1, len(times) // 10)
    step = max(1, generations // POINTS)
    each = {
        name: [
            round((after[name] - before[name]) / step * 1e3, 3)
            for before, after in zip([dict.fromkeys(spent[0], 0.0), *spent], spent, strict=False)
        ]
        for name in spent[0]
    }
    return {
        "cpu_ms": each,
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
        f"last tenth {one['last_tenth_ms']:.1f} ms; of CPU: {_cpu_line(one)}"
    )


def _cpu_line(one: dict[str, Any]) -> str:
    """The CPU time of a generation in the first and the last fifth, by process."""
    told = []
    for name, each in one["cpu_ms"].items():
        fifth = max(1, len(each) // 5)
        first, last = sum(each[:fifth]) / fifth, sum(each[-fifth:]) / fifth
        told.append(f"{name} {first:.1f}, then {last:.1f} ms")
    return "; ".join(told)


def plot(found: list[dict[str, Any]], path: Path) -> None:
    """Above the seconds since the start, below the CPU time of a generation, over generations."""
    from matplotlib.figure import Figure

    systems = ("engine", "copernicus")
    figure = Figure(figsize=(9, 8), layout="constrained")
    for (axes, below), system in zip(figure.subplots(2, 2).T, systems, strict=True):
        for one in (one for one in found if one["system"] == system):
            every = one["deaths_every"]
            label = f"evaluator dies every {every}" if every else "no deaths"
            axes.plot(range(1, len(one["times"]) + 1), one["times"], label=label)
            for name, each in one["cpu_ms"].items():
                step = one["n"] / len(each)
                at = [step * (place + 1) for place in range(len(each))]
                below.plot(at, each, label=f"{name}, {label}")
        axes.set(title=system, xlabel="generations", ylabel="seconds", ylim=(0, None))
        axes.legend()
        below.set(xlabel="generations", ylabel="CPU ms per generation", ylim=(0, None))
        below.legend(fontsize="small")
    figure.savefig(path, dpi=120)
