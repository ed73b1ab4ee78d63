"""Parsl's high-throughput executor with two workers, encrypted as it is by default."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import parsl
import work
from parsl import Config, HighThroughputExecutor, python_app
from parsl.providers import LocalProvider
from told import cpu_of_children, tell

echo = python_app(work.echo)
run_true = python_app(work.run_true)


def main(phase: str, n: int, folder: Path) -> None:
    """Do the work and tell the result."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    executor = HighThroughputExecutor(
        address="127.0.0.1",
        max_workers_per_node=2,
        cores_per_worker=1,
        worker_logdir_root=str(folder.parent / "logs"),
        provider=LocalProvider(init_blocks=1, max_blocks=1, min_blocks=1),
    )
    settings = Config(
        executors=[executor],
        run_dir=str(folder.parent / "runinfo"),
        strategy="none",
        usage_tracking=0,
        initialize_logging=False,
    )
    with parsl.load(settings):
        results([echo(i) for i in range(20)])
        cpu, began = cpu_of_children(), time.perf_counter()
        run(phase, n, folder)
        tell(n, began, cpu)


def results(futures: list[Any]) -> list[Any]:
    """Wait for all of them."""
    return [future.result() for future in futures]


def run(phase: str, n: int, folder: Path) -> None:
    """The timed part."""
    if phase == "noop":
        assert results([echo(i) for i in range(n)]) == list(range(n))
    elif phase == "true":
        assert results([run_true(str(folder / str(i))) for i in range(n)]) == [0] * n
        assert sum(1 for _ in folder.iterdir()) == n
    elif phase == "chain":
        future = echo(7)
        for _ in range(n - 1):
            future = echo(future)
        assert future.result() == 7
    elif phase == "latency":
        for i in range(n):
            assert echo(i).result() == i


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
