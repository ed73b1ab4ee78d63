"""What is measured of an attempt while it runs, and what ended it if it went beyond its limits."""

from __future__ import annotations

from dataclasses import dataclass

from copernicus.model.jobs import Failure


@dataclass(slots=True)
class Meter:
    """The numbers of one attempt.

    ``program`` is the number of its process at the executor, while there is one. A process that
    has worked for others before (``reused``) counts with what it has more than at first.
    """

    program: int | None = None
    reused: bool = False
    first_mb: float | None = None
    peak_mb: float = 0.0
    disk_mb: float = 0.0
    exceeded: Failure | None = None
    rate: float | None = None
    rate_unit: str = ""

    def weigh(self, now_mb: float) -> float:
        """What the attempt itself uses, of the memory that its processes have now."""
        if self.first_mb is None:
            self.first_mb = now_mb if self.reused else 0.0
        return max(0.0, now_mb - self.first_mb)
