"""What is decided about who works for whom: shares of projects, pools, priorities of jobs."""

from __future__ import annotations

import msgspec

from copernicus.model.pools import Provision


class ShareChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to change about a project's part of the workers; ``None`` leaves it as it is.

    ``pools``: the only ones whose workers it uses; an empty list means all.
    """

    weight: float | None = None
    priority: int | None = None
    pools: tuple[str, ...] | None = None


class JobPriority(msgspec.Struct, frozen=True):
    """A job's priority from now on; ``None``: what its function asks for."""

    priority: int | None


class PoolChange(msgspec.Struct, frozen=True):
    """Which projects (names or ids) a pool's workers serve; none named: all."""

    projects: tuple[str, ...]


class AllocationView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A batch job of a pool, with its worker.

    ``state``: ``asked`` of the batch system, ``pending`` there, ``starting`` (its worker has not
    come yet), ``working``, ``idle``, ``ending``, ``ended``, ``failed`` (it never became a worker).
    ``why`` in the words of the batch system, or of what failed.
    """

    id: str
    state: str
    job: str = ""
    why: str = ""
    worker: str = ""
    jobs: int = 0
    asked: float = 0.0
    ended: float = 0.0
    core_hours: float = 0.0


class PoolView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pool of workers: how many there are, and whom they serve (by name; none: all).

    ``connected`` of its ``workers`` have been heard of lately. ``provision``: how it starts them
    itself; ``held_back``: why it starts no more of them now; ``leaving``: it is being removed.
    """

    name: str
    workers: int = 0
    connected: int = 0
    projects: tuple[str, ...] = ()
    provision: Provision | None = None
    allocations: tuple[AllocationView, ...] = ()
    core_hours: float = 0.0
    held_back: str = ""
    leaving: bool = False
