"""Many model workers at one server: does everybody have work, and what does that cost the server?

They are connected as real ones are: each with its own certificate and its own TLS connection, one
after the other, beating as often as the server says. They share this machine with the server, in
a process of their own.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import uvloop

from benchmarks.measuring import own_seconds
from benchmarks.model_worker import EMPTY, ModelWorker, joined
from benchmarks.site import TRUE, Site, running_site
from copernicus.client.client import save_worker_bundle
from copernicus.model import edits
from copernicus.sdk.toml_functions import read_function

JOB_S = 60.0
ROUNDS = 3
_JOIN_AT_ONCE = 8
_CONNECT_PER_S = 40.0
_PATIENCE_S = 3600.0


def measure(folder: Path, workers: int, job_s: float = JOB_S) -> list[dict[str, Any]]:
    """So many workers that hold jobs of ``job_s`` seconds each, for some rounds of jobs."""
    with running_site(folder, worker=False) as site:
        project = site.client.create_project("fleet")
        project.define(read_function(TRUE, "true.toml"))
        with project.transaction():
            project.edit(edits.SetBudget({"queued": None, "core_hours": None}))
            project.add("run", "bench.true", map="x", active=True)
            project.set("run.in.x", list(range(workers * (ROUNDS + 2))))
        bundle = folder / "fleet.cpc"
        save_worker_bundle(bundle, site.client.worker_bundle(uses=workers))
        found = _run(site, bundle, folder / "fleet", workers, job_s)
    common = {"system": "copernicus", "phase": "fleet", "n": workers, "job_s": job_s}
    return [common | found]


def _run(site: Site, bundle: Path, folder: Path, workers: int, job_s: float) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.fleet", str(bundle), str(folder)]
    process = subprocess.Popen(
        [*command, str(workers), str(job_s)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert process.stdout
    try:
        _expect(process.stdout.readline(), "connected")
        server, fleet = own_seconds(site.server), own_seconds(process.pid)
        began = time.perf_counter()
        told = process.stdout.readline()
        seconds = time.perf_counter() - began
        memory = psutil.Process(site.server).memory_info().rss / 2**20
        spent = own_seconds(site.server) - server, own_seconds(process.pid) - fleet
    finally:
        process.terminate()
        process.wait()
    found: dict[str, Any] = json.loads(told)
    return found | {
        "seconds": seconds,
        "memory_mb": memory,
        "server_cores": spent[0] / seconds,
        "fleet_cores": spent[1] / seconds,
    }


def _expect(told: str, wanted: str) -> None:
    if told.strip() != wanted:
        raise RuntimeError(f"the model workers said {told!r}")


class Shift:
    """How long the workers were at work while all of them were there; to deliver is no work."""

    def __init__(self) -> None:
        self.began = self.ends = 0.0
        self.worked_s = 0.0
        self.jobs = 0

    def worked(self, since: float, until: float) -> None:
        """A worker was at work so long; what lies outside of the shift does not count."""
        if self.began:
            self.worked_s += max(0.0, min(until, self.ends) - max(since, self.began))
            self.jobs += 1


async def _fleet(bundle: Path, folder: Path, count: int, job_s: float) -> None:
    gate = asyncio.Semaphore(_JOIN_AT_ONCE)

    async def member(number: int) -> ModelWorker:
        async with gate:
            return ModelWorker(await joined(bundle, folder / str(number)), ("true",))

    workers = await asyncio.gather(*map(member, range(count)))
    shift, first = Shift(), [asyncio.Event() for _ in workers]
    tasks = []
    for worker, working in zip(workers, first, strict=True):
        tasks.append(asyncio.create_task(_work(worker, job_s, shift, working)))
        await asyncio.sleep(1 / _CONNECT_PER_S)
    for working in first:
        async with asyncio.timeout(_PATIENCE_S):
            await working.wait()
    shift.began = time.monotonic()
    shift.ends = shift.began + ROUNDS * job_s
    print("connected", flush=True)
    # What runs at the end of the shift counts for it when it is done.
    await asyncio.sleep(ROUNDS * job_s)
    seconds = time.monotonic() - shift.began
    jobs = shift.jobs
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for worker in workers:
        await worker.link.close()
    told = {"busy": shift.worked_s / (count * ROUNDS * job_s), "jobs_per_s": jobs / seconds}
    print(json.dumps(told), flush=True)


async def _work(worker: ModelWorker, job_s: float, shift: Shift, working: asyncio.Event) -> None:
    job = await worker.granted()
    working.set()
    while True:
        since = time.monotonic()
        try:
            await worker.hold(job, job_s)
        finally:
            shift.worked(since, min(time.monotonic(), since + job_s))
        job = await worker.exchange(job, {"out": EMPTY}, {EMPTY["$file"]: b""})


def line(one: dict[str, Any]) -> str:
    """A measurement in one line."""
    return (
        f"{one['n']:,} model workers with jobs of {one['job_s']:g} s: they work "
        f"{one['busy']:.2%} of the time, {one['jobs_per_s']:.0f} jobs/s, server "
        f"{one['server_cores']:.2f} cores and {one['memory_mb']:.0f} MB, the model workers "
        f"{one['fleet_cores']:.2f} cores"
    )


def main() -> None:
    """The model workers' own process."""
    bundle, folder, count, job_s = sys.argv[1:5]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_fleet(Path(bundle), Path(folder), int(count), float(job_s)))


if __name__ == "__main__":
    main()
