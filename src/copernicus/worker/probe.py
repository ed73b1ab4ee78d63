"""What this machine has: cores it may use, memory, disk, GPUs."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from copernicus.errors import BadSettings
from copernicus.worker.settings import WorkerSettings

_CGROUP = Path("/sys/fs/cgroup")
_MB = 1 << 20


class Machine(msgspec.Struct, frozen=True):
    """What a worker may use. ``core_ids`` are the CPUs, as many as ``cores``."""

    core_ids: tuple[int, ...]
    memory_mb: int
    gpus: tuple[str, ...] = ()

    @property
    def cores(self) -> int:
        """Number of cores."""
        return len(self.core_ids)


def probe_machine(settings: WorkerSettings) -> Machine:
    """The part of this machine that the settings let a worker use.

    Raises:
        BadSettings: More cores are asked for than there are.
    """
    ids = _cpus()
    allowed = min(len(ids), max(1, math.floor(cpu_quota(_CGROUP) or len(ids))))
    wanted = allowed if settings.cores is None else settings.cores
    if not 1 <= wanted <= len(ids):
        raise BadSettings(
            f"cores = {wanted}: this machine offers {allowed} to this process; "
            f"give a number from 1 to {allowed}"
        )
    memory = settings.memory_mb or _memory_mb()
    return Machine(tuple(ids[:wanted]), memory, gpu_ids(os.environ.get("CUDA_VISIBLE_DEVICES")))


def _cpus() -> list[int]:
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cpu_quota(root: Path) -> float | None:
    """The CPUs that the cgroup (version 2, else 1) mounted at ``root`` grants; None: no limit."""
    text = _read(root / "cpu.max")
    if text:
        quota, _, period = text.partition(" ")
        return None if quota == "max" else int(quota) / int(period or 100_000)
    quota, period = _read(root / "cpu/cpu.cfs_quota_us"), _read(root / "cpu/cpu.cfs_period_us")
    if quota and period and int(quota) > 0:
        return int(quota) / int(period)
    return None


def _memory_mb() -> int:
    total: int = psutil.virtual_memory().total
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(_CGROUP / name)
        if text.isdigit():
            total = min(total, int(text))
    return total // _MB


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def gpu_ids(visible: str | None) -> tuple[str, ...]:
    """The GPUs that may be used, as ``CUDA_VISIBLE_DEVICES`` names them."""
    if visible is not None:
        return tuple(name.strip() for name in visible.split(",") if name.strip() not in ("", "-1"))
    try:
        import pynvml
    except ImportError:
        return ()
    try:
        pynvml.nvmlInit()
        return tuple(str(i) for i in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:
        return ()


def free_mb(folder: Path) -> int:
    """MiB free on the disk of ``folder``."""
    return shutil.disk_usage(folder).free // _MB


class Share:
    """The cores and GPUs of the worker, handed to attempts so that no two have the same."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._cores = list(machine.core_ids)
        self._gpus = list(machine.gpus)
        self._memory_mb = machine.memory_mb

    @property
    def cores(self) -> int:
        """Cores free now."""
        return len(self._cores)

    @property
    def gpus(self) -> int:
        """GPUs free now."""
        return len(self._gpus)

    @property
    def memory_mb(self) -> int:
        """Memory that no job has asked for, in MiB."""
        return max(0, self._memory_mb)

    @property
    def whole(self) -> bool:
        """Whether nothing is handed out."""
        return len(self._cores) == self._machine.cores

    def take(self, cores: int, gpus: int, memory_mb: int) -> Taken:
        """Hand out this much, or what there is; the lowest numbers first."""
        self._cores.sort()
        taken = Taken(tuple(self._cores[:cores]), tuple(self._gpus[:gpus]), memory_mb)
        del self._cores[:cores]
        del self._gpus[:gpus]
        self._memory_mb -= memory_mb
        return taken

    def give_back(self, taken: Taken) -> None:
        """Take back what an attempt had."""
        self._cores += taken.cores
        self._gpus += taken.gpus
        self._memory_mb += taken.memory_mb


class Taken(msgspec.Struct, frozen=True):
    """What one attempt was handed."""

    cores: tuple[int, ...]
    gpus: Sequence[str]
    memory_mb: int
