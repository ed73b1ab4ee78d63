"""Jobs as people see them: where they run and ran, and what there is of their results so far."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.protocol.machine import ProgressReport


class AttemptView(msgspec.Struct, frozen=True, omit_defaults=True):
    """One attempt at a job, as shown; ``log`` is the end of what it printed, once it has ended.

    ``memory_mb`` is what it was granted, ``peak_memory_mb`` what it had at most.
    """

    number: int
    worker: str
    host: str = ""
    cores: int = 0
    started: float = 0.0
    ended: float = 0.0
    outcome: str = ""
    exit_code: int | None = None
    log: str = ""
    peak_memory_mb: int = 0
    memory_mb: int = 0
    rate: float | None = None
    rate_unit: str = ""


class KindView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A kind of worker, how many of it are connected, and why a job does not run there."""

    kind: str
    workers: int
    hosts: tuple[str, ...]
    reason: str


class RateView(msgspec.Struct, frozen=True, omit_defaults=True):
    """How fast jobs of this kind were measured to run with so many cores."""

    cores: int
    rate: float
    unit: str = ""
    runs: int = 1
    chosen: bool = False


class JobView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job, as shown. ``why`` says why it does not run yet.

    ``log_tail`` is the end of what its newest attempt printed: of a running one, it ends
    ``log_end`` bytes after the beginning. ``tries`` are its attempts, oldest first. ``memory_mb``
    is what it asks for now. Of one job alone: ``kinds`` of workers and why it runs on none of them,
    and the ``rates`` by number of cores that were measured for its kind of work; ``doubt``, if
    its result is in use and was not the same elsewhere.
    """

    id: str
    project: str
    path: str
    function: str
    state: str
    priority: int = 0
    attempts: int = 0
    worker: str = ""
    host: str = ""
    cores: int = 0
    progress: ProgressReport | None = None
    log_tail: str = ""
    why: str = ""
    submitted: float = 0.0
    step: float | None = None
    log_end: int = 0
    tries: tuple[AttemptView, ...] = ()
    ended: float = 0.0
    kinds: tuple[KindView, ...] = ()
    rates: tuple[RateView, ...] = ()
    memory_mb: int = 0
    doubt: str = ""


class JobPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Some of a project's ended jobs, newest first; ``older`` asks for those before them."""

    jobs: tuple[JobView, ...]
    older: str = ""


class PartialView(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a running job has made so far of one output, or of one series.

    ``value`` is plain (``None``: there is nothing yet). ``attempt`` had made it ``age_s`` seconds
    ago, when ``step`` was certainly reached. Of an ended job, ``age_s`` is that of its end.
    """

    path: str
    name: str
    job: str
    value: Any = None
    attempt: int = 0
    host: str = ""
    age_s: float = 0.0
    step: float | None = None
    total: float | None = None
    running: bool = True
