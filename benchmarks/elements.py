"""Many elements: how long it takes to add, run, look at and load them, and how much memory.

Of every look the server's own CPU time is told, too: it says more than the wall time where other
things run.
"""

from __future__ import annotations

import contextlib
import sqlite3
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measuring import own_seconds
from benchmarks.site import Site, running_site, server_again
from copernicus.client import Project

APPENDS = 50
LOOKS = 5
_LOOK_S = 1.0
_SNAPSHOT_S = 120.0


def looks_of(project: Project, n: int) -> dict[str, Callable[[], object]]:
    """What people ask of a project, by what it is called here."""
    return {
        "status": project.instances,
        "show": lambda: project.instance("run"),
        "why": lambda: project.why("run"),
        "output": lambda: project.value(f"run.out.result[{n // 2}]"),
        "input": lambda: project.value("run.in.x[5]"),
        "jobs": project.jobs,
    }


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
        found["after"] = _looked(project, n, site.server)
        found["server_mb"] = _megabytes(site.server)
        found["snapshot_share"] = _snapshot_share(site)
    with server_again(site) as (client, server, seconds):
        found |= {"restart_s": seconds, "restart_cpu_s": own_seconds(server)}
        found["restarted_mb"] = _megabytes(server)
        project = client.project("elements")
        counts = project.instances()[0].counts
        if counts != {"done": n + APPENDS + 1000}:
            raise RuntimeError(f"after the restart: {counts}")
        found["restarted"] = _looked(project, n, server)
    return [found]


def _set_and_run(site: Site, project: Project, n: int) -> dict[str, Any]:
    looks = looks_of(project, n)
    taken: dict[str, list[float]] = {name: [] for name in looks}
    cpu, began = own_seconds(site.server), time.perf_counter()
    set_ms = _ms(lambda: _set(project, n))
    while project.instances()[0].counts.get("done", 0) < n:
        for name, look in looks.items():
            taken[name].append(_ms(look))
        time.sleep(_LOOK_S)
    seconds = time.perf_counter() - began
    spent = own_seconds(site.server) - cpu
    return {
        "set_s": set_ms / 1e3,
        "seconds": seconds,
        "per_second": n / seconds,
        "server_cpu_ms_each": spent / n * 1e3,
        "worst_ms": {name: max(every, default=0.0) for name, every in taken.items()},
        "median_ms": {name: statistics.median(every or [0.0]) for name, every in taken.items()},
    }


def _looked(project: Project, n: int, server: int) -> dict[str, dict[str, float]]:
    """The median wall time of each look, and the CPU time that the server needs for it."""
    found = {}
    for name, look in looks_of(project, n).items():
        cpu = own_seconds(server)
        walls = [_ms(look) for _ in range(LOOKS)]
        spent = (own_seconds(server) - cpu) / LOOKS * 1e3
        found[name] = {"ms": statistics.median(walls), "server_cpu_ms": spent}
    return found


def _snapshot_share(site: Site) -> float:
    """How much of the journal the snapshot spares the next start; waits for one that is due."""
    share = 0.0
    for _ in range(int(_SNAPSHOT_S / _LOOK_S)):
        with contextlib.closing(sqlite3.connect(site.folder / "server" / "copernicus.db")) as store:
            taken = store.execute("select max(position) from snapshots").fetchone()[0] or 0
            length = store.execute("select max(position) from projects").fetchone()[0]
        share = taken / length
        if share > 0.75 or length < 25_000:
            break
        time.sleep(_LOOK_S)
    return share


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
    """A measurement in a few lines."""
    worst = ", ".join(
        f"{name} {ms:.0f} ({one['median_ms'][name]:.0f})" for name, ms in one["worst_ms"].items()
    )
    after = ", ".join(
        f"{name} {told['ms']:.0f} ({told['server_cpu_ms']:.0f})"
        for name, told in one["after"].items()
    )
    return (
        f"{one['n']:,} elements: set in {one['set_s']:.2f} s, {one['per_second']:.0f} run/s, "
        f"server CPU {one['server_cpu_ms_each']:.2f} ms each; one appended in "
        f"{one['append_ms']:.0f} ms, 1,000 at once in {one['append_1000_s']:.2f} s\n"
        f"  while running, worst (median) ms: {worst}\n"
        f"  afterwards, ms (of the server's CPU): {after}\n"
        f"  restart {one['restart_s']:.1f} s ({one['restart_cpu_s']:.1f} s of CPU, a snapshot of "
        f"{one['snapshot_share']:.0%} of the journal); server {one['server_mb']:.0f} MB, "
        f"restarted {one['restarted_mb']:.0f} MB"
    )


def plot(found: list[dict[str, Any]], path: Path) -> None:
    """Times and memory over the number of elements."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4), layout="constrained")
    worst, cpu, rate, memory = figure.subplots(1, 4)
    sizes = [one["n"] for one in found]
    for name in found[0]["worst_ms"]:
        worst.loglog(sizes, [one["worst_ms"][name] for one in found], "o-", label=name)
        spent = [max(one["after"][name]["server_cpu_ms"], 0.1) for one in found]
        cpu.loglog(sizes, spent, "o-", label=name)
    worst.set(title="worst answer while running (ms)", xlabel="elements")
    worst.legend()
    cpu.set(title="server's CPU for an answer (ms)", xlabel="elements")
    cpu.loglog(sizes, [one["restart_cpu_s"] * 1e3 for one in found], "x--", label="restart")
    cpu.legend()
    rate.semilogx(sizes, [one["per_second"] for one in found], "o-")
    rate.set(title="elements run per second", xlabel="elements", ylim=(0, None))
    memory.loglog(sizes, [one["server_mb"] for one in found], "o-", label="after the run")
    memory.loglog(sizes, [one["restarted_mb"] for one in found], "o-", label="restarted")
    memory.set(title="server's memory (MB)", xlabel="elements")
    memory.legend()
    figure.savefig(path, dpi=120)
