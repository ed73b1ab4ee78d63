"""Who wants to see something of a job while it runs: the engine (streamed), and people (asked)."""

from __future__ import annotations

import msgspec


class Wanted(msgspec.Struct):
    """What is wanted of one job.

    ``streamed`` ports as of ``version`` of the engine's wish; ``asked`` ports until the request
    number ``wish`` is answered; its log until ``watched_until``.
    """

    version: int = 0
    streamed: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    wish: int = 0
    watched_until: float = 0.0


class Wishes:
    """What is wanted, by job; forgotten with the job."""

    def __init__(self) -> None:
        self._wanted: dict[str, Wanted] = {}
        self._last = 0

    def get(self, job: str) -> Wanted | None:
        """What is wanted of a job, if anything ever was."""
        return self._wanted.get(job)

    def stream(self, job: str, version: int, ports: tuple[str, ...]) -> None:
        """These ports are wanted regularly (none: no more); lower versions change nothing."""
        wanted = self._wanted.setdefault(job, Wanted())
        if version >= wanted.version:
            wanted.version, wanted.streamed = version, ports

    def streamed(self, job: str) -> tuple[str, ...]:
        """What is wanted of a job regularly."""
        return self._wanted[job].streamed if job in self._wanted else ()

    def ask(self, job: str, names: tuple[str, ...]) -> int:
        """These are wanted once; the number of the wish."""
        wanted = self._wanted.setdefault(job, Wanted())
        self._last += 1
        wanted.wish = self._last
        wanted.asked = tuple(dict.fromkeys((*wanted.asked, *names)))
        return wanted.wish

    def answered(self, job: str, wish: int) -> None:
        """A wish, and all before it, were carried out."""
        wanted = self._wanted.get(job)
        if wanted is not None and wish >= wanted.wish:
            wanted.asked = ()

    def is_open(self, job: str, wish: int) -> bool:
        """Whether a wish still waits for its answer."""
        wanted = self._wanted.get(job)
        return wanted is not None and bool(wanted.asked) and wanted.wish >= wish

    def watch(self, job: str, until: float) -> None:
        """Its log is wanted as it grows, until then."""
        wanted = self._wanted.setdefault(job, Wanted())
        wanted.watched_until = max(wanted.watched_until, until)

    def forget(self, job: str) -> None:
        """Nothing is wanted of it any more."""
        self._wanted.pop(job, None)
