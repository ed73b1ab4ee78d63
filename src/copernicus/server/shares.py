"""What is kept as settings of the server, each by its key.

Shares and retention of projects, rules of pools, measured rates, workers that are set aside.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from copernicus.errors import BadValue
from copernicus.model.retention import Retention
from copernicus.model.shares import PoolRules, ProjectShare
from copernicus.protocol import ShareChange
from copernicus.scheduling.quarantine import QuarantineRow
from copernicus.scheduling.rates import RateRow
from copernicus.store.kept import Kept
from copernicus.store.reads import Reads

SHARES = Kept("share:", ProjectShare)
RETENTION = Kept("retention:", Retention)
POOL_RULES = Kept("pool:", PoolRules)
RATES = Kept("rate:", RateRow)
ASIDE = Kept("aside:", QuarantineRow)
_MOST_WEIGHT = 1_000_000.0


@dataclass(slots=True)
class Decided:
    """All that was decided, by project and by pool."""

    shares: dict[str, ProjectShare] = field(default_factory=dict)
    pools: dict[str, PoolRules] = field(default_factory=dict)
    retention: dict[str, Retention] = field(default_factory=dict)

    def share(self, project: str) -> ProjectShare:
        """The share of a project."""
        return self.shares.get(project, ProjectShare())

    def pool(self, name: str) -> PoolRules:
        """The rules of a pool."""
        return self.pools.get(name, PoolRules())


def read_decided(reads: Reads) -> Decided:
    """What was decided, from the store."""
    return Decided(SHARES.read(reads), POOL_RULES.read(reads), RETENTION.read(reads))


def changed(share: ProjectShare, change: ShareChange) -> ProjectShare:
    """A share with a change.

    Raises:
        BadValue: The weight is no positive number.
    """
    weight = share.weight if change.weight is None else change.weight
    if not (math.isfinite(weight) and 0.0 < weight <= _MOST_WEIGHT):
        raise BadValue(f"a weight is a number above 0 and up to {_MOST_WEIGHT:,.0f}, not {weight}")
    return ProjectShare(
        weight,
        share.priority if change.priority is None else change.priority,
        share.pools if change.pools is None else change.pools,
    )
