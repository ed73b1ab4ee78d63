"""What an edit would do, before it is done."""

from __future__ import annotations

from typing import Literal

import msgspec

from copernicus.model.evaluation import Departure
from copernicus.model.jobs import Failure


class Estimate(msgspec.Struct, frozen=True, omit_defaults=True):
    """Core-hours, by what earlier runs took: the middle, and where half of them lie.

    ``unknown`` counts the runs for which there is nothing to go by: they come on top.
    """

    core_hours: float = 0.0
    low: float = 0.0
    high: float = 0.0
    unknown: int = 0


class PreviewRuns(msgspec.Struct, frozen=True, omit_defaults=True):
    """Runs of one instance. ``elements`` names the first of them where it is mapped.

    ``open_ended``: how many elements there will be is not known yet; ``continues``: so many go on
    from what is done already, and take less than the estimate says.
    """

    path: str
    function: str
    count: int
    elements: tuple[int, ...] = ()
    estimate: Estimate = Estimate()
    continues: int = 0
    open_ended: bool = False


Fate = Literal["cancelled", "stopped", "extended", "replaced", "again"]


class PreviewWork(msgspec.Struct, frozen=True, omit_defaults=True):
    """What becomes of work under way of one instance.

    ``cancelled`` by this edit's own word; ``stopped`` with a last checkpoint; ``extended``: goes on
    as another job, from where it is; ``replaced``: had not begun; ``again``: runs to its end, then
    once more, as its inputs have changed.
    """

    path: str
    fate: Fate
    running: int = 0
    queued: int = 0
    elements: tuple[int, ...] = ()


class PreviewInstance(msgspec.Struct, frozen=True, omit_defaults=True):
    """An instance that would be ``added``, ``retired``, ``removed``, ``renamed`` or ``back``.

    ``before`` is its name until then, ``inside`` how many go with one that is removed.
    """

    path: str
    function: str
    fate: Literal["added", "retired", "back", "removed", "renamed"]
    before: str = ""
    inside: int = 0


class PreviewEvaluation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a workflow function would do before it needs a job's result.

    ``goes``: ``begins``, is ``replayed`` from its start, or goes ``on`` from where it rests.
    ``passes`` counts the awaits of its root branch that are answered then, ``passed`` those that
    are now; ``departs``: where it declares something else, though its inputs are the same.
    """

    path: str
    function: str
    version: str
    goes: Literal["begins", "replayed", "on"]
    passes: int
    passed: int = 0
    rests_at: str = ""
    ends: bool = False
    departs: Departure | None = None
    version_before: str = ""


class PreviewFailure(msgspec.Struct, frozen=True):
    """Something that would fail at once."""

    path: str
    failure: Failure


class PreviewReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a transaction would do if it were committed at this revision; nothing was changed.

    ``starts``: jobs that would be made at once. ``follows``: elements that would run after these,
    if the values that they take change: at most so many, but what a workflow function declares
    once it sees new values is not among them. ``reuses``: results that would be valid again
    without a run. ``hints``: why something would not happen; ``cut``: why the preview is not whole.
    """

    revision: int
    position: int
    jobs: int = 0
    estimate: Estimate = Estimate()
    jobs_after: int = 0
    estimate_after: Estimate = Estimate()
    starts: tuple[PreviewRuns, ...] = ()
    follows: tuple[PreviewRuns, ...] = ()
    reuses: tuple[PreviewRuns, ...] = ()
    work: tuple[PreviewWork, ...] = ()
    instances: tuple[PreviewInstance, ...] = ()
    evaluations: tuple[PreviewEvaluation, ...] = ()
    failures: tuple[PreviewFailure, ...] = ()
    hints: tuple[str, ...] = ()
    cut: str = ""
