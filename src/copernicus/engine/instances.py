"""What a project's instances are made of: elements, activations, evaluations and their decisions.

Facts are changed by ``apply`` alone. Fields named below as *derived* are caches that ``currency``
keeps; they follow from the facts and are no part of ``facts()``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from copernicus.model.empty import NOTHING
from copernicus.model.evaluation import ROOT, Await, Departure
from copernicus.model.jobs import AttemptRecord, CheckpointRef, Failure, JobSpec
from copernicus.model.network import Owner, Source
from copernicus.model.resources import Resources

ElementKey = tuple[str, str]


class Activation(msgspec.Struct, array_like=True, gc=False):
    """One run of an instance (element) on one set of inputs; ``works`` by a job of its own.

    There are hundreds of thousands of these, and of elements: as structs they are read from a
    snapshot quickly, and the search for garbage passes them over.

    ``partial`` is its provisional version: what its job has so far or, if its inputs are
    ``provisional``, what it gave. ``dropped`` is when files of it went by a rule of retention.
    """

    id: str
    works: bool
    number: int
    path: str
    incarnation: int
    eid: str
    version: str
    inputs: dict[str, Any]
    digest: str
    base_digest: str
    lineage: str
    strict_digest: str = ""
    origins: dict[str, tuple[str, ...]] = NOTHING
    left_out: dict[str, tuple[str, ...]] = NOTHING
    parent: str | None = None
    job: JobSpec | None = None
    outcome: str = ""
    outputs: dict[str, Any] = NOTHING
    output_digests: dict[str, str] = NOTHING
    failure: Failure | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    checkpoint: CheckpointRef | None = None
    superseded_by: str | None = None
    replace: bool = False
    reused: str = ""
    provisional: bool = False
    partial: dict[str, Any] | None = None
    partial_digests: dict[str, str] = NOTHING
    partial_attempt: int = 0
    partial_sequence: int = 0
    dropped: float = 0.0


@dataclass(slots=True)
class Answered:
    """An answer that a branch got, and the digests of the values it was made of."""

    value: Any
    digests: tuple[str, ...]
    waits: Await


@dataclass(slots=True)
class Branch:
    """One branch of an evaluation. ``segments`` holds the digest of what each has declared.

    ``joins`` names the branches whose end it has waited for, by the ordinal of the await.
    """

    key: str
    parent: str | None = None
    spawned_in: int = 0
    segments: list[str] = field(default_factory=list)
    answers: dict[int, Answered] = field(default_factory=dict)
    joins: dict[int, str] = field(default_factory=dict)
    waits: Await | None = None
    running: bool = True
    ended: bool = False


@dataclass(slots=True)
class Decision:
    """What was decided at a position, among which candidates."""

    kind: str
    candidates: tuple[str, ...]
    chosen: tuple[str, ...]
    outcome: Any = None


@dataclass(slots=True)
class Binding:
    """A workflow's output: the source it follows, and the one it will follow.

    ``declared`` is what this evaluation has said; ``None`` until it has.
    """

    effective: Source | None = None
    declared: Source | None = None


@dataclass(slots=True)
class Evaluation:
    """The evaluation of one element of a workflow instance. ``number`` fences what it says.

    ``version`` is that of the code that it runs; ``departure`` says where the installed code
    departs from what has been declared: then it waits for a user's word.

    ``reopened`` has the decisions that a user wants taken anew, with the names it is about (none:
    all of it), until they are.
    """

    number: int = 0
    activation: str = ""
    version: str = ""
    departure: Departure | None = None
    ended: bool = False
    failure: Failure | None = None
    branches: dict[str, Branch] = field(default_factory=dict)
    spawn_points: dict[str, tuple[str, int]] = field(default_factory=dict)
    decisions: dict[str, Decision] = field(default_factory=dict)
    reopened: dict[str, tuple[str, ...]] = field(default_factory=dict)
    outputs: dict[str, Binding] = field(default_factory=dict)
    # derived
    stale: set[tuple[str, int]] = field(default_factory=set)
    moved: set[tuple[str, int]] = field(default_factory=set)
    watched: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    undeclared: set[str] = field(default_factory=set)

    @property
    def live(self) -> bool:
        """Whether it has been started and is not over."""
        return self.number > 0 and not self.ended and self.failure is None


class Element(msgspec.Struct, array_like=True, gc=False):
    """One element of an instance: the only one (``eid == ""``) if the instance is not mapped."""

    eid: str
    open: str | None = None
    success: str | None = None
    ended: str | None = None
    retry: bool = False
    replay: bool = False
    asks: dict[str, Any] = NOTHING
    skip: str | None = None
    skipped_by: str = ""
    successes: dict[str, str] = NOTHING
    lineages: dict[str, str] = NOTHING
    evaluation: Evaluation | None = None
    partial: str | None = None
    # derived
    provisional: bool = False
    wanted: bool = False
    ready: bool = False
    hole: bool = False
    current: bool = False
    digest: str = ""
    strict_digest: str = ""
    blocker: str = ""
    backlogged: bool = False
    standing: str = ""
    shown: int = -1
    shown_success: str | None = None
    shown_digest: str = ""
    shown_more: tuple[Any, ...] = ()

    def has_facts(self) -> bool:
        """Whether the journal says anything about this element."""
        return bool(
            self.open
            or self.success
            or self.ended
            or self.retry
            or self.skip is not None
            or self.evaluation
            or self.lineages
        )


@dataclass(slots=True)
class Instance:
    """A function placed in the network. ``order`` is that of its coming to be.

    ``pinned`` has the inputs that a user's hand holds (SEMANTICS 10.2), with the source that the
    workflow function declares for each.

    ``former`` are the inputs that it had when it was removed, if it has come back since.
    """

    path: str
    incarnation: int
    function: str
    version: str
    order: int
    mapped: tuple[str, ...] = ()
    held: bool = False
    resources: Resources | None = None
    owner: Owner | None = None
    declared_in: int = 0
    retired: bool = False
    inputs: dict[str, Source] = field(default_factory=dict)
    pinned: dict[str, Source | None] = field(default_factory=dict)
    former: dict[str, Source] = field(default_factory=dict)
    elements: dict[str, Element] = field(default_factory=dict)
    # derived
    eids: tuple[str, ...] | None = None
    not_current: int = 0
    shape_problem: str = ""
    standing: dict[str, dict[str, None]] = field(default_factory=dict)
    done: int = 0
    places: tuple[tuple[str, ...], dict[str, int]] = ((), {})
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    taken: dict[str, tuple[Source, Any]] = field(default_factory=dict)

    def declared(self, port: str) -> Source | None:
        """The source of an input, pins aside."""
        return self.pinned[port] if port in self.pinned else self.inputs.get(port)

    def take_shape(self, eids: tuple[str, ...] | None) -> None:
        """Have these elements; places that are known stay so where a list only grew."""
        known, places = self.places
        if known and eids is not None and known is self.eids and eids[: len(known)] == known:
            places.update(zip(eids[len(known) :], range(len(known), len(eids)), strict=True))
            self.places = eids, places
        self.eids = eids

    def place(self, eid: str) -> int | None:
        """The position of an element in the list; ``None`` if it is not in it."""
        eids = self.eids or ()
        if eids and eids[-1] == eid:
            return len(eids) - 1
        return self.all_places().get(eid)

    def all_places(self) -> dict[str, int]:
        """The positions of all elements in the list."""
        eids = self.eids or ()
        if self.places[0] is not eids:
            self.places = eids, {one: index for index, one in enumerate(eids)}
        return self.places[1]

    def element(self, eid: str) -> Element:
        """The element of this identity, made if it is not there yet."""
        found = self.elements.get(eid)
        if found is None:
            found = self.elements[eid] = Element(eid)
        return found

    def listed(self) -> Iterator[Element]:
        """The elements that the present inputs ask for, in their order."""
        return map(self.elements.__getitem__, self.eids or ())


def new_branches() -> dict[str, Branch]:
    """The branches that an evaluation starts with."""
    return {ROOT: Branch(ROOT)}
