"""How the workers of a pool are started and ended by demand, through a batch system."""

from __future__ import annotations

import math
import re
from typing import Any, Literal, get_args

import msgspec

from copernicus.errors import BadValue

Provider = Literal[
    "slurm", "pbspro", "torque", "lsf", "grid_engine", "condor", "kubernetes", "local"
]
PROVIDERS: tuple[str, ...] = get_args(Provider)

POOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}")
_MOST = 10_000
_LONGEST_S = 400 * 86400.0


class Provision(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one worker of a pool is, how many there may be, and how their batch jobs are made.

    ``partition`` is the batch system's queue. Times in seconds: an allocation ends after
    ``walltime_s``; a worker with nothing to do for ``idle_s`` is ended unless there would be fewer
    than ``min`` then. All workers together are given at most ``max_core_hours`` (0: no bound),
    counting those that run with all that they may still take. ``setup`` are shell lines before a
    worker starts, ``command`` starts ``cpc`` there (empty: as the server's own), ``worker`` are
    further options of ``cpc worker start``. ``folder`` is where allocations have their folders,
    which every node must see (empty: in the server's folder). ``options`` go to Parsl's provider.
    """

    provider: Provider
    partition: str = ""
    cores: int = 1
    memory_mb: int = 0
    gpus: int = 0
    walltime_s: float = 3600.0
    min: int = 0
    max: int = 1
    idle_s: float = 300.0
    max_core_hours: float = 0.0
    labels: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    worker: tuple[str, ...] = ()
    folder: str = ""
    options: dict[str, Any] = {}

    @property
    def core_s(self) -> float:
        """The core-seconds that one allocation may take."""
        return self.cores * self.walltime_s


def check_provision(pool: str, asked: Provision) -> None:
    """See that a pool can be provisioned like this.

    Raises:
        BadValue: it cannot; says which option, its value, and what it may be.
    """
    if not POOL_NAME.fullmatch(pool):
        raise BadValue(
            f"{pool!r} cannot name a pool that starts workers: letters, digits, - and _, up to 41"
        )
    wrong = [
        f"{name} is {value!r}, but must be {wanted}"
        for name, value, is_right, wanted in _bounds(asked)
        if not is_right
    ]
    if wrong:
        raise BadValue("; ".join(wrong))


def _bounds(asked: Provision) -> list[tuple[str, Any, bool, str]]:
    walltime, hours = asked.walltime_s, asked.max_core_hours
    return [
        ("cores", asked.cores, 1 <= asked.cores <= _MOST, f"1 to {_MOST}"),
        ("memory", asked.memory_mb, asked.memory_mb >= 0, "MiB, 0 or more"),
        ("gpus", asked.gpus, 0 <= asked.gpus <= _MOST, f"0 to {_MOST}"),
        ("max", asked.max, 1 <= asked.max <= _MOST, f"1 to {_MOST}"),
        ("min", asked.min, 0 <= asked.min <= asked.max, f"0 to max, which is {asked.max}"),
        ("walltime", walltime, 60.0 <= walltime <= _LONGEST_S, "from a minute to 400 days"),
        ("idle", asked.idle_s, 0.0 <= asked.idle_s <= _LONGEST_S, "0 seconds or more"),
        ("max-core-hours", hours, hours >= 0.0 and math.isfinite(hours), "0 or more"),
    ]
