"""How an attempt ended, and the words for it."""

from __future__ import annotations

import errno
import re
import signal
from typing import Any, Literal

import msgspec

from copernicus.blobs import DamagedBlob
from copernicus.errors import BadDefinition, BadValue, CopernicusError
from copernicus.executors.local import ProgramNotStarted, WardenLost
from copernicus.model.jobs import Failure
from copernicus.worker.patterns import find
from copernicus.worker.transfer import Pending

Cause = Literal["job_error", "worker_lost", "infrastructure", "resource", "cancelled", "definition"]

_CRASHES = {
    signal.SIGSEGV: "crashed (segmentation fault)",
    signal.SIGFPE: "crashed (arithmetic error)",
    signal.SIGILL: "crashed (illegal instruction: it was built for another kind of CPU)",
    signal.SIGBUS: "crashed (bus error)",
    signal.SIGABRT: "aborted itself",
}
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Outcome(msgspec.Struct):
    """The end of an attempt, before it is told to the server."""

    kind: Literal["completed", "failed", "stopped"]
    outputs: dict[str, Any] = {}
    files: list[Pending] = []
    failure: Failure | None = None
    exit_code: int | None = None


class AttemptFailed(Exception):
    """The attempt is over: it failed, and the failure says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def failed(
    reason: str, cause: Cause = "job_error", *, code: int | None = None, remedy: str = ""
) -> AttemptFailed:
    """The exception for a failure."""
    return AttemptFailed(Failure(reason, cause, code, remedy=remedy))


def explain_exit(program: str, code: int) -> AttemptFailed:
    """Why a program that ended like this has failed."""
    # A shell, or mpirun, tells of a signal as 128 + its number.
    number = -code if code < 0 else code - 128 if code > 128 else 0
    if number == signal.SIGKILL:
        return failed(
            f"{program} was killed by the system, most likely for lack of memory",
            "resource",
            code=code,
            remedy="ask for more memory",
        )
    if number in _CRASHES:
        return failed(f"{program} {_CRASHES[signal.Signals(number)]}", code=code)
    if code < 0 and number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        return failed(
            f"{program} was told to end by something outside of Copernicus (signal {number})",
            "infrastructure",
            code=code,
        )
    if code < 0:
        return failed(f"{program} was ended by signal {number}", code=code)
    return failed(f"{program} ended with exit code {code}", code=code)


def explain_error(error: Exception) -> Failure:
    """The failure that an error of the worker's own work on an attempt stands for."""
    match error:
        case AttemptFailed():
            return error.failure
        case ProgramNotStarted():
            return Failure(f"the program could not be started: {error}", "infrastructure")
        case WardenLost():
            return Failure(str(error) or "the worker lost its programs", "infrastructure")
        case OSError() if error.errno in _FULL:
            return Failure(
                "the disk of the worker is full", "infrastructure", remedy="free some space there"
            )
        case OSError():
            return Failure(
                f"the worker could not use a file: {error.strerror or error}", "infrastructure"
            )
        case DamagedBlob():
            # It does not heal by itself: somebody must put the file back.
            return Failure(error.message, verdict="permanent")
        case BadDefinition() | BadValue() | re.error():
            return Failure(str(error), "definition")
        case CopernicusError():
            return Failure(error.message, "infrastructure")
        case _:
            return Failure(f"the worker failed: {type(error).__name__}: {error}", "infrastructure")


def find_fatal(fatal: dict[str, str], log: str) -> str | None:
    """What the log says to a person, by the first of the expressions that it has."""
    for expression, meaning in fatal.items():
        found = find(expression, log)
        if found:
            return meaning or found.group()
    return None
