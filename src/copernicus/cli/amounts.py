"""Amounts as people write them on a command line, and how much an edit touches. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from copernicus.errors import BadValue
from copernicus.protocol import InstanceView

_AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)\Z")
_MEMORY_MB = {"MB": 1.0, "M": 1.0, "GB": 1024.0, "G": 1024.0, "TB": 1024.0**2, "T": 1024.0**2}
_SECONDS = {"S": 1.0, "MIN": 60.0, "M": 60.0, "H": 3600.0, "D": 86400.0}


def megabytes(text: str) -> int:
    """``8GB``, ``512MB`` in MiB.

    Raises:
        BadValue: It is no amount of memory.
    """
    return round(_amount(text, _MEMORY_MB, "amount of memory: write for example 8GB or 512MB"))


def seconds(text: str) -> float:
    """``90s``, ``30min``, ``2h``, ``1d`` in seconds.

    Raises:
        BadValue: It is no length of time.
    """
    return _amount(text, _SECONDS, "length of time: write for example 30min, 2h or 1d")


def _amount(text: str, units: dict[str, float], what: str) -> float:
    found = _AMOUNT.match(text.strip())
    if found is None or found[2].upper() not in units:
        raise BadValue(f"{text!r} is no {what}")
    return float(found[1]) * units[found[2].upper()]


def states_below(views: Iterable[InstanceView], path: str) -> Counter[str]:
    """How many elements are in which state in an instance and inside it (``""``: anywhere)."""
    counts: Counter[str] = Counter()
    for view in views:
        if not path or view.path == path or view.path.startswith((f"{path}/", f"{path}@")):
            counts.update(view.counts)
    return counts
