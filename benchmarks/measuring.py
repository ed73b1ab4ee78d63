"""CPU time of whole process trees, the programs that have ended among them."""

from __future__ import annotations

from collections.abc import Iterable

import psutil


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these processes and all below them have used so far, in seconds.

    The time of a process that has ended is its parent's, once that has waited for it.
    """
    spent = 0.0
    for pid in pids:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            spent += times.user + times.system + times.children_user + times.children_system
    return spent


def own_seconds(pid: int) -> float:
    """What one process has used by itself so far, in seconds; 0 if it is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
