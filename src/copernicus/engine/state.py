"""The state of one project, as its journal tells it.

Facts are changed by ``apply`` alone. Fields named below as *derived* are caches that ``currency``
keeps; they follow from the facts and are no part of ``facts()``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from copernicus.engine.digests import element_ids
from copernicus.engine.lists import ItemIndex, Split, Tally
from copernicus.errors import NotFound
from copernicus.model.budgets import Budget, Use
from copernicus.model.evaluation import ROOT, Await, Departure
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import AttemptRecord, CheckpointRef, Failure, JobSpec
from copernicus.model.network import Collect, Item, Literal, Owner, Source
from copernicus.model.resources import Resources
from copernicus.model.retries import AS_FUNCTIONS_SAY, ProjectRetries

ElementKey = tuple[str, str]
INDEXED_LISTS = 256


class Activation(msgspec.Struct, array_like=True, gc=False):
    """One run of an instance (element) on one set of inputs; ``works`` by a job of its own.

    There are hundreds of thousands of these, and of elements: as structs they are read from a
    snapshot quickly, and the search for garbage passes them over.

    ``partial`` is its provisional version: what its job has so far or, if its inputs are
    ``provisional``, what it gave.
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
    origins: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, tuple[str, ...]] = {}
    parent: str | None = None
    job: JobSpec | None = None
    outcome: str = ""
    outputs: dict[str, Any] = {}
    output_digests: dict[str, str] = {}
    failure: Failure | None = None
    attempts: tuple[AttemptRecord, ...] = ()
    checkpoint: CheckpointRef | None = None
    superseded_by: str | None = None
    replace: bool = False
    reused: str = ""
    provisional: bool = False
    partial: dict[str, Any] | None = None
    partial_digests: dict[str, str] = {}
    partial_attempt: int = 0
    partial_sequence: int = 0


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
    asks: dict[str, Any] = {}
    skip: str | None = None
    skipped_by: str = ""
    successes: dict[str, str] = {}
    lineages: dict[str, str] = {}
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
    shown: tuple[Any, ...] = ()

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
        if self.places[0] is not eids:
            self.places = eids, {one: index for index, one in enumerate(eids)}
        return self.places[1].get(eid)

    def element(self, eid: str) -> Element:
        """The element of this identity, made if it is not there yet."""
        found = self.elements.get(eid)
        if found is None:
            found = self.elements[eid] = Element(eid)
        return found

    def listed(self) -> Iterator[Element]:
        """The elements that the present inputs ask for, in their order."""
        return map(self.elements.__getitem__, self.eids or ())


class Touch(NamedTuple):
    """By which revision, and by whom, a path was changed last."""

    revision: int
    author: str


@dataclass(slots=True)
class ProjectState:
    """Everything about one project.

    ``removed`` keeps what was taken out by hand, with what was inside it, by the incarnation of
    the outermost. ``fences`` has the last number of the evaluations at the paths of what was taken
    out: what they may still say is not said by those that come after them. ``touched`` says of
    every path that an edit changed when that was (10.1). ``reusing`` is true after a revision that
    takes others back, until the next one. ``backlog`` has what waits for a place in the queue,
    ``postponed`` what needs none and waits for the next step.
    """

    project: str = ""
    name: str = ""
    owner: str = ""
    seed: int = 0
    came_from: tuple[str, ...] = ()
    paused: bool = False
    paused_for: str = ""
    budget: Budget = field(default_factory=Budget)
    retries: ProjectRetries = AS_FUNCTIONS_SAY
    core_seconds: float = 0.0
    bytes_made: int = 0
    revision: int = 0
    position: int = 0
    next_activation: int = 1
    next_element: int = 1
    next_incarnation: int = 1
    functions: dict[str, dict[str, FunctionSpec]] = field(default_factory=dict)
    defined: dict[str, str] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    activations: dict[str, Activation] = field(default_factory=dict)
    cancelling: dict[str, int] = field(default_factory=dict)
    discarding: set[str] = field(default_factory=set)
    dangling: dict[tuple[str, str], Source] = field(default_factory=dict)
    removed: dict[int, dict[str, Instance]] = field(default_factory=dict)
    fences: dict[str, int] = field(default_factory=dict)
    touched: dict[str, Touch] = field(default_factory=dict)
    author: str = ""
    reusing: bool = False
    # derived
    jobs_open: int = 0
    backlog: list[tuple[int, int, str, str]] = field(default_factory=list)
    postponed: list[tuple[int, int, str, str]] = field(default_factory=list)
    dependents: dict[str, set[str]] = field(default_factory=dict)
    border: dict[str, set[str]] = field(default_factory=dict)
    followers: dict[str, set[ElementKey]] = field(default_factory=dict)
    watchers: dict[str, set[ElementKey]] = field(default_factory=dict)
    children: dict[str, set[str]] = field(default_factory=dict)
    deciding: dict[tuple[str, str, str], set[str]] = field(default_factory=dict)
    dirty: dict[str, set[str] | None] = field(default_factory=dict)
    candidates: set[ElementKey] = field(default_factory=set)
    evaluations: dict[ElementKey, set[str]] = field(default_factory=dict)
    items: dict[int, ItemIndex] = field(default_factory=dict)
    splits: dict[int, Split] = field(default_factory=dict)
    tallies: dict[int, Tally] = field(default_factory=dict)
    tallied: dict[str, set[int]] = field(default_factory=dict)
    behind: dict[int, tuple[tuple[Item, ...], int]] = field(default_factory=dict)
    reusable: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def instance(self, path: str) -> Instance:
        """The instance at a path.

        Raises:
            NotFound: There is none; the message names near ones.
        """
        found = self.instances.get(path)
        if found is None:
            near = [p for p in self.instances if p.split("/")[-1] == path.split("/")[-1]]
            known = near or [p for p in self.instances if "/" not in p]
            shown = ", ".join(sorted(known)[:8]) or "none yet"
            raise NotFound(f"no instance {path!r} in project {self.name!r}; there is: {shown}")
        return found

    def keeper(self, activation: Activation) -> Instance | None:
        """The instance that an activation belongs to, also if it was removed."""
        found = self.instances.get(activation.path)
        if found is not None and found.incarnation == activation.incarnation:
            return found
        for members in self.removed.values():
            found = members.get(activation.path)
            if found is not None and found.incarnation == activation.incarnation:
                return found
        return None

    def spec(self, instance: Instance) -> FunctionSpec:
        """The definition that an instance goes by now."""
        return self.functions[instance.function][instance.version]

    def spec_of(self, made: Activation) -> FunctionSpec:
        """The definition by which an activation was made."""
        return self.functions[self.instances[made.path].function][made.version]

    def use(self) -> Use:
        """What the project uses of its budget."""
        hours = self.core_seconds / 3600
        return Use(len(self.instances), self.jobs_open, hours, self.bytes_made)

    def indexed(self, source: Collect) -> ItemIndex:
        """The index of a list's elements, made when it is first asked for."""
        known = self.items.get(id(source.items))
        if known is None or known.items is not source.items:
            if len(self.items) > INDEXED_LISTS:
                del self.items[next(iter(self.items))]
            known = ItemIndex(
                source.items,
                {item.eid: item.source for item in source.items},
                tuple(item.eid for item in source.items),
                dict.fromkeys(_paths(source.items)),
            )
            self.items[id(source.items)] = known
        return known

    def split(self, values: list[Any]) -> dict[str, int]:
        """The places in a list that was made as a whole, by identity; kept for a while."""
        known = self.splits.get(id(values))
        if known is None or known.values is not values:
            if len(self.splits) > INDEXED_LISTS:
                del self.splits[next(iter(self.splits))]
            places = {eid: place for place, eid in enumerate(element_ids(values))}
            known = Split(values, places)
            self.splits[id(values)] = known
        return known.places

    def appended(self, source: Collect, item: Item) -> Collect:
        """A list with one more element; the index of the list before becomes its own."""
        longer = replace(source, items=(*source.items, item))
        known = self.items.pop(id(source.items), None)
        if known is not None and known.items is source.items:
            known.items, known.eids = longer.items, (*known.eids, item.eid)
            known.sources[item.eid] = item.source
            known.paths.update(dict.fromkeys(_paths((item,))))
            self.items[id(longer.items)] = known
        return longer

    def upstream(self, source: Source) -> Iterable[str]:
        """The instances that a source refers to; those of a long list are known."""
        if not isinstance(source, Collect):
            return () if isinstance(source, Literal) else (source.path,)
        long = len(source.items) > INDEXED_LISTS
        return self.indexed(source).paths if long else dict.fromkeys(_paths(source.items))

    def mark(self, path: str, eid: str | None = None) -> None:
        """Note that an element (or with ``None`` the whole instance) must be looked at again."""
        if eid is None:
            self.dirty[path] = None
            return
        known = self.dirty.setdefault(path, set())
        if known is not None:
            known.add(eid)

    def facts(self) -> dict[str, Any]:
        """What the journal says, without the caches: equal journals, equal facts."""
        return {
            "project": (self.project, self.name, self.owner, self.seed, self.came_from),
            "mode": (self.paused, self.paused_for, self.revision, self.position),
            "retries": self.retries,
            "use": (self.budget, self.core_seconds, self.bytes_made),
            "counters": (self.next_activation, self.next_element, self.next_incarnation),
            "functions": self.functions,
            "defined": self.defined,
            "instances": {path: _instance_facts(i) for path, i in self.instances.items()},
            "activations": self.activations,
            "cancelling": self.cancelling,
            "discarding": self.discarding,
            "dangling": self.dangling,
            "removed": {
                number: {path: _instance_facts(i) for path, i in members.items()}
                for number, members in self.removed.items()
            },
            "fences": self.fences,
            "touched": self.touched,
            "reusing": self.reusing,
        }


def _paths(items: Iterable[Item]) -> Iterator[str]:
    return (item.source.path for item in items if not isinstance(item.source, Literal))


def _instance_facts(instance: Instance) -> dict[str, Any]:
    names = ("path", "incarnation", "function", "version", "order", "mapped", "held", "resources")
    facts = {name: getattr(instance, name) for name in (*names, "owner", "declared_in", "retired")}
    elements = {eid: _element_facts(e) for eid, e in instance.elements.items() if e.has_facts()}
    sources = {"inputs": instance.inputs, "pinned": instance.pinned, "former": instance.former}
    return {**facts, **sources, "elements": elements}


def _element_facts(element: Element) -> dict[str, Any]:
    runs = ("open", "success", "ended", "retry", "replay", "asks", "successes", "lineages")
    names = (*runs, "skip", "skipped_by", "partial")
    facts = {name: getattr(element, name) for name in names}
    evaluation = element.evaluation
    if evaluation is not None:
        kept = ("number", "activation", "ended", "failure", "branches", "spawn_points")
        facts["evaluation"] = {
            name: getattr(evaluation, name)
            for name in (*kept, "version", "departure", "decisions", "reopened", "outputs")
        }
    return facts


def field_types(kind: type) -> dict[str, str]:
    """The fields of a class of this module, in order, with their types as they are written."""
    if issubclass(kind, msgspec.Struct):
        return {name: str(kind.__annotations__[name]) for name in kind.__struct_fields__}
    assert dataclasses.is_dataclass(kind)
    return {one.name: str(one.type) for one in dataclasses.fields(kind)}


def new_branches() -> dict[str, Branch]:
    """The branches that an evaluation starts with."""
    return {ROOT: Branch(ROOT)}


def collected(source: Source | None) -> Collect | None:
    """``source`` if it is a list of items."""
    return source if isinstance(source, Collect) else None


def replace(source: Collect, **changes: Any) -> Collect:
    """A ``Collect`` with some fields changed."""
    return msgspec.structs.replace(source, **changes)
