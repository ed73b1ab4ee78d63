"""The CPUs that this process may use: affinity and cgroups respected, hyper-threads told apart."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
_TOPOLOGY = Path("/sys/devices/system/cpu")
_OWN = Path("/proc/self/cgroup")
_CPUINFO = Path("/proc/cpuinfo")
_MB = 1 << 20
_PERIOD = 100_000


def allowed_cpus() -> list[int]:
    """The CPUs that the affinity of this process (and its cpuset) leaves to it."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def one_per_core(cpus: Sequence[int], topology: Path = _TOPOLOGY) -> list[int]:
    """The first hyper-thread of every physical core among these CPUs."""
    seen: set[frozenset[int]] = set()
    found = []
    for cpu in cpus:
        siblings = frozenset(_siblings(cpu, topology))
        if siblings not in seen:
            seen.add(siblings)
            found.append(cpu)
    return found


def _siblings(cpu: int, topology: Path) -> Iterable[int]:
    text = read(topology / f"cpu{cpu}/topology/thread_siblings_list")
    return [*numbers(text), cpu] if text else [cpu]


def numbers(text: str) -> Iterator[int]:
    """The numbers of a list such as ``0-3,8``."""
    for part in text.split(","):
        first, _, last = part.partition("-")
        if first.strip().isdigit():
            yield from range(int(first), int(last or first) + 1)


def cpu_quota(root: Path = CGROUP, own: Path = _OWN) -> float | None:
    """The CPUs that the cgroups of this process grant (version 2 or 1); None: no limit."""
    found = [quota for folder in own_groups("cpu", root, own) if (quota := _quota(folder))]
    return min(found, default=None)


def _quota(group: Path) -> float | None:
    text = read(group / "cpu.max")
    if text:
        quota, _, period = text.partition(" ")
        return None if quota == "max" else int(quota) / int(period or _PERIOD)
    quota, period = read(group / "cpu.cfs_quota_us"), read(group / "cpu.cfs_period_us")
    if quota and period and int(quota) > 0:
        return int(quota) / int(period)
    return None


def whole_cpus(cpus: int, quota: float | None) -> int:
    """How many of so many CPUs a quota lets one use at a time: one at least."""
    return min(cpus, max(1, math.floor(quota or cpus)))


def memory_mb(root: Path = CGROUP, own: Path = _OWN) -> int:
    """The memory of the machine, or what the cgroups of this process leave of it, in MiB."""
    total: int = psutil.virtual_memory().total
    for folder in own_groups("memory", root, own):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            text = read(folder / name)
            if text.isdigit():
                total = min(total, int(text))
    return total // _MB


def own_groups(controller: str, root: Path = CGROUP, own: Path = _OWN) -> Iterator[Path]:
    """The folders of the cgroups that this process is in, and of all above: each may limit it."""
    yield root
    yield root / controller
    for line in read(own).splitlines():
        number, names, path = line.split(":", 2)
        if number != "0" and controller not in names.split(","):
            continue
        bases = (root, root / "unified") if number == "0" else (root / controller, root / names)
        for base in bases:
            group = base / path.lstrip("/")
            while group != base and base in group.parents:
                yield group
                group = group.parent


def cpu_model(file: Path = _CPUINFO) -> str:
    """The name of the processor: rates are compared between machines of the same."""
    for line in read(file).splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model"):
            return " ".join(value.split())
    return os.uname().machine


def read(path: Path) -> str:
    """The text of a file without its ends; empty if it cannot be read."""
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
