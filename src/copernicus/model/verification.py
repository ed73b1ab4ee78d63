"""How much of what peers gave is run again elsewhere, to see whether it is the same."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Literal

import msgspec

from copernicus.errors import BadValue

MOST_OPEN = 10
"""So many second runs of a project are open at a time; what is chosen beyond is left out."""

Outcome = Literal["same", "differed", "failed", "left_out"]


class Verification(msgspec.Struct, frozen=True, omit_defaults=True):
    """A project's rule: the ``fraction`` of the results of peers that is run a second time.

    ``tolerance`` is how far numbers may be apart, relative to the larger one. ``of`` names the only
    functions that are verified; none named: all. One that is stochastic never is.
    """

    fraction: float = 0.0
    tolerance: float = 0.0
    of: tuple[str, ...] = ()


def check_verification(rule: Verification, functions: Container[str] | None = None) -> Verification:
    """Return the rule if it can be kept.

    Args:
        rule: a project's.
        functions: those that there are, where that is known.

    Raises:
        BadValue: The fraction is not from 0 to 1, the tolerance is negative or no number, or there
            is no function of a name.
    """
    if not 0.0 <= rule.fraction <= 1.0:
        raise BadValue(
            f"the fraction is {rule.fraction}: give 0 (nothing is verified) to 1 (everything is)"
        )
    if not (math.isfinite(rule.tolerance) and rule.tolerance >= 0.0):
        raise BadValue(f"the tolerance is {rule.tolerance}: give 0 or more, such as 1e-6")
    unknown = [name for name in rule.of if functions is not None and name not in functions]
    if unknown:
        raise BadValue(
            f"there is no function {unknown[0]!r}, neither in the project nor installed at the "
            "server: cpc functions lists those that are"
        )
    return rule


class Tally(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of the results of a project that were chosen to be verified.

    ``failed``: the second run did, which tells nothing. ``left_out``: ``MOST_OPEN`` others were
    open. ``open`` second runs have not ended.
    """

    same: int = 0
    differed: int = 0
    failed: int = 0
    left_out: int = 0
    open: int = 0

    def plus(self, what: Outcome) -> Tally:
        """With one more of these."""
        return msgspec.structs.replace(self, **{what: getattr(self, what) + 1})
