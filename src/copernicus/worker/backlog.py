"""Jobs that were granted ahead: so short that asking for each would take longer than doing it."""

from __future__ import annotations

from copernicus.protocol import Ahead, Assignment

HORIZON_S = 0.25
_MOST = 512
_KINDS = 16
_WEIGHT = 0.2


class Backlog:
    """What waits to be started, and how much more of it is worth asking for.

    ``core_s`` of recent jobs says how long those of a function take. As many are kept waiting as
    the worker does in ``HORIZON_S``: longer would only keep them from other workers.
    """

    def __init__(self, cores: int) -> None:
        self._cores = cores
        self._waiting: dict[str, Assignment] = {}
        self._core_s: dict[str, float] = {}
        self._dry = False

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, attempt: str) -> bool:
        return attempt in self._waiting

    @property
    def head(self) -> Assignment | None:
        """What is to be started next."""
        return next(iter(self._waiting.values()), None)

    def add(self, assignment: Assignment) -> None:
        """One more that waits."""
        self._waiting[assignment.attempt] = assignment

    def pop(self) -> Assignment:
        """Take the first out; there must be one."""
        return self._waiting.pop(next(iter(self._waiting)))

    def take_all(self) -> list[Assignment]:
        """Take everything out, and ask for no more until jobs prove to be short again."""
        taken = list(self._waiting.values())
        self._waiting.clear()
        self._core_s.clear()
        return taken

    def note(self, function: str, core_s: float) -> None:
        """A job of this function took so many seconds times cores."""
        before = self._core_s.pop(function, core_s)
        self._core_s[function] = before + _WEIGHT * (core_s - before)
        if len(self._core_s) > _KINDS:
            del self._core_s[next(iter(self._core_s))]

    def found(self, count: int) -> None:
        """So many were granted to the last request; after none it is not repeated at once."""
        self._dry = count == 0

    @property
    def is_low(self) -> bool:
        """Whether it is worth asking although no core is free."""
        return not self._dry and any(2 * len(self) < most for _, most in self._goals())

    def wanted(self) -> tuple[Ahead, ...]:
        """How many to ask for, by function."""
        room = ((name, most - len(self)) for name, most in self._goals())
        return tuple(Ahead(name, count) for name, count in room if count > 0)

    def _goals(self) -> list[tuple[str, int]]:
        budget = HORIZON_S * self._cores
        goals = ((name, int(budget / max(s, 1e-4))) for name, s in self._core_s.items())
        return [(name, min(most, _MOST)) for name, most in goals if most > self._cores]
