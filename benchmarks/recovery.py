"""How long until all is well again after ``kill -9``: of a server with many jobs, of a worker.

Everything is as it is by default, the lease and the heartbeats, too: so the second takes minutes.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measuring import own_seconds
from benchmarks.queued import submit
from benchmarks.site import running_site, running_worker, server_again
from copernicus.client import Project
from copernicus.model import edits
from copernicus.protocol import JobView

SLEEP = """
name = "bench.sleep"
program = "sleep"

[inputs.x]
type = "int"

[[run]]
argv = ["{program}", "{in.x}"]
stdout = "out.txt"

[outputs.out]
file = "out.txt"
"""
JOB_S = 3600
_LOOK_S = 0.05
_PATIENCE_S = 900.0


def measure(folder: Path, n: int) -> list[dict[str, Any]]:
    """A server that is killed with ``n`` jobs queued, and a worker that is killed at its work."""
    found = {"system": "copernicus", "phase": "recovery", "n": n}
    return [found | _server(folder / "a", n) | _worker(folder / "b")]


def _server(folder: Path, n: int) -> dict[str, Any]:
    """From the kill to the first answer about the project."""
    with running_site(folder, worker=False) as site:
        project = site.client.create_project("queued")
        project.edit(edits.SetBudget({"queued": None}))
        submit(project, n)
        os.kill(site.server, signal.SIGKILL)
        psutil.wait_procs([psutil.Process(site.server)], timeout=30)
    began = time.perf_counter()
    with server_again(site) as (client, server, seconds):
        client.project("queued").view()
        answered = time.perf_counter() - began
        return {"ready_s": seconds, "answered_s": answered, "server_cpu_s": own_seconds(server)}


def _worker(folder: Path) -> dict[str, Any]:
    """From the kill to the same job running on another worker."""
    with running_site(folder, cores=1) as site:
        project = site.client.create_project("lost")
        definition = folder / "sleep.toml"
        definition.write_text(SLEEP)
        project.define(definition)
        project.add("nap", "bench.sleep", active=True)
        project.set("nap.in.x", JOB_S)
        _running(project, attempts=1)
        with running_worker(site, "second", cores=1):
            for process in _tree(site.pids[1]):
                process.kill()
            began = time.perf_counter()
            _running(project, attempts=2)
            seconds = time.perf_counter() - began
        return {"elsewhere_s": seconds}


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _running(project: Project, attempts: int) -> JobView:
    """The job, once an attempt of this number runs."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        for job in project.jobs():
            found = project.job(job.id)
            if found.state == "running" and found.attempts >= attempts:
                return found
        time.sleep(_LOOK_S)
    raise RuntimeError(f"attempt {attempts} never ran")


def line(one: dict[str, Any]) -> str:
    """A measurement in one line."""
    return (
        f"server with {one['n']:,} jobs: ready {one['ready_s']:.1f} s after the start that follows "
        f"kill -9, first answer {one['answered_s']:.1f} s ({one['server_cpu_s']:.1f} s of CPU); "
        f"job of a killed worker running elsewhere after {one['elsewhere_s']:.1f} s"
    )
