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
from copernicus.engine.instances import Activation, Element, ElementKey, Instance
from copernicus.engine.lists import ItemIndex, Split, Tally
from copernicus.errors import NotFound
from copernicus.model.budgets import Budget, Use
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import JobSpec
from copernicus.model.network import Collect, Item, Literal, Source
from copernicus.model.retries import AS_FUNCTIONS_SAY, ProjectRetries

INDEXED_LISTS = 256


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
    ``postponed`` what needs none and waits for the next step. ``opened`` has elements that have
    begun to work on the inputs that they were seen to have. ``jobs_like`` has the newest job of
    each function: the next ones are mostly like it.
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
    opened: dict[str, set[str]] = field(default_factory=dict)
    candidates: dict[str, set[str]] = field(default_factory=dict)
    evaluations: dict[ElementKey, set[str]] = field(default_factory=dict)
    items: dict[int, ItemIndex] = field(default_factory=dict)
    splits: dict[int, Split] = field(default_factory=dict)
    tallies: dict[int, Tally] = field(default_factory=dict)
    tallied: dict[str, set[int]] = field(default_factory=dict)
    behind: dict[int, tuple[tuple[Item, ...], int]] = field(default_factory=dict)
    reusable: dict[tuple[str, str, str], str] = field(default_factory=dict)
    jobs_like: dict[str, JobSpec] = field(default_factory=dict)

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

    def mark_opened(self, instance: Instance, element: Element) -> None:
        """Note that an element is at work now: nothing else of it is to be looked at again."""
        made = self.activations[element.open or ""]
        as_seen = element.wanted and element.ready and made.digest == element.digest
        plain = made.works and not (made.provisional or element.provisional or element.partial)
        if as_seen and plain and element.skip is None and not element.hole:
            self.opened.setdefault(instance.path, set()).add(element.eid)
        else:
            self.mark(instance.path, element.eid)

    def consider(self, path: str, eids: Iterable[str]) -> None:
        """Note that something may have to be decided about these elements."""
        known = self.candidates.get(path)
        if known is None:
            self.candidates[path] = set(eids)
        else:
            known.update(eids)

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
    """The fields of a class of the state, in order, with their types as they are written."""
    if issubclass(kind, msgspec.Struct):
        return {name: str(kind.__annotations__[name]) for name in kind.__struct_fields__}
    assert dataclasses.is_dataclass(kind)
    return {one.name: str(one.type) for one in dataclasses.fields(kind)}


def collected(source: Source | None) -> Collect | None:
    """``source`` if it is a list of items."""
    return source if isinstance(source, Collect) else None


def replace(source: Collect, **changes: Any) -> Collect:
    """A ``Collect`` with some fields changed."""
    return msgspec.structs.replace(source, **changes)
