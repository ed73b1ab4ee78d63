"""Decisions: what depends on order is decided once, recorded, and kept (SEMANTICS 5)."""

from __future__ import annotations

import msgspec

from copernicus.engine.resolve import Status, decision_of, failed_activation, resolve
from copernicus.engine.state import Activation, Decision, Instance, ProjectState
from copernicus.engine.transaction import Step, frozen_before
from copernicus.model import events as ev
from copernicus.model.network import Collect, Item, OutRef, Source
from copernicus.model.values import digest


def source_name(source: Source) -> str:
    """A name for a candidate that is the same in every replay."""
    if isinstance(source, OutRef):
        element = f"[{source.element}]" if source.element else ""
        steps = "".join(f".{step}" for step in source.steps)
        return f"{source.path}{element}.{source.port}{steps}"
    return digest(repr(source))[:16]


def final_failure(state: ProjectState, source: Source) -> Activation | None:
    """The failure that a source's value comes to, when nothing will be tried by itself.

    While the inputs are being computed again nothing is final: they may come back equal.
    """
    if not isinstance(source, OutRef):
        return None
    upstream = state.instances.get(source.path)
    element = upstream.elements.get(source.element or "") if upstream else None
    return failed_activation(state, element) if element is not None and element.ready else None


def decide_lists(step: Step, instance: Instance) -> None:
    """Decide the lists with ``at_least`` among an instance's inputs, as far as that can be done."""
    for source in list(instance.inputs.values()):
        if isinstance(source, Collect):
            decide_list(step, source)


def decide_list(step: Step, source: Collect) -> None:
    """Choose the elements of a list that is complete with ``at_least`` of them."""
    state = step.state
    if source.owner is None or source.decision is None:
        return
    path, eid = source.owner
    element = state.instances[path].elements[eid]
    branch, _, _ = source.decision.rpartition(":")
    segments = element.evaluation.branches.get(branch) if element.evaluation else None
    if segments is None or frozen_before(element, branch, len(segments.segments)):
        return
    decision = decision_of(state, source)
    candidates = tuple(item.eid for item in source.items)
    if decision is not None:
        reason = lapsed(state, source, decision)
        if not reason:
            return
        step.emit(ev.DecisionLapsed(path, eid, source.decision, reason))
    if source.tolerate is not None:
        _decide_tolerant(step, source, source.tolerate)
        return
    standing = [_standing(state, item.source) for item in source.items]
    done = [item for item, one in zip(source.items, standing, strict=True) if one == "current"]
    possible = len(source.items) - standing.count("hole")
    needed = min(max(1, source.at_least or 0), possible)
    if len(done) < needed:
        return
    assert element.evaluation is not None
    if source.decision in element.evaluation.reopened:
        needed = len(done)
    chosen = tuple(item.eid for item in done[:needed])
    step.emit(ev.Decided(path, eid, source.decision, "at_least", candidates, chosen))


def _standing(state: ProjectState, source: Source) -> Status:
    """The status of a candidate; that of a task's output is known without its value.

    A list of thousands is looked through at each of their ends, until it is decided.
    """
    if isinstance(source, OutRef):
        upstream = state.instances.get(source.path)
        single = upstream is not None and (source.element is not None or not upstream.mapped)
        element = upstream.elements.get(source.element or "") if upstream and single else None
        if element is not None and not (element.success or element.hole or element.evaluation):
            return "waiting"
    return resolve(state, source).status


def _decide_tolerant(step: Step, source: Collect, tolerate: int) -> None:
    """Decide a list when all of it is there or has failed for good, if few enough have."""
    assert source.owner is not None
    assert source.decision is not None
    chosen: list[str] = []
    failures: dict[str, object] = {}
    for item in source.items:
        standing = resolve(step.state, item.source).status
        failed = final_failure(step.state, item.source)
        if standing == "current":
            chosen.append(item.eid)
        elif failed is not None:
            told = msgspec.to_builtins(failed.failure)
            failures[item.eid] = {
                "failure": told,
                "digest": failed.digest,
                "name": source_name(item.source),
            }
        elif standing != "hole":
            return
    if len(failures) <= tolerate:
        candidates = tuple(item.eid for item in source.items)
        at, eid = source.owner
        step.emit(
            ev.Decided(at, eid, source.decision, "tolerate", candidates, tuple(chosen), failures)
        )


def inputs_of_source(state: ProjectState, source: Source) -> str:
    """The digest of the inputs of what a source refers to; empty while they are not current."""
    upstream = state.instances.get(getattr(source, "path", ""))
    if upstream is None:
        return ""
    element = upstream.elements.get(getattr(source, "element", None) or "")
    return element.digest if element is not None and element.ready else ""


def lapsed(state: ProjectState, source: Collect, decision: Decision) -> str:
    """Why the decision about a list holds no more (5.2, 5.3); empty if it does."""
    items: dict[str, Item] = {item.eid: item for item in source.items}
    for eid, told in (decision.outcome or {}).items():
        item = items.get(eid)
        now = inputs_of_source(state, item.source) if item else ""
        if now and now != told["digest"]:
            return f"{eid} failed, and has other inputs now"
    for eid in decision.chosen:
        item = items.get(eid)
        if item is None:
            return f"{eid} is no candidate any more"
        failed = final_failure(state, item.source)
        if failed is not None:
            return f"{failed.path} failed after its inputs had changed"
    return ""
