"""Workers on which everything fails: set aside for a while, so that they burn no more jobs.

Counted are failures of different jobs in a window of time, with no success of the worker since. A
job's own error counts only while others could have run it, and no more once it fails elsewhere
too: then the job is to blame. The time aside doubles with every failure that follows at once; a
success ends it all. Who is set aside, and how often, is stored; single failures are not.

A worker that speaks again and again for attempts that were never given to it is set aside, too.
"""

from __future__ import annotations

import msgspec

from copernicus.model.jobs import Failure
from copernicus.scheduling.settings import SchedulerSettings

_COUNTED = frozenset({"job_error", "infrastructure"})
STRIKES = 3
"""So many messages about others' attempts, within the window, and a worker is set aside."""


class Mark(msgspec.Struct, frozen=True):
    """One failure of one job on a worker."""

    at: float
    reason: str
    is_own: bool


class Aside(msgspec.Struct, frozen=True):
    """A worker that is set aside, until when, and why."""

    until: float
    why: str


class QuarantineRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """That a worker was set aside so many ``times`` since its last success. Key: ``worker``."""

    worker: str
    times: int = 0
    until: float = 0.0
    why: str = ""


class Quarantine:
    """What has failed where lately, who is set aside, and what of it is to be stored."""

    def __init__(self, settings: SchedulerSettings) -> None:
        self._settings = settings
        self._marks: dict[str, dict[str, Mark]] = {}
        self._times: dict[str, int] = {}
        self._strikes: dict[str, list[float]] = {}
        self._changed: set[str] = set()
        self.aside: dict[str, Aside] = {}

    def restore(self, row: QuarantineRow, now: float) -> None:
        """Take over what was stored; the clock may have been set back since."""
        if row.times:
            self._times[row.worker] = row.times
        if row.until > now:
            until = min(row.until, now + self._settings.quarantine_max_s)
            self.aside[row.worker] = Aside(until, row.why)

    def take(self) -> list[QuarantineRow]:
        """What has changed since the last call, to be stored by worker."""
        changed, self._changed = sorted(self._changed), set()
        return [self._row(worker) for worker in changed]

    def _row(self, worker: str) -> QuarantineRow:
        aside = self.aside.get(worker, Aside(0.0, ""))
        return QuarantineRow(worker, self._times.get(worker, 0), aside.until, aside.why)

    def get(self, worker: str) -> Aside | None:
        """How a worker is set aside, if it is."""
        return self.aside.get(worker)

    def is_on_trial(self, worker: str) -> bool:
        """Whether a worker was set aside, and has not done anything well since."""
        return worker in self._times

    def failed(
        self, worker: str, job: str, failure: Failure, now: float, *, has_others: bool
    ) -> bool:
        """A job failed on a worker; whether the worker is set aside now.

        ``has_others``: another worker could have run it.
        """
        if failure.cause not in _COUNTED or failure.verdict or failure.bad_checkpoint:
            return False
        is_own = failure.cause == "job_error"
        if is_own and self._acquit(job, worker):
            return False
        marks = self._marks.setdefault(worker, {})
        marks[job] = Mark(now, failure.reason, is_own)
        since = now - self._settings.quarantine_window_s
        for old in [name for name, mark in marks.items() if mark.at < since]:
            del marks[old]
        counted = [mark for mark in marks.values() if has_others or not mark.is_own]
        most = 0 if worker in self._times else self._settings.quarantine_failures
        if worker in self.aside or len(counted) <= most:
            return False
        jobs = f"{len(counted)} jobs" if len(counted) > 1 else "a job"
        self._set_aside(worker, now, f"{jobs} failed there, the last: {failure.reason}")
        return True

    def forged(self, worker: str, now: float) -> bool:
        """A worker spoke for an attempt that is not its own; whether it is set aside now."""
        since = now - self._settings.quarantine_window_s
        strikes = [at for at in self._strikes.get(worker, ()) if at >= since]
        self._strikes[worker] = [*strikes, now]
        if len(strikes) + 1 < STRIKES or worker in self.aside:
            return False
        del self._strikes[worker]
        why = f"it reported on attempts that were never given to it, {STRIKES} times"
        self._set_aside(worker, now, why)
        return True

    def _set_aside(self, worker: str, now: float, why: str) -> None:
        times = self._times.get(worker, 0)
        self._times[worker] = times + 1
        longest = self._settings.quarantine_max_s
        seconds = min(self._settings.quarantine_s * 2.0 ** min(times, 40), longest)
        self.aside[worker] = Aside(now + seconds, why)
        self._changed.add(worker)

    def _acquit(self, job: str, worker: str) -> bool:
        """Whether this job has failed on another worker already: neither is to blame for it."""
        others = [name for name in self._marks if name != worker and job in self._marks[name]]
        for name in others:
            del self._marks[name][job]
            if name in self.aside and len(self._marks[name]) <= self._settings.quarantine_failures:
                self.lift(name)
        return bool(others)

    def succeeded(self, worker: str) -> None:
        """A worker has completed something: all is forgotten."""
        self._marks.pop(worker, None)
        if self._times.pop(worker, None) is not None:
            self._changed.add(worker)

    def lift(self, worker: str) -> bool:
        """A person trusts the worker again; whether it was set aside."""
        self.succeeded(worker)
        self._strikes.pop(worker, None)
        return self.aside.pop(worker, None) is not None

    def over(self, now: float) -> list[str]:
        """The workers whose time aside is over by now; they are on trial from now on."""
        found = [worker for worker, aside in self.aside.items() if aside.until <= now]
        for worker in found:
            del self.aside[worker]
            self._marks.pop(worker, None)
        return found

    def next_end(self) -> float | None:
        """When a time aside next ends."""
        return min((aside.until for aside in self.aside.values()), default=None)
