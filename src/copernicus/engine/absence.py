"""What is not there, in words: how it is called, and why it has no value."""

from __future__ import annotations

from typing import Any

from copernicus.engine.instances import Activation, Element, Instance
from copernicus.engine.state import ProjectState
from copernicus.model.network import OutRef, Source


def item_name(state: ProjectState, source: Source, position: int) -> str:
    """How an element of a collected list is called in notes."""
    if isinstance(source, OutRef):
        upstream = state.instances.get(source.path)
        return element_name(upstream, source.element or "") if upstream else source.path
    return f"[{position}]"


def source_absence(state: ProjectState, source: Source) -> str:
    """Why a source is not among the elements of a list that goes on without it."""
    upstream = state.instances.get(getattr(source, "path", ""))
    if upstream is None:
        return "not there"
    eid = getattr(source, "element", None) or getattr(source, "eid", None) or ""
    return absence(state, upstream, upstream.elements.get(eid))


def absence(state: ProjectState, instance: Instance, element: Element | None) -> str:
    """Why an element has no value for those who go on without it: for people, in a few words."""
    if element is None:
        return "not there"
    if element.hole:
        return (
            f"skipped by {element.skipped_by}" if element.skipped_by else "skipped with its input"
        )
    failed = failed_activation(state, element)
    if failed is not None:
        return f"failed: {first_line(failed)}"
    if instance.held:
        return "held"
    if element.current:
        return "done since"
    return "not done yet"


def first_line(failed: Activation) -> str:
    """Why an activation failed, in one line."""
    reason = failed.failure.reason if failed.failure else "without saying why"
    return reason.strip().split("\n", 1)[0][:200]


def settled_failures(element: Element) -> tuple[str, ...]:
    """The failures with which an evaluation went on (``net.settle``): name and reason of each."""
    decisions = element.evaluation.decisions if element.evaluation else {}
    return tuple(
        f"{name}: tolerated, failed: {reason_of(kept)}"
        for decision in decisions.values()
        if decision.kind == "settle"
        for name, kept in decision.outcome.items()
    )


def reason_of(kept: Any) -> str:
    """Why something failed, by the failure that a decision kept, in one line."""
    reason = str(kept["failure"].get("reason", "")).strip()
    return reason.split("\n", 1)[0][:200] or "without saying why"


def blocker_of(state: ProjectState, instance: Instance, element: Element) -> str:
    """In words: the instance (element) that is waited for, and what is wrong with it."""
    name = element_name(instance, element.eid)
    failed = failed_activation(state, element)
    if failed is not None:
        return f"{name}, which failed"
    if instance.held:
        return f"{name}, which is held"
    return name


def element_name(instance: Instance, eid: str) -> str:
    """The path of an instance's element as it is shown: by position."""
    if not eid:
        return instance.path
    place = instance.place(eid)
    return f"{instance.path}[{eid if place is None else place}]"


def failed_activation(state: ProjectState, element: Element) -> Activation | None:
    """The failure that the element stands at: ended last, nothing open, no way out by itself."""
    if element.open or element.retry or element.ended is None:
        return None
    ended = state.activations[element.ended]
    if ended.provisional:
        return None
    if ended.outcome in ("failed", "cancelled") and not element.current:
        return ended if not element.ready or ended.digest == element.digest else None
    return None
