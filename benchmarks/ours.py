"""The measured work on our system: a real server, a real worker, mTLS, the journal on disk."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measuring import cpu_seconds
from benchmarks.site import TRUE, Site, running_site
from copernicus.client import Project

WARM_UP = 20
_LOOK_S = 0.2


def measure(folder: Path, phase: str, n: int) -> dict[str, Any]:
    """One measurement in a fresh site; the results are checked before it counts."""
    with running_site(folder) as site:
        return measure_at(site, phase, n)


def measure_at(site: Site, phase: str, n: int) -> dict[str, Any]:
    """One measurement at a site that runs."""
    work = {"noop": _noop, "true": _true, "chain": _chain, "latency": _latency}[phase]
    project = site.client.create_project(f"{phase}-{n}-{time.time_ns()}")
    run = work(project, n)
    next(run)
    # The server and the worker are children of this process, which is the client.
    cpu, began = cpu_seconds([os.getpid()]), time.perf_counter()
    next(run, None)
    wall = time.perf_counter() - began
    spent = cpu_seconds([os.getpid()]) - cpu
    return {"n": n, "seconds": wall, "cpu_ms": spent / n * 1e3}


def _noop(project: Project, n: int) -> Iterator[None]:
    _mapped(project, "noop.echo", "warm", WARM_UP)
    yield
    _mapped(project, "noop.echo", "run", n)
    _check(project.value("run.out.result").value == list(range(n)), "other results than expected")


def _true(project: Project, n: int) -> Iterator[None]:
    project.define(_described())
    _mapped(project, "bench.true", "warm", WARM_UP)
    yield
    _mapped(project, "bench.true", "run", n)
    files = project.value("run.out.out").value
    _check(len(files) == n and all(file["size"] == 0 for file in files), "files are missing")


def _chain(project: Project, n: int) -> Iterator[None]:
    _mapped(project, "noop.echo", "warm", WARM_UP)
    yield
    with _listening(project) as ended, project.transaction():
        for i in range(n):
            project.add(f"x{i}", "noop.echo", active=True)
            if i:
                project.connect(f"x{i - 1}.out.result", f"x{i}.in.x")
        project.set("x0.in.x", 7)
    for _ in range(n):
        next(ended)
    _check(project.value(f"x{n - 1}.out.result").value == 7, "another result than expected")


def _latency(project: Project, n: int) -> Iterator[None]:
    _mapped(project, "noop.echo", "run", WARM_UP)
    with _listening(project) as ended:
        yield
        for i in range(n):
            project.append("run.in.x", WARM_UP + i)
            event = next(ended)
            _check(event["outputs"]["result"] == WARM_UP + i, "another result than expected")


def _mapped(project: Project, function: str, path: str, n: int) -> None:
    with project.transaction():
        project.add(path, function, map="x", active=True)
        project.set(f"{path}.in.x", list(range(n)))
    while next(v for v in project.instances() if v.path == path).counts.get("done", 0) < n:
        time.sleep(_LOOK_S)


@contextmanager
def _listening(project: Project) -> Iterator[Iterator[dict[str, Any]]]:
    since = project.view().position
    events = project.events(since)
    yield (e.event for e in events if e.kind == "activation_ended")


def _described() -> Any:
    from copernicus.sdk.toml_functions import read_function

    return read_function(TRUE, "bench.toml")


def _check(right: bool, wrong: str) -> None:
    if not right:
        raise RuntimeError(wrong)
