"""What a worker has free, or would have: cores, memory and disk (MiB), GPUs."""

from __future__ import annotations

from copernicus.model.gpus import Gpu, GpuNeed, choose, emptied, is_right, put_on
from copernicus.model.resources import Offer
from copernicus.scheduling.queue import Needs
from copernicus.scheduling.rows import AttemptRow


class Room:
    """Free room, from which jobs take."""

    __slots__ = ("cores", "disk_mb", "gpus", "memory_mb")

    def __init__(self, offer: Offer) -> None:
        self.cores = offer.cores
        self.memory_mb = offer.memory_mb
        self.disk_mb = offer.disk_mb
        self.gpus = list(offer.devices) or [Gpu("") for _ in range(offer.gpus)]

    def add(self, row: AttemptRow, *, nameless_gpus: bool) -> None:
        """Count in what an attempt holds: it will be free when the attempt ends."""
        self.cores += row.cores
        self.memory_mb += row.memory_mb
        self.disk_mb += row.disk_mb
        if nameless_gpus:
            self.gpus += [Gpu("") for _ in range(row.gpus)]

    def fits(self, needs: Needs, cores: int) -> bool:
        """Whether a job of these needs has room beside what is there."""
        return (
            cores <= self.cores
            and needs.memory_mb <= self.memory_mb
            and needs.disk_mb <= self.disk_mb
            and (not needs.gpu.count or choose(self.gpus, needs.gpu) is not None)
        )

    def take(self, needs: Needs, cores: int) -> None:
        """Give a job what it needs; it must fit."""
        self.cores -= cores
        self.memory_mb -= needs.memory_mb
        self.disk_mb -= needs.disk_mb
        for place in choose(self.gpus, needs.gpu) or ():
            self.gpus[place] = put_on(self.gpus[place], needs.gpu)

    def right_gpus(self, need: GpuNeed) -> int:
        """How many GPUs would do if nothing ran on them."""
        return sum(is_right(gpu, need) for gpu in self.gpus)


def total_room(offer: Offer, held: list[AttemptRow]) -> Room:
    """What a worker would have free if its attempts ended."""
    total = Room(offer)
    for row in held:
        total.add(row, nameless_gpus=not offer.devices)
    if offer.devices:
        total.gpus = [emptied(gpu) for gpu in total.gpus]
    return total
