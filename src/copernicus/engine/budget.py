"""The project's budget: firing that must wait for a place in the queue, limits that pause."""

from __future__ import annotations

import heapq
from math import inf

from copernicus.engine.instances import Element, Instance
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import Step
from copernicus.model import events as ev
from copernicus.model.budgets import exceeded


def must_wait(step: Step, instance: Instance, element: Element) -> bool:
    """Whether an element that wants to fire must wait, for which it is noted.

    It does if it finds the queue full (SEMANTICS 9.2), or this step too long already.
    """
    state = step.state
    works = state.spec(instance).kind != "workflow"
    if step.room and not (works and _places(state) <= 0):
        return False
    if not element.backlogged:
        element.backlogged = True
        place = instance.place(element.eid) or 0
        line = state.backlog if works else state.postponed
        heapq.heappush(line, (instance.order, place, instance.path, element.eid))
    return True


def resume_backlog(step: Step) -> bool:
    """Let as many of those that wait be looked at again as have a place now."""
    state = step.state
    if state.paused:
        return False
    _resume(state, state.postponed, step.room)
    _resume(state, state.backlog, min(step.room, _places(state)))
    return bool(state.candidates)


def _resume(state: ProjectState, line: list[tuple[int, int, str, str]], free: float) -> None:
    for _ in range(int(min(free, len(line)))):
        _, _, path, eid = heapq.heappop(line)
        instance = state.instances.get(path)
        element = instance.elements.get(eid) if instance else None
        if element is not None:
            element.backlogged = False
            state.consider(path, (eid,))


def has_more_to_fire(state: ProjectState) -> bool:
    """Whether a step was ended before everything had fired that may: another should follow."""
    if state.paused:
        return False
    return bool(state.postponed) or (bool(state.backlog) and _places(state) > 0)


def _places(state: ProjectState) -> float:
    limit = state.budget.queued
    return inf if limit is None else max(0, limit - state.jobs_open)


def keep_within_budget(step: Step) -> None:
    """Pause a project that has reached a limit, and say which."""
    state = step.state
    if not state.paused and step.events:
        reason = exceeded(state.budget, state.use())
        if reason:
            step.emit(ev.PausedSet(True, reason))
