"""How often failed work is tried again by itself, and which failures are worth another try."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from copernicus.errors import BadValue

_MOST_PATTERNS = 50


class FailurePattern(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """Failures of one kind: by exit code, by what was printed (a regular expression), or by both.

    Workers look through the log, so that no expression of a user is ever run by the server.
    """

    exit_codes: tuple[int, ...] = ()
    log: str = ""


class RetryPolicy(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often a job of a function is tried again by itself, by cause (RELIABILITY 3.3).

    ``troubles``: failures that are the machine's fault, or ``transient``. A ``permanent`` failure
    is not tried again. The wait between tries is ``backoff_s``, twice as long each time up to
    ``backoff_max_s`` (without it, the server's bound).
    """

    job_errors: int = 2
    worker_losses: int = 4
    memory_growths: int = 3
    troubles: int = 30
    backoff_s: float = 5.0
    backoff_max_s: float | None = None
    permanent: tuple[FailurePattern, ...] = ()
    transient: tuple[FailurePattern, ...] = ()


class ProjectRetries(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a project has otherwise than its functions; ``None``: as the function says.

    Its patterns are looked at before those of the functions.
    """

    job_errors: int | None = None
    worker_losses: int | None = None
    memory_growths: int | None = None
    troubles: int | None = None
    backoff_s: float | None = None
    backoff_max_s: float | None = None
    permanent: tuple[FailurePattern, ...] = ()
    transient: tuple[FailurePattern, ...] = ()


NAMES = RetryPolicy.__struct_fields__
AS_FUNCTIONS_SAY = ProjectRetries()


def changed(retries: ProjectRetries, fields: dict[str, Any]) -> ProjectRetries:
    """``retries`` with some fields changed.

    Raises:
        BadValue: There is no such field, or its value cannot be.
    """
    for name in fields:
        if name not in NAMES:
            raise BadValue(f"retries have no {name!r}; there is: {', '.join(NAMES)}")
    wanted = {**msgspec.to_builtins(retries), **fields}
    named = {name: value for name, value in wanted.items() if value is not None}
    try:
        new = msgspec.convert(named, ProjectRetries)
    except msgspec.ValidationError as error:
        raise BadValue(f"retries: {error}") from None
    check_retries(new)
    return new


def check_retries(retries: RetryPolicy | ProjectRetries) -> None:
    """See that a policy can be followed.

    Raises:
        BadValue: It cannot; says which field, and why.
    """
    for name in ("job_errors", "worker_losses", "memory_growths", "troubles", "backoff_s"):
        number = getattr(retries, name)
        if number is not None and number < 0:
            raise BadValue(f"{name} is {number}: it must not be negative")
    longest = retries.backoff_max_s
    if longest is not None and longest <= 0:
        raise BadValue(f"backoff_max_s is {longest}: it must be more than 0")
    for name in ("permanent", "transient"):
        patterns: tuple[FailurePattern, ...] = getattr(retries, name)
        if len(patterns) > _MOST_PATTERNS:
            raise BadValue(f"{name} has {len(patterns)} patterns; at most {_MOST_PATTERNS} may be")
        for pattern in patterns:
            _check_pattern(name, pattern)


def _check_pattern(name: str, pattern: FailurePattern) -> None:
    if not pattern.exit_codes and not pattern.log:
        raise BadValue(f"a {name} pattern without exit_codes and without log would fit everything")
    try:
        re.compile(pattern.log)
    except (re.error, RecursionError, OverflowError) as error:
        raise BadValue(f"{name}: {pattern.log!r} is no regular expression: {error}") from None
