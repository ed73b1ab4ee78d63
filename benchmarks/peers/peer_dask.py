"""Dask distributed: a scheduler and two worker processes of one thread each, as it comes."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import work
from distributed import Client, LocalCluster
from told import cpu_of_children, tell


def main(phase: str, n: int, folder: Path) -> None:
    """Do the work and tell the result; what is only queued finds a scheduler without workers."""
    workers = 0 if phase == "queued" else 2
    with (
        LocalCluster(
            n_workers=workers, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
        Client(cluster) as client,
    ):
        if not workers:
            queue(cluster, client, n)
            return
        client.gather(client.map(work.echo, range(20), pure=False))
        cpu, began = cpu_of_children(), time.perf_counter()
        run(client, phase, n, folder)
        tell(n, began, cpu)


def queue(cluster: LocalCluster, client: Client, n: int) -> None:
    """Submit work that nobody does: scheduler and client are this one process."""
    cpu, began = cpu_of_children(), time.perf_counter()
    futures = client.map(work.echo, range(n), pure=False)
    while len(cluster.scheduler.tasks) < len(futures):
        time.sleep(0.05)
    tell(n, began, cpu, memory_mb=psutil.Process().memory_info().rss / 2**20)
    os._exit(0)


def run(client: Client, phase: str, n: int, folder: Path) -> None:
    """The timed part."""
    if phase == "noop":
        found = client.gather(client.map(work.echo, range(n), pure=False))
        assert found == list(range(n))
    elif phase == "true":
        paths = [str(folder / str(i)) for i in range(n)]
        assert client.gather(client.map(work.run_true, paths, pure=False)) == [0] * n
        assert sum(1 for _ in folder.iterdir()) == n
    elif phase == "files":
        data = [work.small_file(i) for i in range(n)]
        work.checked_files(client.gather(client.map(work.copy_file, data, pure=False)))
    elif phase == "chain":
        future = client.submit(work.echo, 7, pure=False)
        for _ in range(n - 1):
            future = client.submit(work.echo, future, pure=False)
        assert future.result() == 7
    elif phase == "latency":
        for i in range(n):
            assert client.submit(work.echo, i, pure=False).result() == i


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
