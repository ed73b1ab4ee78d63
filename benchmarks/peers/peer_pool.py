"""Two processes of the standard library's pool: no system at all, the machine's own limit."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import work
from told import cpu_of_children, tell


def main(phase: str, n: int, folder: Path) -> None:
    """Do the work and tell the result."""
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(work.echo, range(20)))
        cpu, began = cpu_of_children(), time.perf_counter()
        run(pool, phase, n, folder)
        tell(n, began, cpu)


def run(pool: ProcessPoolExecutor, phase: str, n: int, folder: Path) -> None:
    """The timed part."""
    if phase == "noop":
        futures = [pool.submit(work.echo, i) for i in range(n)]
        assert [future.result() for future in futures] == list(range(n))
    elif phase == "true":
        waiting = [pool.submit(work.run_true, str(folder / str(i))) for i in range(n)]
        assert [future.result() for future in waiting] == [0] * n
    elif phase == "files":
        copies = [pool.submit(work.copy_file, work.small_file(i)) for i in range(n)]
        work.checked_files([copy.result() for copy in copies])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
