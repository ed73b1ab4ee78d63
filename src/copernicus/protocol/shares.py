"""What is decided about who works for whom: shares of projects, pools, priorities of jobs."""

from __future__ import annotations

import msgspec


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


class PoolView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pool of workers: how many there are, and whom they serve (by name; none: all).

    ``connected`` of its ``workers`` have been heard of lately.
    """

    name: str
    workers: int = 0
    connected: int = 0
    projects: tuple[str, ...] = ()
