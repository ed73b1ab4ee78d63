"""What is queued while nobody works: how long submitting takes, memory, lists, a start after kill.

All of it is on disk before the submission is acknowledged; the server is killed, not ended.
"""

from __future__ import annotations

import os
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measuring import own_seconds
from benchmarks.site import Site, running_site, server_again
from copernicus.client import Project
from copernicus.model import edits

EACH = 100_000
LOOKS = 60
_LOOK_S = 0.2
_PATIENCE_S = 1800.0


def measure(folder: Path, n: int) -> list[dict[str, Any]]:
    """``n`` jobs queued, listed, and found again by a server that was killed."""
    found: dict[str, Any] = {"system": "copernicus", "phase": "queued", "n": n}
    with running_site(folder, worker=False) as site:
        project = site.client.create_project("queued")
        project.edit(edits.SetBudget({"queued": None}))
        cpu, began = own_seconds(site.server), time.perf_counter()
        submit(project, n)
        found["seconds"] = time.perf_counter() - began
        found["server_cpu_s"] = own_seconds(site.server) - cpu
        found["memory_mb"] = _megabytes(site)
        found["list_p95_ms"] = _p95(_pages(project, n))
        os.kill(site.server, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(site.server)], timeout=30)
    with server_again(site) as (client, server, seconds):
        found |= {"restart_s": seconds, "restart_cpu_s": own_seconds(server)}
        found["restarted_mb"] = psutil.Process(server).memory_info().rss / 2**20
        if (queued := _queued(client.project("queued"))) != n:
            raise RuntimeError(f"after the restart: {queued} of {n}")
    return [found]


def submit(project: Project, n: int) -> None:
    """In one project, as mapped instances of up to ``EACH`` elements; until all are queued."""
    for part, start in enumerate(range(0, n, EACH)):
        with project.transaction():
            project.add(f"run{part}", "noop.echo", map="x", active=True)
            project.set(f"run{part}.in.x", list(range(start, min(start + EACH, n))))
    end = time.monotonic() + _PATIENCE_S
    while (queued := _queued(project)) != n:
        if time.monotonic() > end:
            raise RuntimeError(f"not everything is queued: {queued} of {n}")
        time.sleep(_LOOK_S)


def _queued(project: Project) -> int:
    return sum(view.counts.get("queued", 0) for view in project.instances())


def _pages(project: Project, n: int) -> list[Callable[[], object]]:
    """What people list: pages of the elements from the first to the last, jobs, instances."""
    pages: list[Callable[[], object]] = []
    for number in range(LOOKS):
        part, start = divmod(number * n // LOOKS, EACH)
        path = f"run{part}"
        pages.append(lambda path=path, start=start: project.instance_detail(path, start, 100))
    return [*pages, *[project.jobs] * 10, *[project.instances] * 10]


def _p95(looks: list[Callable[[], object]]) -> float:
    taken = []
    for look in looks:
        began = time.perf_counter()
        look()
        taken.append((time.perf_counter() - began) * 1e3)
    return statistics.quantiles(taken, n=20)[-1]


def _megabytes(site: Site) -> float:
    return psutil.Process(site.server).memory_info().rss / 2**20


def line(one: dict[str, Any]) -> str:
    """A measurement in one line."""
    return (
        f"{one['n']:,} queued in {one['seconds']:.1f} s ({one['server_cpu_s']:.1f} s of the "
        f"server's CPU), server {one['memory_mb']:.0f} MB, list page p95 "
        f"{one['list_p95_ms']:.0f} ms; ready {one['restart_s']:.1f} s after a kill "
        f"({one['restart_cpu_s']:.1f} s of CPU), {one['restarted_mb']:.0f} MB"
    )
