"""Many elements: how long it takes to add, run, look at and load them, and how much memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.site import Site, running_site, server_again
from copernicus.client import Project

APPENDS = 50
_LOOK_S = 1.0
_MS = ("append_ms", "status_ms", "show_ms", "value_ms", "jobs_ms", "restart_ms")


def measure(folder: Path, n: int) -> list[dict[str, Any]]:
    """One site: ``n`` elements set at once and run, appended to, looked at, loaded again."""
    found: dict[str, Any] = {"system": "copernicus", "phase": "elements", "n": n}
    with running_site(folder) as site:
        project = site.client.create_project("elements")
        found |= _set_and_run(site, project, n)
        found["append_ms"] = statistics.median(
            _ms(lambda: project.append("run.in.x", 7)) for _ in range(APPENDS)
        )
        found["append_1000_s"] = _ms(lambda: _append_many(project, 1000)) / 1e3
        _wait_until_done(project, n + APPENDS + 1000)
        found["server_mb"] = _megabytes(site.server)
    with server_again(site) as (client, server, seconds):
        found["restart_ms"] = seconds * 1e3
        found["restarted_mb"] = _megabytes(server)
        counts = client.project("elements").instances()[0].counts
        if counts != {"done": n + APPENDS + 1000}:
            raise RuntimeError(f"after the restart: {counts}")
    return [found]


def _set_and_run(site: Site, project: Project, n: int) -> dict[str, Any]:
    looks: dict[str, Callable[[], object]] = {
        "status_ms": project.instances,
        "show_ms": lambda: project.instance("run"),
        "value_ms": lambda: project.value(f"run.out.result[{n // 2}]"),
        "jobs_ms": project.jobs,
    }
    taken: dict[str, list[float]] = {name: [] for name in looks}
    began = time.perf_counter()
    set_ms = _ms(lambda: _set(project, n))
    while project.instances()[0].counts.get("done", 0) < n:
        for name, look in looks.items():
            taken[name].append(_ms(look))
        time.sleep(_LOOK_S)
    seconds = time.perf_counter() - began
    worst = {name: max(every, default=0.0) for name, every in taken.items()}
    return {"set_s": set_ms / 1e3, "seconds": seconds, "per_second": n / seconds, **worst}


def _set(project: Project, n: int) -> None:
    with project.transaction():
        project.add("run", "noop.echo", map="x", active=True)
        project.set("run.in.x", list(range(n)))


def _append_many(project: Project, count: int) -> None:
    with project.transaction():
        for value in range(count):
            project.append("run.in.x", value)


def _wait_until_done(project: Project, n: int) -> None:
    while project.instances()[0].counts != {"done": n}:
        time.sleep(_LOOK_S)


def _ms(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1e3


def _megabytes(pid: int) -> float:
    return psutil.Process(pid).memory_info().rss / 2**20


def line(one: dict[str, Any]) -> str:
    """A measurement in one line."""
    times = ", ".join(f"{name.removesuffix('_ms')} {one[name]:.0f}" for name in _MS)
    return (
        f"{one['n']:,} elements: set in {one['set_s']:.2f} s, {one['per_second']:.0f} run/s, "
        f"1,000 appended in {one['append_1000_s']:.2f} s; ms (worst while running): {times}; "
        f"server {one['server_mb']:.0f} MB, restarted {one['restarted_mb']:.0f} MB"
    )


def plot(found: list[dict[str, Any]], path: Path) -> None:
    """Times and memory over the number of elements."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    times, rate, memory = figure.subplots(1, 3)
    sizes = [one["n"] for one in found]
    for name in _MS:
        times.loglog(sizes, [one[name] for one in found], "o-", label=name.removesuffix("_ms"))
    times.set(title="milliseconds", xlabel="elements")
    times.legend()
    rate.semilogx(sizes, [one["per_second"] for one in found], "o-")
    rate.set(title="elements run per second", xlabel="elements", ylim=(0, None))
    memory.loglog(sizes, [one["server_mb"] for one in found], "o-", label="after the run")
    memory.loglog(sizes, [one["restarted_mb"] for one in found], "o-", label="restarted")
    memory.set(title="server's memory (MB)", xlabel="elements")
    memory.legend()
    figure.savefig(path, dpi=120)
