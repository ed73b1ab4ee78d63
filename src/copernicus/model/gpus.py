"""GPUs: what a worker has, what a job asks for, and which of them it gets.

Scheduler and worker choose by the same rule from the same facts, so that neither gives out what
the other would not.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Gpu(msgspec.Struct, frozen=True, omit_defaults=True):
    """A GPU of a worker. ``id`` is how programs are told of it; memory in MiB (0: not known).

    One without an id is never shared: its worker says too little of it.

    ``jobs`` run on it now, which allow ``most`` in all (0: none runs) and have asked for ``taken``
    MiB of its memory.
    """

    id: str
    vendor: str = ""
    memory_mb: int = 0
    name: str = ""
    jobs: int = 0
    most: int = 0
    taken: int = 0


class GpuNeed(msgspec.Struct, frozen=True):
    """So many GPUs of a vendor (``""``: any), with so much memory, shared by up to ``sharing``."""

    count: int = 0
    memory_mb: int = 0
    vendor: str = ""
    sharing: int = 1


def is_right(gpu: Gpu, need: GpuNeed) -> bool:
    """Whether a GPU would do if nothing ran on it."""
    return need.memory_mb <= gpu.memory_mb and need.vendor in ("", gpu.vendor)


def has_room(gpu: Gpu, need: GpuNeed) -> bool:
    """Whether a job may go onto a GPU now: free, or shared by leave of all that run on it."""
    if not is_right(gpu, need) or need.memory_mb > gpu.memory_mb - gpu.taken:
        return False
    return not gpu.jobs or (bool(gpu.id) and gpu.jobs < min(gpu.most, need.sharing))


def choose(gpus: Sequence[Gpu], need: GpuNeed) -> tuple[int, ...] | None:
    """The places of the GPUs that a job gets; None if there are too few.

    The fullest first, then those with the least memory that does, so that large ones stay free.
    """
    if not need.count:
        return ()
    right = [place for place, gpu in enumerate(gpus) if has_room(gpu, need)]
    if len(right) < need.count:
        return None
    right.sort(key=lambda place: (-gpus[place].jobs, gpus[place].memory_mb, place))
    return tuple(right[: need.count])


def put_on(gpu: Gpu, need: GpuNeed) -> Gpu:
    """The GPU with one more job."""
    most = min(gpu.most, need.sharing) if gpu.jobs else need.sharing
    taken = gpu.taken + need.memory_mb
    return msgspec.structs.replace(gpu, jobs=gpu.jobs + 1, most=most, taken=taken)


def emptied(gpu: Gpu) -> Gpu:
    """The GPU with nothing on it."""
    return msgspec.structs.replace(gpu, jobs=0, most=0, taken=0) if gpu.jobs else gpu
