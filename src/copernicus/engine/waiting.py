"""Why an element does not go on: the way up to what is really waited for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from copernicus.engine.absence import element_name, failed_activation
from copernicus.engine.currency import inputs_of
from copernicus.engine.instances import Element, Instance
from copernicus.engine.resolve import resolve
from copernicus.engine.state import ProjectState
from copernicus.model.evaluation import Departure
from copernicus.model.network import Collect, InRef, OutRef, Source

DEPTH = 200


@dataclass(frozen=True, slots=True)
class Chain:
    """From an element to the root of its waiting: each of ``links`` waits for the next.

    ``reason`` says in words what the last one lacks, where that is no element.
    """

    links: tuple[tuple[Instance, Element], ...]
    reason: str = ""

    @property
    def root(self) -> tuple[Instance, Element]:
        """What everything waits for in the end."""
        return self.links[-1]


def chain(state: ProjectState, instance: Instance, element: Element) -> Chain:
    """What an element waits for, and what that waits for, up to what failed, is held or works."""
    links = [(instance, element)]
    while len(links) < DEPTH:
        found, its = links[-1]
        if len(links) > 1 and stands_still(state, found, its):
            break
        above, reason = _step_up(state, found, its)
        if above is None:
            return Chain(tuple(links), reason)
        links.append(above)
    return Chain(tuple(links))


def shape_chain(state: ProjectState, instance: Instance) -> Chain:
    """What a mapped instance waits for whose lists are not known yet; without links if nothing."""
    for name in instance.mapped:
        source = instance.inputs.get(name)
        above = _upstream(state, (source,) if source is not None else ())
        if above is not None:
            found = chain(state, *above)
            still = stands_still(state, *above)
            return Chain((above,)) if still else found
    return Chain((), instance.shape_problem)


def stands_still(state: ProjectState, instance: Instance, element: Element) -> bool:
    """Whether an element does not go on by itself: it failed, or is held."""
    held = instance.held and element.open is None
    return held or failed_activation(state, element) is not None


def waits_for(state: ProjectState, instance: Instance, element: Element) -> str:
    """In words: what an element waits for, at the root; empty if it waits for nothing."""
    if instance.held and element.open is None:
        return ""
    found = chain(state, instance, element)
    if len(found.links) == 1:
        return found.reason
    root, its = found.root
    said = element_name(root, its.eid)
    if failed_activation(state, its) is not None:
        return f"{said}, which failed"
    if root.held and its.open is None:
        return f"{said}, which is held"
    return f"{said}: {found.reason}" if found.reason else said


def _departed(instance: Instance, departure: Departure) -> str:
    where = f" at {departure.line}" if departure.line else ""
    why = f": {departure.reason}" if departure.reason else ""
    return (
        f"a word: {instance.function} {departure.version} departs{where} from what was declared"
        f"{why} (cpc upgrade {instance.path} --preview)"
    )


Above = tuple[tuple[Instance, Element] | None, str]


def _step_up(state: ProjectState, instance: Instance, element: Element) -> Above:
    evaluation = element.evaluation
    if evaluation is not None and evaluation.departure is not None:
        return None, _departed(instance, evaluation.departure)
    if element.ready and evaluation is not None and evaluation.live:
        for branch in evaluation.branches.values():
            above = _upstream(state, branch.waits.sources if branch.waits else ())
            if above is not None:
                return above, ""
        return None, ""
    if element.backlogged and element.open is None:
        limit = state.budget.queued
        works = state.spec(instance).kind != "workflow"
        if limit is None or state.jobs_open < limit or not works:
            return None, "its turn to be queued"
        return None, f"the budget: {limit:g} jobs are queued (cpc project budget --queued)"
    if element.ready or element.open is not None:
        return None, ""
    spec = state.spec(instance)
    for name, found in inputs_of(state, instance, spec, element.eid).items():
        if found.status != "current":
            source = instance.inputs.get(name)
            above = _upstream(state, (source,) if source is not None else (), element.eid)
            return above, "" if above else found.blocker
    return None, element.blocker


def _upstream(
    state: ProjectState, sources: Iterable[Source], eid: str = ""
) -> tuple[Instance, Element] | None:
    for source in sources:
        items = [i.source for i in source.items] if isinstance(source, Collect) else [source]
        for one in items:
            if isinstance(one, OutRef) and resolve(state, one).status != "current":
                return _element(state, one, eid)
            if isinstance(one, InRef) and resolve(state, one).status != "current":
                owner = state.instances[one.path]
                return owner, owner.elements[one.eid]
    return None


def _element(state: ProjectState, reference: OutRef, eid: str) -> tuple[Instance, Element] | None:
    upstream = state.instances.get(reference.path)
    if upstream is None:
        return None
    wanted = reference.element if reference.element is not None else eid
    if wanted in upstream.elements and upstream.elements[wanted].wanted:
        return upstream, upstream.elements[wanted]
    behind = [e for e in upstream.listed() if not (e.current or e.hole)]
    failed = [e for e in behind if failed_activation(state, e) is not None]
    first = next(iter(failed or behind), None)
    return (upstream, first) if first is not None else None
