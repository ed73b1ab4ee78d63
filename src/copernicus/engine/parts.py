"""Changing a part of a plain value: a member, an element, the place after the last one."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

from copernicus.errors import NotFound
from copernicus.model.paths import APPEND, Step


def assigned(held: Any, steps: tuple[Step, ...], value: Any, where: str) -> Any:
    """``held`` with another value at ``steps``; what lies on the way there is made if it is not.

    Raises:
        NotFound: There is no such place.
    """
    if not steps:
        return value
    whole = _room(steps[0]) if held is None else copy.deepcopy(held)
    at = whole
    for step, after in pairwise(steps):
        inside = _look(at, step)
        if inside is None:
            inside = _room(after)
            _put(at, step, inside, where)
        at = inside
    _put(at, steps[-1], value, where)
    return whole


def removed(held: Any, steps: tuple[Step, ...], where: str) -> Any:
    """``held`` without the member or element at ``steps``.

    Raises:
        NotFound: There is none.
    """
    whole = copy.deepcopy(held)
    at = whole
    for step in steps[:-1]:
        at = _look(at, step)
    last = steps[-1]
    if not _has(at, last):
        raise NotFound(f"{where}: there is no {last!r} to remove")
    del at[last]
    return whole


def _room(step: Step) -> Any:
    return [] if step == APPEND or isinstance(step, int) else {}


def _look(at: Any, step: Step) -> Any:
    return at[step] if _has(at, step) else None


def _put(at: Any, step: Step, value: Any, where: str) -> None:
    if isinstance(at, list) and (step == APPEND or step == len(at)):
        at.append(value)
    elif _has(at, step) or (isinstance(at, dict) and isinstance(step, str) and step != APPEND):
        at[step] = value
    else:
        raise NotFound(f"{where}: there is no place {step!r} in {_what(at)}")


def _has(at: Any, step: Step) -> bool:
    if isinstance(at, list):
        return isinstance(step, int) and step < len(at)
    return isinstance(at, dict) and step in at


def _what(at: Any) -> str:
    if isinstance(at, list):
        return f"a list of {len(at)} elements"
    return "a record" if isinstance(at, dict) else f"the value {at!r}"[:60]
