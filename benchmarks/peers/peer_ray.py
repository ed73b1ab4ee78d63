"""Ray with two CPUs, as it comes (its queue is in memory, TLS is off)."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import work
from told import cpu_of_children, own_network, tell

own_network()
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["PYTHONPATH"] = str(Path(__file__).parent)

import ray  # noqa: E402 - after its settings

echo, run_true, copy_file = map(ray.remote, (work.echo, work.run_true, work.copy_file))


def main(phase: str, n: int, folder: Path) -> None:
    """Do the work and tell the result."""
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=200 << 20,
    )
    ray.get([echo.remote(i) for i in range(20)])
    cpu, began = cpu_of_children(), time.perf_counter()
    run(phase, n, folder)
    tell(n, began, cpu)
    ray.shutdown()


def run(phase: str, n: int, folder: Path) -> None:
    """The timed part."""
    if phase == "noop":
        assert ray.get([echo.remote(i) for i in range(n)]) == list(range(n))
    elif phase == "true":
        assert ray.get([run_true.remote(str(folder / str(i))) for i in range(n)]) == [0] * n
        assert sum(1 for _ in folder.iterdir()) == n
    elif phase == "files":
        work.checked_files(ray.get([copy_file.remote(work.small_file(i)) for i in range(n)]))
    elif phase == "chain":
        future = echo.remote(7)
        for _ in range(n - 1):
            future = echo.remote(future)
        assert ray.get(future) == 7
    elif phase == "latency":
        for i in range(n):
            assert ray.get(echo.remote(i)) == i


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
