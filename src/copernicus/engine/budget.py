"""The project's budget: firing that must wait for a place in the queue, limits that pause."""

from __future__ import annotations

import heapq

from copernicus.engine.state import Element, Instance, ProjectState
from copernicus.engine.transaction import Step
from copernicus.model import events as ev
from copernicus.model.budgets import exceeded


def must_wait(state: ProjectState, instance: Instance, element: Element) -> bool:
    """Whether an element that wants to fire finds the queue full; it is noted (SEMANTICS 9.2)."""
    limit = state.budget.queued
    if limit is None or state.jobs_open < limit or state.spec(instance).kind == "workflow":
        return False
    if not element.backlogged:
        element.backlogged = True
        place = instance.place(element.eid) or 0
        heapq.heappush(state.backlog, (instance.order, place, instance.path, element.eid))
    return True


def resume_backlog(step: Step) -> bool:
    """Let as many of those that wait be looked at again as have a place now."""
    state = step.state
    limit = state.budget.queued
    if state.paused:
        return False
    free = len(state.backlog) if limit is None else max(0, int(limit) - state.jobs_open)
    for _ in range(min(free, len(state.backlog))):
        _, _, path, eid = heapq.heappop(state.backlog)
        instance = state.instances.get(path)
        element = instance.elements.get(eid) if instance else None
        if element is not None:
            element.backlogged = False
            state.candidates.add((path, eid))
    return bool(state.candidates)


def keep_within_budget(step: Step) -> None:
    """Pause a project that has reached a limit, and say which."""
    state = step.state
    if not state.paused and step.events:
        reason = exceeded(state.budget, state.use())
        if reason:
            step.emit(ev.PausedSet(True, reason))
