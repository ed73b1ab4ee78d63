"""What the server asks of the process that talks to batch systems, and what it is told."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.model.pools import Provision

JobState = Literal["pending", "running", "ended", "failed", "unknown"]


class Submission(msgspec.Struct, frozen=True):
    """A batch job to be made: ``name`` is found in the batch system, ``script`` is what it runs."""

    name: str
    script: str


class Ask(msgspec.Struct, frozen=True):
    """Cancel, submit, look, in this order.

    ``jobs``: what the provider had kept of each job that is looked at or cancelled, by its id.
    ``find``: names of which it is not known whether their submission was taken.
    ``scripts``: the folder for the files of the provider.
    """

    asked: Provision
    scripts: str
    submit: tuple[Submission, ...] = ()
    cancel: tuple[str, ...] = ()
    jobs: dict[str, dict[str, Any]] = {}
    find: tuple[str, ...] = ()


class Submitted(msgspec.Struct, frozen=True):
    """A batch job that was taken; ``kept`` is what the provider needs to know of it later."""

    job: str
    kept: dict[str, Any] = {}


class JobTold(msgspec.Struct, frozen=True):
    """How a batch job stands, and why in the words of the batch system."""

    state: JobState
    why: str = ""


class Told(msgspec.Struct, frozen=True):
    """What came of an ``Ask``.

    ``refused``: submissions that failed, and why. ``found``: None where there is no such job; names
    of which that cannot be said are left out. ``error``: nothing could be done at all.
    """

    submitted: dict[str, Submitted] = {}
    refused: dict[str, str] = {}
    states: dict[str, JobTold] = {}
    found: dict[str, Submitted | None] = {}
    error: str = ""
