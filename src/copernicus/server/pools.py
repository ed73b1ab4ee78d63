"""Pools that start their workers themselves: what was decided about them, and their allocations.

An allocation is one batch job with one worker. It is stored before the batch system is asked for
it, so that a server which dies in between looks for it by its name, and never asks twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from copernicus.model.pools import Provision
from copernicus.scheduling.demand import Known
from copernicus.store.kept import Kept
from copernicus.store.reads import Reads

KEPT: Final = 20

State = Literal["asked", "pending", "running", "ended", "failed"]


class Pool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pool with a provisioner; ``spent_core_s``: by allocations that have ended.

    ``failures`` in a row, the last at ``failed_at``, because of ``why``. ``leaving``: it starts
    nothing more, and is forgotten once nothing of it is left. ``known``: what its workers have.
    """

    asked: Provision
    known: Known | None = None
    spent_core_s: float = 0.0
    failures: int = 0
    failed_at: float = 0.0
    why: str = ""
    leaving: bool = False


class Allocation(msgspec.Struct, frozen=True, omit_defaults=True):
    """A batch job of a pool, with one worker.

    ``state`` is as last seen in the batch system, which knows it as ``job`` (``asked``: not known
    yet); ``kept`` is what Parsl's provider needs of it.
    ``token``: the id of the join token that lets its worker in. ``since``: it did not run before.
    ``ending_at``: from then on it was to end, by draining its worker or by ``cancelled``.
    """

    id: str
    pool: str
    token: str
    asked_at: float
    core_s: float
    cores: int
    folder: str
    job: str = ""
    kept: dict[str, Any] = {}
    state: State = "asked"
    why: str = ""
    since: float = 0.0
    ended_at: float = 0.0
    ending_at: float = 0.0
    cancelled: bool = False
    worker: str = ""

    @property
    def name(self) -> str:
        """What the batch system calls it."""
        return f"cpc-{self.pool}-{self.id}"

    @property
    def is_over(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.state in ("ended", "failed")

    def spent_core_s(self, now: float) -> float:
        """What it has taken so far: never less than the batch system counts."""
        if self.state in ("asked", "pending") or not self.since:
            return 0.0
        return min(self.core_s, self.cores * max(0.0, (self.ended_at or now) - self.since))


POOLS = Kept("provision:", Pool)
ALLOCATIONS = Kept("allocation:", Allocation)


@dataclass(slots=True)
class Pools:
    """In memory. ``notes``: what keeps a pool from starting more, as of the last look."""

    by_name: dict[str, Pool] = field(default_factory=dict)
    allocations: dict[str, Allocation] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)

    def of(self, pool: str) -> list[Allocation]:
        """The allocations of a pool, oldest first; those that ended lately too."""
        found = (one for one in self.allocations.values() if one.pool == pool)
        return sorted(found, key=lambda one: (one.asked_at, one.id))

    def standing(self, pool: str) -> list[Allocation]:
        """Those that have not ended."""
        return [one for one in self.of(pool) if not one.is_over]


def read_pools(reads: Reads) -> Pools:
    """All of them, from the store."""
    return Pools(POOLS.read(reads), ALLOCATIONS.read(reads))
