"""What is decided about projects and pools as a whole: who works for whom, and how much."""

from __future__ import annotations

import msgspec


class ProjectShare(msgspec.Struct, frozen=True, omit_defaults=True):
    """A project's part of the workers.

    Of projects with work of equal priority, each gets cores in proportion to its ``weight``.
    ``priority`` is added to that of each of its jobs. ``pools``: the only ones whose workers it
    uses (none named: all).
    """

    weight: float = 1.0
    priority: int = 0
    pools: tuple[str, ...] = ()


class PoolRules(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a pool of workers is for: ``projects`` by id (none named: all)."""

    projects: tuple[str, ...] = ()
