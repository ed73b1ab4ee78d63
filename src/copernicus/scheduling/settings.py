"""The times and bounds by which jobs are given out and tried again."""

from __future__ import annotations

import msgspec


class SchedulerSettings(msgspec.Struct, frozen=True):
    """Times in seconds, memory in MiB.

    ``lease_s``: without a sign of life for so long, an attempt is lost. ``backoff_max_s`` bounds
    the exponential back-off. ``first_memory_mb`` is what a job that asked for no memory asks for
    after it ran out of it. A worker counts as present for ``worker_recent_s`` after its last
    request. A job that waits ``reserve_after_s`` gets the next worker wide enough for it kept free;
    one that waits ``avoid_s`` no longer avoids the workers that failed it. Where no job of a kind
    was given out for ``starve_after_s``, the next one comes before what fair share would give. A
    job that waits less than ``local_s`` may be passed over for one whose files a worker has. A job
    with a range of cores gets as many as keep ``efficient`` of the best measured rate per core.
    ``keep_ended`` ended jobs stay in memory for late results. At most ``most_ahead`` jobs are
    granted beyond what an offer holds. What is streamed of a running job comes every
    ``share_interval_s``; a log that was asked for is watched for ``watch_s`` more.
    A worker on which more than ``quarantine_failures`` jobs failed within ``quarantine_window_s``,
    and none succeeded, is set aside for ``quarantine_s``, twice as long each time up to
    ``quarantine_max_s``.
    """

    lease_s: float = 120.0
    heartbeat_s: float = 30.0
    checkpoint_interval_s: float = 300.0
    backoff_max_s: float = 600.0
    first_memory_mb: int = 2048
    memory_growth: float = 1.5
    worker_recent_s: float = 60.0
    reserve_after_s: float = 300.0
    avoid_s: float = 600.0
    starve_after_s: float = 3600.0
    local_s: float = 60.0
    efficient: float = 0.8
    keep_ended: int = 10_000
    requests_kept: int = 32
    most_ahead: int = 256
    share_interval_s: float = 60.0
    watch_s: float = 30.0
    quarantine_failures: int = 3
    quarantine_window_s: float = 600.0
    quarantine_s: float = 300.0
    quarantine_max_s: float = 4 * 3600.0
