"""What is wanted of running jobs before they end, and what they have given so far.

A job's outputs so far belong to the attempt that gave them: when it ends, in whatever way, they
are gone. What is wanted is known only while the server runs: the engine says it anew after a
restart, and a person asks again.
"""

from __future__ import annotations

import msgspec


class Wanted(msgspec.Struct):
    """What is wanted of one job: streamed ``ports``, as of ``version`` of the engine's wish."""

    version: int = 0
    ports: tuple[str, ...] = ()


class Partials:
    """What is wanted, by job."""

    def __init__(self) -> None:
        self._wanted: dict[str, Wanted] = {}

    def stream(self, job: str, version: int, ports: tuple[str, ...]) -> None:
        """These ports are wanted regularly (none: no more); lower versions change nothing."""
        wanted = self._wanted.setdefault(job, Wanted())
        if version >= wanted.version:
            wanted.version, wanted.ports = version, ports

    def streamed(self, job: str) -> tuple[str, ...]:
        """The ports of a job that are wanted regularly."""
        return self._wanted[job].ports if job in self._wanted else ()
