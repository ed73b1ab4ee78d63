"""Limits on what a project may use, so that a bug in a loop costs an hour and not a month."""

from __future__ import annotations

import msgspec

from copernicus.errors import BadValue


class Budget(msgspec.Struct, frozen=True, omit_defaults=True):
    """Limits of a project; ``None`` is no limit (DESIGN 5.8, SEMANTICS 9.2).

    ``queued``: jobs wanted at a time, beyond which firing waits. The others pause the project
    when they are reached: ``instances`` (placed and declared), ``core_hours`` (of ended jobs, all
    attempts), ``bytes`` (of files that jobs have given).
    """

    instances: float | None = 50_000
    queued: float | None = 10_000
    core_hours: float | None = 1_000.0
    bytes: float | None = 200e9


class Use(msgspec.Struct, frozen=True):
    """What a project has used, in the units of its budget."""

    instances: int = 0
    queued: int = 0
    core_hours: float = 0.0
    bytes: int = 0


NAMES = Budget.__struct_fields__


def limited(budget: Budget, limits: dict[str, float | None]) -> Budget:
    """``budget`` with some limits changed.

    Raises:
        BadValue: A limit is unknown or negative.
    """
    for name, limit in limits.items():
        if name not in NAMES:
            raise BadValue(f"no budget limits {name!r}; there is: {', '.join(NAMES)}")
        if limit is not None and not limit >= 0:
            raise BadValue(f"the limit of {name} is {limit}: it must not be negative")
        if name == "queued" and limit is not None and limit < 1:
            raise BadValue("with a limit of 0 queued jobs nothing would ever run: pause instead")
    return msgspec.structs.replace(budget, **limits)


def exceeded(budget: Budget, use: Use) -> str:
    """The first limit that pauses and is reached, in words; empty if there is none."""
    reached = [
        (name, getattr(use, name), getattr(budget, name))
        for name in ("instances", "core_hours", "bytes")
    ]
    for name, used, limit in reached:
        if limit is not None and used > limit:
            words = name.replace("_", "-")
            option = f"--{words} {max(limit, 1) * 2:g}"
            return f"{used:g} {words} of {limit:g} are used: cpc project budget {option}"
    return ""
