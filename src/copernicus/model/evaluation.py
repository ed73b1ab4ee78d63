"""What passes between the engine and the evaluator of a workflow function.

The evaluator runs the coroutine's branches. Whenever no branch can go on without an answer it
sends a ``Rest``: one ``Segment`` for every stretch between two awaits that has been run since.
The engine commits what was declared, and sends an ``Answer`` when it has one. A position is
(branch, ordinal of the await in that branch); segment n of a branch ends with its await n.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.model.jobs import Failure
from copernicus.model.network import Source
from copernicus.model.resources import Resources

ROOT = "root"


class Declaration(msgspec.Struct, frozen=True, omit_defaults=True):
    """A keyed call: ``name`` is the key's name inside the workflow element."""

    name: str
    function: str
    inputs: dict[str, Source]
    mapped: tuple[str, ...] = ()
    resources: Resources | None = None


class Await(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a branch waits for.

    ``value``: all sources current; answer: list of values. ``settle``: all sources current or
    failed for good; answer: list of ``{"value": v}`` or ``{"failure": Failure}``. ``first``: one
    source current; answer: ``[index, value]``. ``latest``: every source has any version; answer:
    list of values. ``peek``: every source is current, or its running job has something so far;
    answer: list of values. ``branch``: the end of branch ``branch``, known to the evaluator itself.
    """

    kind: Literal["value", "settle", "first", "latest", "peek", "branch"]
    sources: tuple[Source, ...] = ()
    branch: str | None = None
    line: str = ""


class Segment(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a branch did between two awaits. ``index`` counts the awaits it has passed."""

    branch: str
    index: int
    declarations: tuple[Declaration, ...] = ()
    outputs: dict[str, Source] = {}
    spawned: tuple[str, ...] = ()
    waits: Await | None = None
    ended: bool = False
    failure: Failure | None = None


class Rest(msgspec.Struct, frozen=True, omit_defaults=True):
    """The segments run since the last answer; fenced by the evaluation's number.

    ``version`` is that of the code which ran; ``""`` where it could not be had.
    """

    path: str
    eid: str
    number: int
    segments: tuple[Segment, ...]
    version: str = ""


class Departure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where another version of a function's code departs from what the old one has declared."""

    version: str
    branch: str
    index: int
    line: str = ""
    reason: str = ""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to await ``index`` of ``branch``; its form depends on the await's kind."""

    branch: str
    index: int
    value: Any = None


class Start(msgspec.Struct, frozen=True, omit_defaults=True):
    """Run (or run again) a workflow function.

    ``answers`` is the recorded history for a recovery: given to the branches as they come to the
    positions; empty for a first run and for a replay after a change.
    """

    path: str
    eid: str
    number: int
    entry: str
    version: str
    inputs: dict[str, Any]
    seed: int
    outputs: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()
    max_declarations: int = 20_000
