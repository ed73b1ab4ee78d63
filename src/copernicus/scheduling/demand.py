"""How many workers, of a kind that is not there yet, the jobs that wait could fill."""

from __future__ import annotations

import msgspec

from copernicus.model.gpus import Gpu, GpuNeed, emptied
from copernicus.model.pools import Provision
from copernicus.model.resources import Offer, ProgramOffer
from copernicus.scheduling.core import Core
from copernicus.scheduling.fitting import fits_machine, fits_today, program_for, serves
from copernicus.scheduling.queue import Needs
from copernicus.scheduling.room import Room
from copernicus.scheduling.workers import WorkerInfo

_PLENTY_MB = 1 << 40


class Known(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the workers of a pool turned out to have."""

    programs: tuple[ProgramOffer, ...]
    memory_mb: int = 0
    devices: tuple[Gpu, ...] = ()


def known_of(offer: Offer, memory_mb: int) -> Known:
    """What an offer tells of all workers that are started like this one."""
    return Known(offer.programs, memory_mb, tuple(map(emptied, offer.devices)))


def offer_of(asked: Provision, known: Known | None) -> Offer:
    """What a new worker of a pool would offer; where that is not known, plenty."""
    devices = known.devices if known else ()
    return Offer(
        programs=known.programs if known else (),
        cores=asked.cores,
        memory_mb=asked.memory_mb or (known.memory_mb if known else 0) or _PLENTY_MB,
        gpus=asked.gpus,
        disk_mb=_PLENTY_MB,
        walltime_s=asked.walltime_s,
        labels=asked.labels,
        devices=devices,
    )


def fillable(core: Core, pool: str, asked: Provision, known: Known | None) -> int:
    """How many such workers the waiting jobs could fill, not more than the pool may have.

    As long as nothing is ``known``, they are thought to have every program and any kind of GPU.
    """
    if core.closed:
        return 0
    worker = core.shares.known(WorkerInfo("", pool=pool))
    offer = offer_of(asked, known)
    rooms: list[Room] = []
    for needs, count in _waiting(core):
        if known is None:
            needs = needs._replace(gpu=GpuNeed(needs.gpu.count))
        if _suits(core, worker, offer, needs, any_program=known is None):
            _fill(rooms, offer, needs, count, asked.max)
    return len(rooms)


def _waiting(core: Core) -> list[tuple[Needs, int]]:
    """Needs and how many jobs have them: wide ones first, so that narrow ones go beside them."""
    found = [(lane.needs, len(lane)) for lane in core.queue.all_lanes()]
    return sorted(found, key=lambda pair: (-pair[0].cores, -pair[0].memory_mb))


def _suits(
    core: Core, worker: WorkerInfo, offer: Offer, needs: Needs, *, any_program: bool
) -> bool:
    if needs.project in core.on_hold:
        return False
    if not any_program and program_for(needs.program, needs.platform, offer) is None:
        return False
    total = Room(offer)
    return (
        serves(worker, offer, needs.project, core.shares.get(needs.project))
        and fits_machine(needs, offer, total)
        and fits_today(needs, offer, total)
    )


def _fill(rooms: list[Room], offer: Offer, needs: Needs, count: int, most: int) -> None:
    """Put jobs where there is room, and where there is none, into further workers."""
    for room in rooms:
        count = _put(room, needs, count)
    while count and len(rooms) < most:
        rooms.append(Room(offer))
        count = _put(rooms[-1], needs, count)


def _put(room: Room, needs: Needs, count: int) -> int:
    while count and room.fits(needs, needs.cores):
        room.take(needs, needs.cores)
        count -= 1
    return count
