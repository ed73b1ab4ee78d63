"""What this machine has that a worker may use, and how it is shared out among attempts."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import msgspec

from copernicus.errors import BadSettings
from copernicus.model.gpus import Gpu, GpuNeed, choose, put_on
from copernicus.worker.cpus import (
    allowed_cpus,
    cpu_model,
    cpu_quota,
    memory_mb,
    one_per_core,
    whole_cpus,
)
from copernicus.worker.gpus import find_gpus
from copernicus.worker.settings import WorkerSettings

_MB = 1 << 20


class Machine(msgspec.Struct, frozen=True):
    """What a worker may use. ``core_ids`` are the CPUs, as many as ``cores``.

    Jobs are bound to theirs if it ``pins``.
    ``second_threads`` CPUs were left out: they are second hyper-threads of cores. ``quota`` is what
    cgroups grant, ``processor`` the name of the processor.
    """

    core_ids: tuple[int, ...]
    memory_mb: int
    gpus: tuple[Gpu, ...] = ()
    second_threads: int = 0
    quota: float | None = None
    processor: str = ""
    pins: bool = True

    @property
    def cores(self) -> int:
        """Number of cores."""
        return len(self.core_ids)

    @property
    def kind(self) -> str:
        """What the speed of a job depends on: processor and GPUs."""
        names = Counter(gpu.name or gpu.vendor or "GPU" for gpu in self.gpus)
        gpus = "".join(f" + {count} x {name}" for name, count in sorted(names.items()))
        return f"{self.processor}{gpus}"


def probe_machine(settings: WorkerSettings) -> Machine:
    """The part of this machine that the settings let a worker use.

    Raises:
        BadSettings: More cores are asked for than there are.
    """
    threads, quota = allowed_cpus(), cpu_quota()
    cores = threads if settings.hyperthreads else one_per_core(threads)
    allowed = whole_cpus(len(cores), quota)
    wanted = allowed if settings.cores is None else settings.cores
    if not 1 <= wanted <= len(cores):
        more = "" if len(cores) == len(threads) else " (--hyperthreads counts every thread)"
        raise BadSettings(
            f"cores = {wanted}: this machine offers {allowed} to this process{more}; "
            f"give a number from 1 to {allowed}"
        )
    return Machine(
        tuple(cores[:wanted]),
        settings.memory_mb or memory_mb(),
        find_gpus(),
        len(threads) - len(cores),
        quota,
        cpu_model(),
    )


def free_mb(folder: Path) -> int:
    """MiB free on the disk of ``folder``."""
    return shutil.disk_usage(folder).free // _MB


class Share:
    """The cores and GPUs of the worker, handed to attempts so that no two have the same.

    A GPU may go to several attempts that allow it.
    """

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._cores = list(machine.core_ids)
        self._memory_mb = machine.memory_mb
        self._on_gpus: list[list[GpuNeed]] = [[] for _ in machine.gpus]

    @property
    def cores(self) -> int:
        """Cores free now."""
        return len(self._cores)

    @property
    def gpus(self) -> int:
        """GPUs on which nothing runs now."""
        return sum(not needs for needs in self._on_gpus)

    @property
    def devices(self) -> tuple[Gpu, ...]:
        """All GPUs, with what runs on them."""
        found = []
        for gpu, needs in zip(self._machine.gpus, self._on_gpus, strict=True):
            loaded = gpu
            for need in needs:
                loaded = put_on(loaded, need)
            found.append(loaded)
        return tuple(found)

    @property
    def memory_mb(self) -> int:
        """Memory that no job has asked for, in MiB."""
        return max(0, self._memory_mb)

    @property
    def whole(self) -> bool:
        """Whether nothing is handed out."""
        return len(self._cores) == self._machine.cores

    def has_gpus(self, need: GpuNeed) -> bool:
        """Whether a job may have the GPUs that it needs now."""
        return choose(self.devices, need) is not None

    def take(self, cores: int, gpus: GpuNeed, memory_mb: int) -> Taken:
        """Hand out this much, or what there is of cores; the lowest numbers first."""
        self._cores.sort()
        places = choose(self.devices, gpus) or ()
        for place in places:
            self._on_gpus[place].append(gpus)
        taken = Taken(
            tuple(self._cores[:cores]),
            tuple(self._machine.gpus[place] for place in places),
            memory_mb,
            places,
            gpus,
        )
        del self._cores[:cores]
        self._memory_mb -= memory_mb
        return taken

    def give_back(self, taken: Taken) -> None:
        """Take back what an attempt had."""
        self._cores += taken.cores
        for place in taken.places:
            self._on_gpus[place].remove(taken.need)
        self._memory_mb += taken.memory_mb


class Taken(msgspec.Struct, frozen=True):
    """What one attempt was handed; ``places`` are those of its GPUs on this worker."""

    cores: tuple[int, ...]
    gpus: tuple[Gpu, ...]
    memory_mb: int
    places: tuple[int, ...] = ()
    need: GpuNeed = GpuNeed()
