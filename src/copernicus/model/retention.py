"""How long files of results stay that nothing in a project uses any more."""

from __future__ import annotations

import math

import msgspec

from copernicus.errors import BadValue

OUT = ".out."


class Retention(msgspec.Struct, frozen=True, omit_defaults=True):
    """A project's rules: for how many days files of unused results stay; ``None`` is for ever.

    ``days`` holds for all, ``of`` for a function (``gromacs.mdrun``) or for one of its outputs
    (``gromacs.mdrun.out.trajectory``), which wins.
    """

    days: float | None = None
    of: dict[str, float | None] = {}

    def days_of(self, function: str, port: str) -> float | None:
        """For how long the files of an output stay."""
        for name in (f"{function}{OUT}{port}", function):
            if name in self.of:
                return self.of[name]
        return self.days

    @property
    def keeps_everything(self) -> bool:
        """Whether no file goes by any rule."""
        return self.days is None and all(days is None for days in self.of.values())


def check_retention(rules: Retention) -> Retention:
    """Return the rules if they can be kept.

    Raises:
        BadValue: a number of days is negative, or no number.
    """
    for name, days in {"the project": rules.days, **rules.of}.items():
        if days is not None and not (math.isfinite(days) and days >= 0):
            raise BadValue(f"files of {name} cannot be kept for {days} days: give 0 or more")
    return rules
