"""How many workers of a pool to start, and which to end. Pure: it depends on what it is given."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from copernicus.model.pools import Provision

Phase = Literal["asked", "pending", "starting", "working", "ending"]
_FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 1800.0


class Standing(msgspec.Struct, frozen=True):
    """An allocation that has not ended.

    It is ``asked`` of the batch system, ``pending`` there, ``starting`` (it runs, its worker is not
    here yet), ``working``, or ``ending``. ``idle_s``: how long its worker has had nothing to do.
    """

    id: str
    phase: Phase
    idle_s: float = 0.0


class Situation(msgspec.Struct, frozen=True):
    """All that a decision about a pool depends on.

    ``fillable``: how many further workers the jobs that wait could fill, as of now and of the look
    before. ``spent_core_s``: by allocations that have ended. ``surplus_s``: for how long there have
    been more allocations on their way than are wanted. ``pause_s``: how long nothing is to be
    started, after failures. ``scout``: what its workers have is not known yet.
    """

    asked: Provision
    standing: tuple[Standing, ...] = ()
    fillable: int = 0
    spent_core_s: float = 0.0
    surplus_s: float = 0.0
    pause_s: float = 0.0
    scout: bool = False
    leaving: bool = False


class Decision(msgspec.Struct, frozen=True):
    """Start so many, cancel these before they start, drain the workers of these.

    ``held_back`` says why no more are started although there is work; ``surplus``: more are on
    their way than are wanted.
    """

    start: int = 0
    cancel: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()
    held_back: str = ""
    surplus: int = 0


def decide(now: Situation) -> Decision:
    """What to do about a pool."""
    asked = now.asked
    coming = [one for one in now.standing if one.phase in ("asked", "pending", "starting")]
    working = [one for one in now.standing if one.phase == "working"]
    if now.leaving:
        pending = tuple(one.id for one in coming if one.phase != "asked")
        return Decision(cancel=pending, drain=tuple(one.id for one in working))
    wanted = max(now.fillable, asked.min - len(working))
    if wanted > len(coming):
        start, held_back = _bounded(now, wanted - len(coming), bool(coming or working))
        return Decision(start=start, drain=_idle(asked, working), held_back=held_back)
    surplus = len(coming) - wanted
    pending = tuple(one.id for one in coming if one.phase == "pending")
    given_up = surplus and now.surplus_s >= asked.idle_s
    cancel = tuple(reversed(pending))[:surplus] if given_up else ()
    return Decision(cancel=cancel, drain=_idle(asked, working), surplus=surplus)


def pause_after(failures: int) -> float:
    """How long to wait after so many failures in a row; never for ever."""
    if failures < 1:
        return 0.0
    return float(min(_FIRST_PAUSE_S * 2.0 ** min(failures - 1, 30), _LONGEST_PAUSE_S))


def _bounded(now: Situation, more: int, has_any: bool) -> tuple[int, str]:
    asked = now.asked
    room = max(0, asked.max - len(now.standing))
    bounds = [(room, f"it has {len(now.standing)} of at most {asked.max}")]
    if asked.max_core_hours:
        promised = now.spent_core_s + len(now.standing) * asked.core_s
        left = asked.max_core_hours * 3600.0 - promised
        said = f"{asked.max_core_hours:g} core-hours are spent or promised"
        bounds.append((max(0, math.floor(left / asked.core_s)), said))
    if now.pause_s > 0:
        bounds.append((0, f"the last ones failed: it tries again in {now.pause_s:.0f} s"))
    if now.scout:
        bounds.append((0 if has_any else 1, "a first worker is to show what they have"))
    least, why = min(bounds, key=lambda bound: bound[0])
    return (more, "") if more <= least else (least, why)


def _idle(asked: Provision, working: list[Standing]) -> tuple[str, ...]:
    """Those that had nothing to do for too long, the longest first, but for the fewest to keep."""
    idle = sorted(
        (one for one in working if one.idle_s >= asked.idle_s > 0 or one.idle_s > asked.idle_s),
        key=lambda one: (-one.idle_s, one.id),
    )
    return tuple(one.id for one in idle)[: max(0, len(working) - asked.min)]
