"""Whether a worker could ever run a job, and if not, what stands in the way."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from copernicus.errors import BadDefinition
from copernicus.model.labels import fits_labels
from copernicus.model.resources import (
    SCRIPT_PROGRAMS,
    Offer,
    Platform,
    ProgramNeed,
    ProgramOffer,
    offers_program,
)
from copernicus.model.shares import ProjectShare
from copernicus.scheduling.queue import Needs
from copernicus.scheduling.room import Room
from copernicus.scheduling.workers import WorkerInfo


@lru_cache(maxsize=4096)
def _offered(need: ProgramNeed, platform: Platform, offered: ProgramOffer) -> bool:
    try:
        return platform in offered.platforms and offers_program(need, offered)
    except BadDefinition:
        return False


def program_for(need: ProgramNeed, platform: Platform, offer: Offer) -> ProgramOffer | None:
    """The program of an offer that is what is needed."""
    return next((one for one in offer.programs if _offered(need, platform, one)), None)


def serves(worker: WorkerInfo, offer: Offer, project: str, share: ProjectShare) -> bool:
    """Whether the worker may, and wants to, work for the project, and the project wants it."""
    named = (worker.projects, offer.projects)
    return (
        all(not some or project in some for some in named)
        and (not share.pools or worker.pool in share.pools)
        and project not in worker.refused
    )


def labels_fit(needs: Needs, offer: Offer) -> bool:
    """Whether the worker's labels are what the job asks for; never, if it asks nonsense."""
    try:
        return not needs.labels or fits_labels(needs.labels, offer.labels)
    except BadDefinition:
        return False


def can_ever_fit(needs: Needs, offer: Offer, total: Room) -> bool:
    """Whether the job would fit if the worker had nothing else to do."""
    return fits_machine(needs, offer, total) and fits_today(needs, offer, total)


def fits_machine(needs: Needs, offer: Offer, total: Room) -> bool:
    """The part of ``can_ever_fit`` that is the same as long as the worker is the same."""
    return (
        needs.cores <= total.cores
        and needs.memory_mb <= total.memory_mb
        and (not needs.gpu.count or needs.gpu.count <= total.right_gpus(needs.gpu))
        and (offer.job_cores is None or needs.cores <= offer.job_cores <= total.cores)
        and labels_fit(needs, offer)
    )


def fits_today(needs: Needs, offer: Offer, total: Room) -> bool:
    """The part of ``can_ever_fit`` that changes: the disk, the time that is left."""
    return needs.disk_mb <= total.disk_mb and (
        offer.walltime_s is None or needs.wall_s <= offer.walltime_s
    )


def obstacles(
    needs: Needs, worker: WorkerInfo, offer: Offer, total: Room, share: ProjectShare
) -> Iterator[str]:
    """What keeps jobs of these needs from ever running on a worker, for people.

    Nothing if ``serves``, ``program_for`` and ``can_ever_fit`` hold.
    """
    yield from _about_projects(needs, worker, offer, share)
    yield from _about_programs(needs, offer)
    if not labels_fit(needs, offer):
        yield f"its labels ({', '.join(offer.labels) or 'none'}) are not {needs.labels}"
    for asked, there, unit in (
        (needs.cores, total.cores, "cores"),
        (needs.memory_mb, total.memory_mb, "MiB of memory"),
        (needs.disk_mb, total.disk_mb, "MiB of disk"),
        (needs.gpu.count, total.right_gpus(needs.gpu), gpus_asked(needs)),
    ):
        if asked > there:
            yield f"needs {asked} {unit}, it has {there}"
    if offer.job_cores is not None and not needs.cores <= offer.job_cores <= total.cores:
        yield f"needs {needs.cores} cores, it gives each job {offer.job_cores}"
    if offer.walltime_s is not None and needs.wall_s > offer.walltime_s:
        yield f"needs {needs.wall_s:.0f} s, it ends in {max(offer.walltime_s, 0):.0f} s"


def gpus_asked(needs: Needs) -> str:
    """The GPUs that a job asks for, in words."""
    vendor = f" of {needs.gpu.vendor}" if needs.gpu.vendor else ""
    memory = f" with {needs.gpu.memory_mb} MiB" if needs.gpu.memory_mb else ""
    return f"GPUs{vendor}{memory}"


def _about_projects(
    needs: Needs, worker: WorkerInfo, offer: Offer, share: ProjectShare
) -> Iterator[str]:
    if worker.projects and needs.project not in worker.projects:
        yield f"pool {worker.pool} does not serve the project"
    if needs.project in worker.refused:
        yield "the job came by way of it, or has passed too many servers"
    if offer.projects and needs.project not in offer.projects:
        yield "it was started for other projects"
    if share.pools and worker.pool not in share.pools:
        yield f"the project uses only pool {', '.join(share.pools)}, it is in {worker.pool}"


def _about_programs(needs: Needs, offer: Offer) -> Iterator[str]:
    if program_for(needs.program, needs.platform, offer) is not None:
        return
    asked = f"{needs.program.name} {needs.program.versions}".strip()
    there = [program for program in offer.programs if program.name == needs.program.name]
    if not there:
        yield f"has no {asked}" + (
            " (started without --allow-scripts)" if asked in SCRIPT_PROGRAMS else ""
        )
    elif not any(_offered(needs.program, platform, one) for one in there for platform in _BOTH):
        yield f"has {', '.join(str(p.version) for p in there)}, not {asked}"
    else:
        yield f"starts {needs.program.name} as {there[0].platforms[0]}, not as {needs.platform}"


_BOTH: tuple[Platform, ...] = ("smp", "mpi")
