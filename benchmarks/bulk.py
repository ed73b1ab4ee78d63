"""A large file from a worker to the server and on to another worker, beside a plain upload.

The workers' own transfer carries it: it is hashed, cut into chunks, synced and stored on the way
to the server, and checked again at the other worker.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.measuring import own_seconds
from benchmarks.model_worker import ModelWorker, joined
from benchmarks.plain_upload import seconds_to_upload
from benchmarks.site import COPY, TRUE, Site, running_site
from copernicus.blobs import BlobStore
from copernicus.client.client import save_worker_bundle
from copernicus.model.values import File
from copernicus.sdk.toml_functions import read_function
from copernicus.worker.folder import JobFolder
from copernicus.worker.outputs import pending
from copernicus.worker.transfer import Transfer

_MAKES = TRUE.replace("bench.true", "bench.make").replace("out.txt", "big")


def measure(folder: Path, megabytes: int) -> list[dict[str, Any]]:
    """One file of so many random MiB, there and on; the plain upload before and after."""
    made = folder / "made"
    made.mkdir(parents=True)
    with (made / "big").open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1 << 20))
    plain = [seconds_to_upload(folder / "before", made / "big")]
    _settled(folder / "before")
    with running_site(folder / "site", worker=False) as site:
        project = site.client.create_project("bulk")
        project.define(read_function(_MAKES, "make.toml"))
        project.define(read_function(COPY, "copy.toml"))
        with project.transaction():
            project.add("make", "bench.make", active=True)
            project.set("make.in.x", 1)
            project.add("take", "bench.copy", active=True)
            project.connect("make.out.out", "take.in.x")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(_carried(site, made))
    os.sync()
    plain.append(seconds_to_upload(folder / "after", made / "big"))
    for leg in ("up", "down"):
        found[f"{leg}_mb_s"] = megabytes / found[f"{leg}_s"]
    common = {"system": "copernicus", "phase": "bulk", "n": megabytes}
    return [common | found | {"plain_mb_s": megabytes / min(plain)}]


def _settled(folder: Path) -> None:
    """Have nothing left to write of what is not measured, and free its memory."""
    shutil.rmtree(folder)
    os.sync()


async def _carried(site: Site, made: Path) -> dict[str, Any]:
    server = own_seconds(site.server)
    first, second = [await _worker(site, name) for name in ("first", "second")]
    job = await first.granted()
    began = time.perf_counter()
    file = await asyncio.to_thread(pending, JobFolder(made), "big")
    await _transfer(first, site.folder / "first").upload(job.attempt, [file])
    up = time.perf_counter() - began
    await first.complete(job, {"out": File(file.sha256, file.size, "big").plain()}, {})
    job = await second.granted()
    target = JobFolder(site.folder / "second" / "job")
    target.path.mkdir()
    began = time.perf_counter()
    transfer = _transfer(second, site.folder / "second")
    await transfer.place(job.attempt, target, "big", file.sha256, file.size, job.inline)
    down = time.perf_counter() - began
    with (target.path / "big").open("rb") as arrived:
        if hashlib.file_digest(arrived, "sha256").hexdigest() != file.sha256:
            raise RuntimeError("another file arrived than was sent")
    for worker in (first, second):
        await worker.link.close()
    return {"up_s": up, "down_s": down, "server_cpu_s": own_seconds(site.server) - server}


async def _worker(site: Site, name: str) -> ModelWorker:
    bundle = site.folder / f"{name}.cpc"
    save_worker_bundle(bundle, site.client.worker_bundle())
    return ModelWorker(await joined(bundle, site.folder / name), ("true", "cp"))


def _transfer(worker: ModelWorker, folder: Path) -> Transfer:
    cache = BlobStore.in_folder(folder / "cache", durable=False)
    return Transfer(worker.link, cache, lambda _error, _delay: None)


def line(one: dict[str, Any]) -> str:
    """A measurement in one line."""
    return (
        f"a file of {one['n']} MiB: up {one['up_mb_s']:.0f} MB/s, down {one['down_mb_s']:.0f} MB/s "
        f"({one['server_cpu_s']:.1f} s of the server's CPU); plain upload "
        f"{one['plain_mb_s']:.0f} MB/s"
    )
