"""Workers on which everything fails: set aside for a while, so that they burn no more jobs.

Counted are failures of different jobs in a window of time, with no success of the worker since. A
job's own error counts only while others could have run it, and no more once it fails elsewhere
too: then the job is to blame. The time aside doubles with every failure that follows at once; a
success ends it all. Nothing of this is stored: after a restart, every worker has a new chance.
"""

from __future__ import annotations

import msgspec

from copernicus.model.jobs import Failure
from copernicus.scheduling.settings import SchedulerSettings

_COUNTED = frozenset({"job_error", "infrastructure"})


class Mark(msgspec.Struct, frozen=True):
    """One failure of one job on a worker."""

    at: float
    reason: str
    is_own: bool


class Aside(msgspec.Struct, frozen=True):
    """A worker that is set aside, until when, and why."""

    until: float
    why: str


class Quarantine:
    """What has failed where lately, and who is set aside."""

    def __init__(self, settings: SchedulerSettings) -> None:
        self._settings = settings
        self._marks: dict[str, dict[str, Mark]] = {}
        self._times: dict[str, int] = {}
        self.aside: dict[str, Aside] = {}

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
        self._set_aside(worker, now, len(counted), failure.reason)
        return True

    def _set_aside(self, worker: str, now: float, failures: int, reason: str) -> None:
        times = self._times.get(worker, 0)
        self._times[worker] = times + 1
        longest = self._settings.quarantine_max_s
        seconds = min(self._settings.quarantine_s * 2.0 ** min(times, 40), longest)
        jobs = f"{failures} jobs" if failures > 1 else "a job"
        self.aside[worker] = Aside(now + seconds, f"{jobs} failed there, the last: {reason}")

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
        self._times.pop(worker, None)

    def lift(self, worker: str) -> bool:
        """A person trusts the worker again; whether it was set aside."""
        self.succeeded(worker)
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
