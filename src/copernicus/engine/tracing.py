"""Where values come from: activations, what they used, what was decided and left out on the way.

Everything is a walk over ``origins``, breadth first, each activation once: a trace is as long as
what it tells, however often its parts share theirs, and however deep it goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from copernicus.engine.absence import element_name, settled_failures
from copernicus.engine.instances import Activation, Element, Instance
from copernicus.engine.resolve import resolve
from copernicus.engine.showing import shorten
from copernicus.engine.state import ProjectState
from copernicus.model.functions import FunctionSpec
from copernicus.model.network import Collect, OutRef, Source
from copernicus.model.types import unit_of
from copernicus.protocol import Trace, TraceStep

LARGE = 4096
MANY = 50_000


def trace(
    state: ProjectState, path: str, standing: str, roots: tuple[str, ...], depth: int = 0
) -> Trace:
    """The trace of what ``roots`` made; ``depth`` steps back, 0 for all of them."""
    steps: dict[str, TraceStep] = {}
    pending = deque((root, 1) for root in roots)
    while pending:
        activation, level = pending.popleft()
        if activation in steps or activation not in state.activations:
            continue
        step = steps[activation] = trace_step(state, state.activations[activation])
        if not depth or level < depth:
            pending.extend((origin, level + 1) for origin in _named_by(step))
    return Trace(path, standing, roots, steps, left_out_of(state, roots), state.came_from)


def _named_by(step: TraceStep) -> Iterator[str]:
    for origins in step.origins.values():
        yield from origins
    yield from step.looked_at
    yield from (one for one in (step.parent, step.reused, step.declared_by) if one)


def trace_step(state: ProjectState, made: Activation) -> TraceStep:
    """One activation as a trace tells it."""
    found = state.instances.get(made.path)
    if found is not None and found.incarnation != made.incarnation:
        found = None
    function = found.function if found else (made.job.function if made.job else "")
    spec = state.functions.get(function, {}).get(made.version)
    element = found.elements.get(made.eid) if found else None
    return TraceStep(
        activation=made.id,
        path=element_name(found, made.eid) if found else made.path,
        function=function,
        version=made.version,
        outcome=made.outcome or "running",
        digest=made.digest,
        kind=spec.kind if spec else "",
        module=spec.module if spec else "",
        inputs=(own := _own_inputs(made)),
        units=_units(spec, own),
        origins=dict(made.origins),
        left_out=dict(made.left_out),
        job=f"{state.project}.{made.id}" if made.job else "",
        program=f"{made.job.program.name} {made.job.program.versions}".strip() if made.job else "",
        attempts=made.attempts,
        parent=made.parent or "",
        reused=made.reused,
        superseded_by=made.superseded_by or "",
        failure=made.failure,
        declared_by=_declarer(state, found),
        looked_at=_looked_at(state, made, element),
        decisions=tuple(_decisions(made, element)),
        dropped=made.dropped,
        outputs=dict(made.outputs) if made.dropped else {},
    )


def _own_inputs(made: Activation) -> dict[str, Any]:
    """What came from no activation; without what was never set, long values in short."""
    return {
        port: _bounded(value)
        for port, value in made.inputs.items()
        if value is not None and port not in made.origins
    }


def _units(spec: FunctionSpec | None, own: Mapping[str, Any]) -> dict[str, str]:
    units = {port.name: unit_of(port.type) for port in spec.inputs} if spec else {}
    return {name: units[name] for name in own if units.get(name)}


def _bounded(value: Any) -> Any:
    if isinstance(value, list | dict | str) and len(msgspec.json.encode(value)) > LARGE:
        return {"$shown": shorten(value)}
    return value


def _declarer(state: ProjectState, found: Instance | None) -> str:
    evaluation = _owner_element(state, found)
    return evaluation.evaluation.activation if evaluation and evaluation.evaluation else ""


def _owner_element(state: ProjectState, found: Instance | None) -> Element | None:
    if found is None or found.owner is None:
        return None
    owner = state.instances.get(found.owner.path)
    return owner.elements.get(found.owner.eid) if owner else None


def _looked_at(state: ProjectState, made: Activation, element: Element | None) -> tuple[str, ...]:
    """The activations whose values this evaluation was answered with."""
    evaluation = element.evaluation if element else None
    if evaluation is None or evaluation.activation != made.id:
        return ()
    found: dict[str, None] = {}
    for branch in evaluation.branches.values():
        for answered in branch.answers.values():
            for source in answered.waits.sources:
                found.update(dict.fromkeys(_makers(state, source)))
    return tuple(found)


def _makers(state: ProjectState, source: Source) -> Iterable[str]:
    if isinstance(source, OutRef):
        upstream = state.instances.get(source.path)
        element = upstream.elements.get(source.element or "") if upstream else None
        if element is not None and element.success is None and element.ended is not None:
            return (element.ended,)
    return resolve(
        state, source, take="current" if isinstance(source, Collect) else "latest"
    ).origins


def _decisions(made: Activation, element: Element | None) -> Iterator[str]:
    evaluation = element.evaluation if element else None
    if evaluation is None or evaluation.activation != made.id or element is None:
        return
    for position, decision in sorted(evaluation.decisions.items()):
        total, taken = len(decision.candidates), len(decision.chosen)
        if decision.kind == "first":
            yield f"{position}: {decision.chosen[0]} was the first of {total}"
        elif decision.kind == "at_least":
            yield f"{position}: the first {taken} of {total} were enough"
        elif decision.kind == "settle":
            yield f"{position}: {taken} of {total} settled with a value"
        else:
            yield f"{position}: took what there was of {', '.join(decision.candidates)}"


def left_out_of(state: ProjectState, roots: Iterable[str], *, deep: bool = True) -> tuple[str, ...]:
    """What the results of these activations lack, and (``deep``) what their origins lack."""
    found: dict[str, None] = {}
    seen: set[str] = set()
    owners: dict[str, Element | None] = {}
    pending = list(roots)
    while pending and len(seen) < MANY:
        activation = pending.pop()
        made = state.activations.get(activation)
        if made is None or activation in seen:
            continue
        seen.add(activation)
        for reasons in made.left_out.values():
            found.update(dict.fromkeys(reasons))
        if made.path not in owners:
            element = owners[made.path] = _owner_element(state, state.instances.get(made.path))
            if element is not None:
                found.update(dict.fromkeys(settled_failures(element)))
        if deep:
            for origins in made.origins.values():
                pending.extend(origins)
    return tuple(found)
