"""How much memory the programs of a warden have: each with all that came from it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping

import psutil

from copernicus.executors.warden import MARK

_NOBODY = 0


class Usage:
    """Looks at a warden's processes again and again; what a process belongs to is asked once."""

    def __init__(self) -> None:
        self._owners: dict[psutil.Process, int] = {}

    def by_program(self, warden: int) -> Mapping[int, list[psutil.Process]]:
        """The processes by the number of the program that they came from; none: it is gone."""
        try:
            found = psutil.Process(warden).children(recursive=True)
        except psutil.Error:
            return {}
        parents = {process.pid: _parent(process) for process in found}
        known = {process.pid: process for process in found}
        # What the worker has started is the guard; the warden is its only child.
        warden = next((pid for pid, above in parents.items() if above == warden), warden)
        known.pop(warden, None)
        programs: dict[int, list[psutil.Process]] = {}
        for process in known.values():
            first = _below(warden, process.pid, parents)
            number = self._owner(known.get(first, process))
            if number != _NOBODY:
                programs.setdefault(number, []).append(process)
        self._owners = {one: number for one, number in self._owners.items() if one.pid in known}
        return programs

    def _owner(self, process: psutil.Process) -> int:
        """The program whose mark a child of the warden carries."""
        if process not in self._owners:
            mark = ""
            with contextlib.suppress(psutil.Error, OSError):
                mark = process.environ().get(MARK, "")
            if not mark.isdigit():
                return _NOBODY
            self._owners[process] = int(mark)
        return self._owners[process]


def resident_mb(processes: Iterable[psutil.Process]) -> float:
    """What they have in memory, in MiB; pages that several share are counted for each."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total / (1 << 20)


def own_mb(processes: Iterable[psutil.Process]) -> float:
    """The same with shared pages counted once, in parts; takes longer to find out."""
    total = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):
            info = process.memory_full_info()
            total += getattr(info, "pss", info.rss)
    return total / (1 << 20)


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.Error:
        return 0


def _below(warden: int, pid: int, parents: Mapping[int, int]) -> int:
    """The child of the warden from which a process descends."""
    seen = set()
    while parents.get(pid, warden) != warden and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
    return pid
