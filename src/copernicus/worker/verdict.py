"""What a failure is by the retry policy: worth another try, or for good."""

from __future__ import annotations

import msgspec

from copernicus.model.jobs import Failure, JobSpec
from copernicus.model.retries import FailurePattern
from copernicus.worker.patterns import TooSlow, find

_JUDGED = frozenset({"job_error", "resource", "infrastructure"})
_MOST = 1 << 20
_LONGEST_LINE = 4000


def judged(failure: Failure, spec: JobSpec, log: str) -> Failure:
    """The failure with its verdict, by the exit code and the end of the log."""
    if failure.cause not in _JUDGED or not (spec.permanent or spec.transient):
        return failure
    lines = f"{log}\n{failure.log}\n{failure.reason}"[-_MOST:].splitlines()
    text = "\n".join(line[:_LONGEST_LINE] for line in lines)

    def fits(patterns: tuple[FailurePattern, ...]) -> bool:
        return any(_fits(pattern, failure.exit_code, text) for pattern in patterns)

    if fits(spec.permanent):
        return msgspec.structs.replace(failure, verdict="permanent")
    if fits(spec.transient):
        return msgspec.structs.replace(failure, verdict="transient")
    return failure


def _fits(pattern: FailurePattern, exit_code: int | None, log: str) -> bool:
    """Whether a failure is of this kind; what cannot be found out in time is not."""
    if pattern.exit_codes and exit_code not in pattern.exit_codes:
        return False
    try:
        return not pattern.log or find(pattern.log, log) is not None
    except TooSlow:
        return False
