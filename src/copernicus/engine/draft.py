"""A transaction's working copy: edits are checked and compiled on it before anything is recorded.

Only what edits can change is copied, and only when it is touched, so that a refused transaction
leaves the state as it was and an accepted one costs what it changes.
"""

from __future__ import annotations

import copy
import dataclasses

from copernicus.engine.apply import apply
from copernicus.engine.currency import zipped
from copernicus.engine.instances import Instance
from copernicus.engine.resolve import shape
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import Catalog, Step
from copernicus.model import events as ev
from copernicus.model.network import OutRef, Source


class Draft(Step):
    """A ``Step`` on a copy of the network; ``events`` are what the real one will record."""

    def __init__(self, state: ProjectState, catalog: Catalog) -> None:
        draft = copy.copy(state)
        draft.instances = dict(state.instances)
        draft.functions = {name: dict(versions) for name, versions in state.functions.items()}
        draft.defined = dict(state.defined)
        draft.dangling = dict(state.dangling)
        draft.children = {path: set(inner) for path, inner in state.children.items()}
        draft.removed, draft.touched = dict(state.removed), {}
        draft.fences = dict(state.fences)
        draft.backlog, draft.postponed = [], []
        draft.activations, draft.items = {}, {}
        draft.splits = {}
        draft.tallies, draft.tallied, draft.behind = {}, {}, {}
        draft.dependents, draft.border, draft.deciding = {}, {}, {}
        draft.followers, draft.watchers = {}, {}
        draft.dirty, draft.opened, draft.candidates, draft.evaluations = {}, {}, {}, {}
        super().__init__(draft, catalog)
        self.real = state
        self._own: set[str] = set()
        self._ended: set[str | tuple[str, str]] = set()

    def emit(self, event: ev.Event) -> None:
        """Record a change of the network in the draft."""
        if isinstance(event, ev.InstanceRenamed):
            for path in list(self.state.instances):
                self._take(path)
        else:
            path = str(getattr(event, "path", ""))
            if path in self.state.instances:
                self._take(path)
        apply(self.state, event)
        self.events.append(event)

    def intend(self, event: ev.Event) -> None:
        """Keep an event for the real state, without its effect on the draft: it acts on runs.

        What one edit of the transaction has ended, another does not end again.
        """
        if isinstance(event, ev.ActivationEnded | ev.EvaluationEnded):
            ended = event.id if isinstance(event, ev.ActivationEnded) else (event.path, event.eid)
            if ended in self._ended:
                return
            self._ended.add(ended)
        self.events.append(event)

    def _take(self, path: str) -> None:
        if path not in self._own:
            self._own.add(path)
            found: Instance = self.state.instances[path]
            self.state.instances[path] = dataclasses.replace(
                found, inputs=dict(found.inputs), pinned=dict(found.pinned)
            )

    def new_eid(self) -> str:
        """An identity for a list element that is set by hand."""
        eid = f"e{self.state.next_element}"
        self.state.next_element += 1
        return eid

    def eids(self, instance: Instance) -> tuple[str, ...]:
        """The elements that a mapped instance has by the network as it is drafted."""
        shapes = [self._shape(instance.inputs.get(port)) for port in instance.mapped]
        known = [one for one in shapes if one is not None]
        if len(known) < len(shapes) or len({len(one) for one in known}) != 1:
            return instance.eids or ()
        return tuple(zipped(parts) for parts in zip(*known, strict=True))

    def _shape(self, source: Source | None) -> tuple[str, ...] | None:
        if isinstance(source, OutRef) and source.element is None and not source.steps:
            upstream = self.state.instances.get(source.path)
            if upstream is not None and upstream.mapped:
                return self.eids(upstream) or None
        return None if source is None else shape(self.real, source)
