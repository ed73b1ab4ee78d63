"""One step of the engine: events are recorded in the state as they are decided, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from copernicus.engine.apply import apply
from copernicus.engine.indexes import below
from copernicus.engine.instances import Element, Instance
from copernicus.engine.state import ProjectState
from copernicus.model.events import ActivationEnded, EvaluationEnded, Event, FunctionDefined
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import Failure

Catalog = Mapping[str, FunctionSpec]


class Step:
    """Collects the events of one transaction; the state is always that after the last of them.

    ``limit`` bounds how many activations one step opens, so that none takes long: what else wants
    to fire stays in the backlog, for the steps after this one.
    """

    def __init__(self, state: ProjectState, catalog: Catalog, limit: int | None = None) -> None:
        self.state = state
        self.catalog = catalog
        self.events: list[Event] = []
        self._limit = limit
        self._first = state.next_activation

    @property
    def room(self) -> float:
        """How many more activations this step may open."""
        if self._limit is None:
            return inf
        return max(0, self._limit - (self.state.next_activation - self._first))

    def emit(self, event: Event) -> None:
        """Record an event."""
        apply(self.state, event)
        self.events.append(event)

    def function(self, name: str) -> FunctionSpec | None:
        """The newest definition of a function: the project's own, else the installed one."""
        version = self.state.defined.get(name)
        if version is not None:
            return self.state.functions[name][version]
        return self.catalog.get(name)

    def know(self, spec: FunctionSpec) -> None:
        """Record a function's definition, unless the project has it."""
        if self.state.functions.get(spec.name, {}).get(spec.version) != spec:
            self.emit(FunctionDefined(spec))


def ending_below(state: ProjectState, path: str) -> list[Event]:
    """What ends when an instance is taken out: the work and the evaluations in it and inside it."""
    ended: list[Event] = []
    for at in below(state, path):
        for element in state.instances[at].elements.values():
            evaluation = element.evaluation
            if evaluation is not None and evaluation.live:
                gone = Failure("its instance was removed", cause="cancelled")
                ended.append(EvaluationEnded(at, element.eid, evaluation.number, gone))
            if element.open is not None:
                ended.append(ActivationEnded(element.open, "stopped"))
    return ended


def frozen_before(element: Element, branch: str, segment: int) -> bool:
    """Whether an answer that led to ``segment`` of ``branch`` is stale (SEMANTICS 4.3).

    What a branch saw before it spawned another, and what a branch saw whose end was waited for,
    led there, too.
    """
    evaluation = element.evaluation
    if evaluation is None or not evaluation.stale:
        return False
    looked_at: dict[str, int] = {}
    pending = [(branch, segment)]
    while pending:
        at, until = pending.pop()
        if looked_at.get(at, 0) >= until:
            continue
        looked_at[at] = until
        if any(key == at and index < until for key, index in evaluation.stale):
            return True
        found = evaluation.branches.get(at)
        if found is None:
            continue
        if found.parent is not None:
            pending.append((found.parent, found.spawned_in))
        pending.extend(
            (joined, len(evaluation.branches[joined].segments))
            for index, joined in found.joins.items()
            if index < until and joined in evaluation.branches
        )
    return False


def unwanted(state: ProjectState, instance: Instance) -> bool:
    """Whether nobody wants it: it, or one around it, is retired, skipped or out of its list."""
    at: Instance | None = instance
    while at is not None:
        if at.retired:
            return True
        if at.owner is None:
            return False
        owner = state.instances[at.owner.path]
        element = owner.elements[at.owner.eid]
        if not element.wanted or (element.skip is not None and element.hole):
            return True
        at = owner
    return False


def blocked(state: ProjectState, instance: Instance) -> bool:
    """Whether the instance may start nothing new now, whatever its inputs are."""
    at: Instance = instance
    while not (at.retired or at.held):
        if at.owner is None:
            return False
        owner = state.instances[at.owner.path]
        element = owner.elements[at.owner.eid]
        evaluation = element.evaluation
        if evaluation is None or evaluation.failure or at.declared_in != evaluation.number:
            return True
        if not element.wanted or not element.ready or element.hole:
            return True
        if frozen_before(element, at.owner.branch, at.owner.segment):
            return True
        at = owner
    return True
