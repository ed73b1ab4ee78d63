"""What a job asks for and what a worker offers."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from copernicus.errors import BadDefinition
from copernicus.model.gpus import Gpu, GpuNeed
from copernicus.model.labels import parse_labels

Platform = Literal["smp", "mpi"]


class Resources(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one job asks for. Memory and disk in MiB, times in seconds.

    ``gpu_memory_mb`` is for each GPU, ``gpu_vendor`` is ``nvidia`` or ``amd`` (``""``: any);
    a GPU may be shared by up to ``gpu_sharing`` jobs that allow it. ``platform`` ``mpi``: its lines
    with ``mpi`` are started by the worker's launcher, as ranks of up to ``rank_threads`` threads
    each. ``labels`` is an expression over those of the
    worker (``model.labels``). Its worker ends a job that uses more than ``memory_mb`` or
    ``disk_mb``, or takes longer than ``timeout_s``; of a number that is 0, there is no limit.
    """

    cores: int = 1
    max_cores: int | None = None
    memory_mb: int = 0
    gpus: int = 0
    disk_mb: int = 0
    expected_s: float | None = None
    priority: int = 0
    gpu_memory_mb: int = 0
    gpu_vendor: str = ""
    gpu_sharing: int = 1
    platform: Platform = "smp"
    labels: str = ""
    timeout_s: float | None = None
    rank_threads: int = 1

    @property
    def gpu_need(self) -> GpuNeed:
        """What is asked of GPUs."""
        return GpuNeed(
            self.gpus, self.gpu_memory_mb, self.gpu_vendor.lower(), max(1, self.gpu_sharing)
        )


SCRIPT_PROGRAMS = frozenset({"python", "sh"})
"""Programs that run what a job brings: offered only by workers whose owner allows scripts."""


class ProgramNeed(msgspec.Struct, frozen=True):
    """A program by name and version range (PEP 440 specifiers, ``""`` for any)."""

    name: str
    versions: str = ""


class ProgramOffer(msgspec.Struct, frozen=True):
    """A program that a worker has. A Python module offers itself as ``module/NAME``.

    ``platforms``: how it can be started; ``mpi`` needs a launcher.
    """

    name: str
    version: str = ""
    platforms: tuple[Platform, ...] = ("smp",)


class Offer(msgspec.Struct, frozen=True):
    """What a worker has free now.

    ``devices`` are all its GPUs, with what runs on them (without it, ``gpus`` nameless ones are
    free). ``kind`` names the kind of its processors: rates are compared within a kind. ``notice``
    says why nothing is asked for, where something keeps it from asking.
    """

    programs: tuple[ProgramOffer, ...]
    cores: int
    memory_mb: int = 0
    gpus: int = 0
    disk_mb: int = 0
    walltime_s: float | None = None
    labels: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    job_cores: int | None = None
    max_jobs: int | None = None
    notice: str = ""
    devices: tuple[Gpu, ...] = ()
    kind: str = ""


def specifiers(versions: str) -> SpecifierSet:
    """The parsed version range.

    Raises:
        BadDefinition: It is none.
    """
    try:
        return SpecifierSet(versions, prereleases=True)
    except InvalidSpecifier:
        raise BadDefinition(
            f"{versions!r} is no version range: write for example '>=2020' or '>=2022,<2025'"
        ) from None


def ranks_of(cores: int, rank_threads: int) -> tuple[int, int]:
    """Ranks and threads of each that use all of so many cores, and none twice."""
    threads = max(n for n in range(1, max(1, rank_threads) + 1) if cores % n == 0)
    return cores // threads, threads


def check_resources(asked: Resources, who: str) -> None:
    """See that what ``who`` asks for can be had at all.

    Raises:
        BadDefinition: It cannot; says which of it.
    """
    try:
        parse_labels(asked.labels)
    except BadDefinition as error:
        raise BadDefinition(f"{who}: labels {error.message}") from None
    if asked.platform not in get_args(Platform):
        raise BadDefinition(f"{who}: platform is 'smp' or 'mpi', not {asked.platform!r}")
    if asked.max_cores is not None and asked.max_cores < asked.cores:
        raise BadDefinition(
            f"{who}: max_cores = {asked.max_cores} is less than cores = {asked.cores}, the fewest"
        )
    for name in ("memory_mb", "gpus", "disk_mb", "gpu_memory_mb"):
        if getattr(asked, name) < 0:
            raise BadDefinition(f"{who}: {name} = {getattr(asked, name)} is less than nothing")


def offers_program(need: ProgramNeed, offered: ProgramOffer) -> bool:
    """Whether an offered program is what is needed (an unreadable version fits only ``""``)."""
    if need.name != offered.name:
        return False
    return not need.versions or _in_range(offered.version, need.versions)


@lru_cache(maxsize=1024)
def _in_range(version: str, versions: str) -> bool:
    """Asked again and again of the same few: to read a version costs more than all around it."""
    try:
        return Version(version) in specifiers(versions)
    except InvalidVersion:
        return False
