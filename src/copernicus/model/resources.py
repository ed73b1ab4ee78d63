"""What a job asks for and what a worker offers."""

from __future__ import annotations

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from copernicus.errors import BadDefinition


class Resources(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one job asks for. Memory and disk in MiB, times in seconds."""

    cores: int = 1
    max_cores: int | None = None
    memory_mb: int = 0
    gpus: int = 0
    disk_mb: int = 0
    expected_s: float | None = None
    priority: int = 0


SCRIPT_PROGRAMS = frozenset({"python", "sh"})
"""Programs that run what a job brings: offered only by workers whose owner allows scripts."""


class ProgramNeed(msgspec.Struct, frozen=True):
    """A program by name and version range (PEP 440 specifiers, ``""`` for any)."""

    name: str
    versions: str = ""


class ProgramOffer(msgspec.Struct, frozen=True):
    """A program that a worker has. A Python module offers itself as ``module/NAME``."""

    name: str
    version: str = ""


class Offer(msgspec.Struct, frozen=True):
    """What a worker has free now."""

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


def offers_program(need: ProgramNeed, offered: ProgramOffer) -> bool:
    """Whether an offered program is what is needed (an unreadable version fits only ``""``)."""
    if need.name != offered.name:
        return False
    if not need.versions:
        return True
    try:
        return Version(offered.version) in specifiers(need.versions)
    except InvalidVersion:
        return False
