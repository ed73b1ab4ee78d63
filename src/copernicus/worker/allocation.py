"""When the batch job ends in which a worker runs: nobody has to tell it.

A batch system ends what runs by then, finished or not; a worker that knows the time hands its jobs
back before, with checkpoints.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping

_ASK_S = 30.0
_LEFT = re.compile(r"(?:(?P<days>\d+)-)?(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)")


async def seconds_left(environment: Mapping[str, str], now: float) -> float | None:
    """The time until the end of the Slurm job that this process belongs to.

    ``now`` is the time since the epoch. None outside of Slurm, where the job has no end, and where
    Slurm does not answer.
    """
    end = environment.get("SLURM_JOB_END_TIME", "")
    if end.isdigit():
        return int(end) - now
    job = environment.get("SLURM_JOB_ID", "")
    if not job:
        return None
    said = await _ask(("squeue", "--noheader", f"--jobs={job}", "--format=%L"), environment)
    return read_time_left(said)


def read_time_left(text: str) -> float | None:
    """Seconds, from what ``squeue`` shows as ``TIME_LEFT``; None if that is no time.

    >>> read_time_left("1-02:00:30")
    93630.0
    >>> read_time_left("UNLIMITED")
    """
    found = _LEFT.fullmatch(text.strip())
    if found is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


async def _ask(argv: tuple[str, ...], environment: Mapping[str, str]) -> str:
    with contextlib.suppress(OSError, TimeoutError):
        process = await asyncio.create_subprocess_exec(
            *argv,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(_ASK_S):
                said, _ = await process.communicate()
            return said.decode(errors="replace")
        finally:
            if process.returncode is None:
                process.kill()
    return ""
