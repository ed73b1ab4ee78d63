"""The measured work on our system: a real server, a real worker, mTLS, the journal on disk."""

from __future__ import annotations

import hashlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measuring import cpu_seconds
from benchmarks.site import COPY, TRUE, Site, running_site
from copernicus.client import Project
from copernicus.sdk.toml_functions import read_function

WARM_UP = 20
FSYNCS = 200
_LOOK_S = 0.05


def measure(folder: Path, phase: str, n: int) -> dict[str, Any]:
    """One measurement in a fresh site; the results are checked before it counts."""
    with running_site(folder) as site:
        return measure_at(site, phase, n)


def measure_at(site: Site, phase: str, n: int) -> dict[str, Any]:
    """One measurement at a site that runs."""
    work = {
        "noop": _noop,
        "true": _true,
        "files": _files,
        "chain": _chain,
        "latency": _latency,
    }[phase]
    project = site.client.create_project(f"{phase}-{n}-{time.time_ns()}")
    run = work(project, n)
    next(run)
    # The server and the worker are children of this process, which is the client.
    cpu, began = cpu_seconds([os.getpid()]), time.perf_counter()
    next(run, None)
    wall = time.perf_counter() - began
    spent = cpu_seconds([os.getpid()]) - cpu
    found = {"n": n, "seconds": wall, "cpu_ms": spent / n * 1e3}
    return found | ({"fsync_ms": fsync_ms(site.folder)} if phase == "chain" else {})


def fsync_ms(folder: Path) -> float:
    """What it takes to have a page more of a file on disk, at this moment: the median."""
    taken = []
    with (folder / "synced").open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - began) * 1e3)
    return statistics.median(taken)


def _noop(project: Project, n: int) -> Iterator[None]:
    mapped(project, "noop.echo", "warm", WARM_UP)
    yield
    mapped(project, "noop.echo", "run", n)
    _check(project.value("run.out.result").value == list(range(n)), "other results than expected")


def _true(project: Project, n: int) -> Iterator[None]:
    project.define(read_function(TRUE, "bench.toml"))
    mapped(project, "bench.true", "warm", WARM_UP)
    yield
    mapped(project, "bench.true", "run", n)
    files = project.value("run.out.out").value
    _check(len(files) == n and all(file["size"] == 0 for file in files), "files are missing")


def _files(project: Project, n: int) -> Iterator[None]:
    """From the client's files to results that are stored at the server, and read back."""
    project.define(read_function(COPY, "bench.toml"))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, str(i)) for i in range(WARM_UP + n)]
        for i, path in enumerate(paths):
            path.write_bytes(b"%09d\n" % i * 100)
        mapped(project, "bench.copy", "warm", paths[:WARM_UP])
        yield
        mapped(project, "bench.copy", "run", paths[WARM_UP:])
        found = project.value("run.out.out").value
        wanted = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths[WARM_UP:]]
        _check([file["$file"] for file in found] == wanted, "other files than expected")


def _chain(project: Project, n: int) -> Iterator[None]:
    mapped(project, "noop.echo", "warm", WARM_UP)
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
    mapped(project, "noop.echo", "run", WARM_UP)
    with _listening(project) as ended:
        yield
        for i in range(n):
            project.append("run.in.x", WARM_UP + i)
            event = next(ended)
            _check(event["outputs"]["result"] == WARM_UP + i, "another result than expected")


def mapped(project: Project, function: str, path: str, over: int | list[Any]) -> None:
    """Run a function on numbers, or these values; return when every one of them is done."""
    values = list(range(over)) if isinstance(over, int) else over
    with project.transaction():
        project.add(path, function, map="x", active=True)
        project.set(f"{path}.in.x", values)
    wait_for(project, path, len(values))


def wait_for(project: Project, path: str, n: int) -> None:
    """Until so many elements are done."""
    while (counts := _counts(project, path)).get("done", 0) < n:
        _check(not counts.get("failed"), f"{path}: {counts}")
        time.sleep(_LOOK_S)


def _counts(project: Project, path: str) -> dict[str, int]:
    return next(view for view in project.instances() if view.path == path).counts


@contextmanager
def _listening(project: Project) -> Iterator[Iterator[dict[str, Any]]]:
    since = project.view().position
    events = project.events(since)
    yield (e.event for e in events if e.kind == "activation_ended")


def _check(right: bool, wrong: str) -> None:
    if not right:
        raise RuntimeError(wrong)
