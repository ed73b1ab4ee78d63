"""What is kept as settings of the server, each by its key.

Shares and retention of projects, rules of pools, measured rates, workers that are set aside.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from copernicus.errors import BadValue
from copernicus.model.retention import Retention
from copernicus.model.shares import PoolRules, ProjectShare
from copernicus.protocol import ShareChange
from copernicus.scheduling.quarantine import QuarantineRow
from copernicus.scheduling.rates import RateRow
from copernicus.store.reads import Reads
from copernicus.store.transaction import Transaction

_SHARE, _POOL, _RATE, _RETENTION = "share:", "pool:", "rate:", "retention:"
_ASIDE = "aside:"
_MOST_WEIGHT = 1_000_000.0
_S = TypeVar("_S", bound=msgspec.Struct)


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
    return Decided(
        _read(reads, _SHARE, ProjectShare),
        _read(reads, _POOL, PoolRules),
        _read(reads, _RETENTION, Retention),
    )


def read_rates(reads: Reads) -> list[RateRow]:
    """The rates that were measured, from the store."""
    return list(_read(reads, _RATE, RateRow).values())


def read_quarantine(reads: Reads) -> list[QuarantineRow]:
    """The workers that were set aside, from the store."""
    return list(_read(reads, _ASIDE, QuarantineRow).values())


def _read(reads: Reads, prefix: str, kind: type[_S]) -> dict[str, _S]:
    return {
        key.removeprefix(prefix): msgspec.json.decode(value, type=kind)
        for key, value in reads.metas(prefix).items()
    }


def keep_share(transaction: Transaction, project: str, share: ProjectShare) -> None:
    """Store a project's share."""
    transaction.set_meta(f"{_SHARE}{project}", msgspec.json.encode(share).decode())


def keep_pool(transaction: Transaction, pool: str, rules: PoolRules) -> None:
    """Store a pool's rules."""
    transaction.set_meta(f"{_POOL}{pool}", msgspec.json.encode(rules).decode())


def keep_retention(transaction: Transaction, project: str, rules: Retention) -> None:
    """Store a project's rules of retention."""
    transaction.set_meta(f"{_RETENTION}{project}", msgspec.json.encode(rules).decode())


def keep_rates(transaction: Transaction, rows: Iterable[RateRow]) -> None:
    """Store measured rates."""
    for row in rows:
        key = msgspec.json.encode(row.key).decode()
        transaction.set_meta(f"{_RATE}{key}", msgspec.json.encode(row).decode())


def keep_quarantine(transaction: Transaction, rows: Iterable[QuarantineRow]) -> None:
    """Store which workers are set aside."""
    for row in rows:
        transaction.set_meta(f"{_ASIDE}{row.worker}", msgspec.json.encode(row).decode())


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
