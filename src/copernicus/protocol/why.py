"""Why something is not done: from what was asked about to what is to blame, and what to do."""

from __future__ import annotations

import msgspec

from copernicus.model.jobs import AttemptRecord, Failure
from copernicus.protocol.jobs import JobView


class Remedy(msgspec.Struct, frozen=True, omit_defaults=True):
    """A command that may help, as it is typed, and what it does."""

    command: str
    does: str = ""


class Link(msgspec.Struct, frozen=True):
    """One step of what waits for what."""

    path: str
    state: str


class Cause(msgspec.Struct, frozen=True, omit_defaults=True):
    """One reason, at its root.

    ``chain`` leads from the first thing that it stops to the root; ``path``, ``state`` and what
    follows are those of the root. ``attempts`` are those of its job, oldest first. ``alike``
    counts roots with the same reason, ``stops`` what waits for one of them.
    """

    path: str
    state: str
    says: str
    alike: int = 1
    stops: int = 0
    chain: tuple[Link, ...] = ()
    failure: Failure | None = None
    job: JobView | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    remedies: tuple[Remedy, ...] = ()


class WhyView(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why what is at ``path`` (``""``: the project) is not done; the worst cause first.

    Without causes, there is nothing to explain: ``state`` says how it stands. ``more`` counts
    causes that were left out. ``there`` tells of each output of a mapped instance how many exist.
    ``doubts`` tells results below ``path`` that are in use and were not the same elsewhere.
    """

    path: str
    state: str
    counts: dict[str, int] = {}
    causes: tuple[Cause, ...] = ()
    more: int = 0
    there: dict[str, str] = {}
    doubts: tuple[str, ...] = ()
