"""HyperQueue's server and worker in one process, as its wheel has them: no journal, no TLS.

The wheel has no ``hq`` command. That all is done is seen by a last task of low priority, since
the Python interface looks only once a second.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
from hyperqueue import Job, LocalCluster
from hyperqueue.cluster import WorkerConfig
from told import cpu_of_children, own_network, tell

PATIENCE_S = 300.0


def main(phase: str, n: int, folder: Path) -> None:
    """Do the work and tell the result."""
    own_network()
    home = folder.parent / "hq"
    home.mkdir()
    workers = None if phase == "queued" else WorkerConfig(cores=2)
    client = LocalCluster(str(home / "server"), workers).client()
    if workers:
        warm = home / "warm"
        client.submit(touching(home, warm))
        wait_for(warm)
    cpu, began = cpu_of_children(), time.perf_counter()
    job, done = Job(str(home)), home / "done"
    add_tasks(job, phase, n, folder, done)
    client.submit(job)
    if workers:
        wait_for(done)
    tell(n, began, cpu, memory_mb=psutil.Process().memory_info().rss / 2**20)
    os._exit(0)


def add_tasks(job: Job, phase: str, n: int, folder: Path, done: Path) -> None:
    """All that is to be done, and the last task."""
    last = None
    for i in range(n):
        output = None if phase == "chain" else str(folder / str(i))
        waits = [last] if phase == "chain" and last else []
        last = job.program(["/bin/true"], stdout=output, stderr=None, deps=waits)
    mark = {"deps": [last]} if phase == "chain" else {"priority": -1}
    job.program(["/bin/touch", str(done)], stdout=None, stderr=None, **mark)


def touching(home: Path, file: Path) -> Job:
    """A job that makes a file."""
    job = Job(str(home))
    job.program(["/bin/touch", str(file)], stdout=None, stderr=None)
    return job


def wait_for(file: Path) -> None:
    """Until it is there."""
    end = time.monotonic() + PATIENCE_S
    while not file.exists():
        assert time.monotonic() < end, f"{file} does not come"
        time.sleep(0.001)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
