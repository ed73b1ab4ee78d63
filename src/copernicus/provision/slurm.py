"""What Parsl does not ask Slurm: why a job waits, and which jobs there are at all."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

_ASK_S = 30.0
_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "SUSPENDED")
_OVER = {
    "CANCELLED": "it was cancelled",
    "TIMEOUT": "its time was over",
    "FAILED": "it failed",
    "NODE_FAIL": "its node failed",
    "PREEMPTED": "it was pre-empted",
    "OUT_OF_MEMORY": "it ran out of memory",
    "COMPLETED": "",
}


class SlurmJob:
    """A line of ``squeue``: a job that Slurm still knows."""

    def __init__(self, line: str) -> None:
        self.id, self.state, self.reason, self.name = line.split("|", 3)

    @property
    def waits(self) -> bool:
        """Whether it has not begun."""
        return self.state in _WAITING

    @property
    def is_over(self) -> bool:
        """Whether it has ended: Slurm remembers it for a while."""
        return self.state in _OVER

    @property
    def why(self) -> str:
        """What Slurm says of it, for people."""
        if self.is_over:
            return _OVER[self.state]
        return "" if self.reason in ("None", "") else self.reason


def jobs_of_mine(options: Mapping[str, Any]) -> dict[str, SlurmJob] | None:
    """The jobs of this account, by id; None if Slurm does not tell."""
    argv = ["squeue", "--me", "--noheader", "--states=all", "--format=%i|%T|%r|%j"]
    if options.get("clusters"):
        argv.append(f"--clusters={options['clusters']}")
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ASK_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    found = [SlurmJob(line) for line in done.stdout.splitlines() if line.count("|") >= 3]
    return {job.id: job for job in found}
