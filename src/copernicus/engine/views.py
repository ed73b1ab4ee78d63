"""What users are shown of a project: states, values, traces. Reads only; decides nothing.

The engine knows a job as *wanted*; whether it is queued or runs is the scheduler's to say, so
elements with a job are ``queued`` here, and whoever shows them lays progress over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from copernicus.engine import tracing
from copernicus.engine.absence import element_name, failed_activation
from copernicus.engine.glances import glance
from copernicus.engine.instances import Decision, Element, Instance
from copernicus.engine.resolve import Resolved, Status, resolve, resolve_input, taken_by
from copernicus.engine.showing import shorten
from copernicus.engine.state import ProjectState
from copernicus.engine.summaries import element_state as element_state
from copernicus.engine.summaries import instances as instances
from copernicus.engine.summaries import project_states as project_states
from copernicus.engine.summaries import summary as summary
from copernicus.engine.waiting import waits_for
from copernicus.errors import NotFound
from copernicus.model.functions import Port
from copernicus.model.network import Collect, InRef, OutRef, Source
from copernicus.model.network import Literal as Plain
from copernicus.model.paths import Address, Step
from copernicus.model.types import AnyType, ListType, PortType, describe, type_inside, unit_of
from copernicus.protocol import (
    DecisionView,
    ElementView,
    InstanceDetail,
    PinView,
    PortView,
    Trace,
    ValueView,
)

Standing = Literal["current", "provisional", "stale", "unset", "waiting"]


def instance(state: ProjectState, path: str, start: int = 0, count: int = 100) -> InstanceDetail:
    """Everything about one instance, with a page of its elements.

    Raises:
        NotFound: There is no such instance.
    """
    found = state.instance(path)
    spec = state.spec(found)
    eids = (found.eids or ())[start : start + count]
    far = how_far(state, found)
    elements = tuple(
        _element_view(state, found, found.elements[eid], start + i) for i, eid in enumerate(eids)
    )
    return InstanceDetail(
        summary=summary(state, found),
        inputs=tuple(_input_view(state, found, port) for port in spec.inputs),
        outputs=tuple(_output_view(state, found, port, far) for port in spec.outputs),
        elements=elements,
        doc=spec.doc,
    )


def _element_view(
    state: ProjectState, found: Instance, element: Element, index: int
) -> ElementView:
    failed = failed_activation(state, element)
    shown = element.open or element.ended or ""
    job = shown if shown and state.activations[shown].job is not None else ""
    return ElementView(
        index=index,
        eid=element.eid,
        state=element_state(state, found, element),
        activation=shown,
        job=f"{state.project}.{job}" if job else "",
        waits_for=waits_for(state, found, element),
        failure=failed.failure if failed else None,
    )


def _input_view(state: ProjectState, found: Instance, port: Port) -> PortView:
    source = found.inputs.get(port.name)
    mapped = port.name in found.mapped
    if source is not None:
        held, shown = glance(state, source, take=taken_by(port))
        standing = _standing(held.status)
    else:
        standing = "unset"
        shown = "" if port.required else f"{shorten(port.default)} (default)"
    port_type = ListType(port.type) if mapped else port.type
    return PortView(
        name=port.name,
        type=describe(port_type),
        port_type=port_type,
        state=standing,
        shown=shown,
        source=source_text(state, source),
        doc=port.doc,
        required=port.required,
        on_change=port.on_change,
        pinned=port.name in found.pinned,
        declared=source_shown(state, found.pinned.get(port.name)),
    )


def source_shown(state: ProjectState, source: Source | None) -> str:
    """A source in words: what is connected, else the value."""
    if isinstance(source, Plain):
        return shorten(source.value)
    if isinstance(source, Collect):
        return source_text(state, source) or f"{len(source.items)} elements"
    return source_text(state, source)


def decisions(state: ProjectState, path: str) -> list[DecisionView]:
    """What the evaluations of a workflow instance have decided once, element by element.

    Raises:
        NotFound: There is no such instance.
    """
    found = state.instance(path)
    return [
        DecisionView(
            path=element_name(found, element.eid),
            position=position,
            kind=decision.kind,
            chosen=decision.chosen,
            left_out=_left_out(decision),
        )
        for element in found.listed()
        if element.evaluation is not None
        for position, decision in sorted(element.evaluation.decisions.items())
    ]


def _left_out(decision: Decision) -> dict[str, str]:
    if decision.kind in ("latest", "peek"):
        return {}
    told = decision.outcome or {}
    return {
        name: f"failed: {told[name]['failure']['reason']}" if name in told else "was not chosen"
        for name in decision.candidates
        if name not in decision.chosen
    }


def pins(state: ProjectState) -> list[PinView]:
    """Every input inside a workflow that a user's hand holds, and those whose place is gone."""
    held = [
        PinView(
            target=f"{path}.in.{port}",
            shown=source_shown(state, found.inputs.get(port)),
            declared=source_shown(state, declared),
        )
        for path, found in state.instances.items()
        for port, declared in found.pinned.items()
    ]
    gone = [
        PinView(f"{path}.in.{port}", source_shown(state, source), dangling=True)
        for (path, port), source in state.dangling.items()
    ]
    return sorted(held + gone, key=lambda pin: pin.target)


def _standing(status: Status) -> Standing:
    return "waiting" if status == "hole" else status


def _output_view(
    state: ProjectState, found: Instance, port: Port, far: Mapping[str, str]
) -> PortView:
    held, shown = glance(state, OutRef(found.path, port.name))
    standing = _standing(held.status)
    if held.status != "current" and not found.mapped:
        so_far, shown_so_far = glance(state, OutRef(found.path, port.name), take="streaming")
        if so_far.provisional and so_far.status == "current":
            held, shown, standing = so_far, shown_so_far, "provisional"
    has_value = held.status in ("current", "stale")
    port_type = ListType(port.type) if found.mapped else port.type
    return PortView(
        name=port.name,
        type=describe(port_type),
        port_type=port_type,
        state=standing,
        shown=shown,
        doc=port.doc,
        required=port.required,
        left_out=_lacking(state, held, deep=False) if has_value else (),
        note="" if held.status == "current" else far.get(port.name, ""),
    )


def how_far(state: ProjectState, found: Instance) -> dict[str, str]:
    """Of a mapped instance that is partly done: how many there are of each output, how the rest is.

    An output that an element need not have is counted where it has it.
    """
    total = len(found.eids or ())
    if not (found.mapped and total and found.not_current):
        return {}
    done = total - found.not_current
    rest = [f"{n} {word}" for word, n in summary(state, found).counts.items() if word != "done"]
    return {
        port.name: f"{done if port.required else _given(state, found, port)} of {total} there; "
        f"of the rest {', '.join(rest)}"
        for port in state.spec(found).outputs
    }


def _given(state: ProjectState, found: Instance, port: Port) -> int:
    made = (e.success for e in found.listed() if e.current and e.success is not None)
    return sum(state.activations[one].outputs.get(port.name) is not None for one in made)


def source_text(state: ProjectState, source: Source | None) -> str:
    """Where an input comes from, in words; empty for a value set by hand."""
    match source:
        case OutRef(path=path, port=port, element=element):
            upstream = state.instances.get(path)
            name = element_name(upstream, element) if upstream and element else path
            return f"{name}.out.{port}"
        case InRef(path=path, port=port):
            return f"{path}.in.{port}"
        case Collect(items=items):
            connected = sum(not isinstance(item.source, Plain) for item in items)
            return f"{connected} of {len(items)} elements connected" if connected else ""
    return ""


def _located(state: ProjectState, address: Address) -> tuple[Instance, Port, PortType, Resolved]:
    found = state.instance(address.instance)
    spec = state.spec(found)
    if address.port is None or address.side is None:
        raise NotFound(f"{address} names no value: write for example {found.path}.out.PORT")
    steps = address.steps
    if address.side == "in":
        port = spec.input(address.port)
        source = found.inputs.get(port.name)
        part = _element_of(state, found, port, steps)
        if part is not None:
            held, steps = resolve(state, part, take=taken_by(port)), steps[1:]
        elif port.name in found.mapped:
            held = resolve(state, source, take=taken_by(port)) if source else _unset(port)
        else:
            held = resolve_input(state, found, port, "")
    else:
        port = spec.output(address.port)
        eid = None
        if found.mapped and steps and isinstance(steps[0], int):
            eids = found.eids or ()
            if steps[0] >= len(eids):
                raise NotFound(f"{address}: {found.path} has {len(eids)} elements")
            eid, steps = eids[steps[0]], steps[1:]
        held = resolve(state, OutRef(found.path, port.name, eid))
    listed = bool(found.mapped) and (address.side == "out" or port.name in found.mapped)
    port_type = type_inside(ListType(port.type) if listed else port.type, address.steps)
    return found, port, port_type or AnyType(), _inside(held, steps, address)


def _element_of(
    state: ProjectState, found: Instance, port: Port, steps: tuple[Step, ...]
) -> Source | None:
    """The source of one element of a list, where it stands for itself: none looks at the rest."""
    source, step = found.inputs.get(port.name), steps[0] if steps else None
    if source is None or not isinstance(step, int):
        return None
    mapped = port.name in found.mapped
    match source:
        case Collect(items=items, decision=None) if step < len(items):
            return items[step].source if mapped or not state.upstream(source) else None
        case OutRef(path=path, element=None, steps=()) if mapped and path in state.instances:
            eids = state.instances[path].eids or ()
            if state.instances[path].mapped and step < len(eids):
                return msgspec.structs.replace(source, element=eids[step])
    return None


def _unset(port: Port) -> Resolved:
    return Resolved("waiting", blocker=f"input {port.name} is not set")


def _inside(held: Resolved, steps: tuple[Any, ...], address: Address) -> Resolved:
    if not steps or held.status not in ("current", "stale"):
        return held
    value = held.value
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            raise NotFound(f"{address}: there is no {step!r} in this value") from None
    return Resolved(held.status, value, "", held.origins, held.left_out)


def value(state: ProjectState, address: Address) -> ValueView:
    """The value at a path.

    Raises:
        NotFound: There is no such instance, port or part.
    """
    found, port, port_type, held = _located(state, address)
    standing = _standing(held.status)
    if address.side == "in" and port.name not in found.inputs and port.required:
        standing = "unset"
    return ValueView(
        path=str(address),
        type=describe(port_type),
        unit=unit_of(port_type),
        state=standing,
        value=held.value if held.status in ("current", "stale") else None,
        digest=held.digest,
        activation=held.origins[0] if len(held.origins) == 1 else "",
        left_out=_lacking(state, held),
    )


def _lacking(state: ProjectState, held: Resolved, *, deep: bool = True) -> tuple[str, ...]:
    if held.status == "waiting":
        return (held.blocker,)
    inherited = tracing.left_out_of(state, held.origins, deep=deep)
    return tuple(dict.fromkeys((*held.left_out, *inherited)))


def trace(state: ProjectState, address: Address, depth: int = 0) -> Trace:
    """Where a value, or what an instance or element did last, comes from.

    Args:
        state: of the project.
        address: an output or input, an instance, an element, or an activation such as ``a12``.
        depth: how many steps back to go; 0 goes to the end.

    Raises:
        NotFound: There is no such thing, or nothing computed in it yet.
    """
    if address.port is None and address.instance in state.activations:
        made = state.activations[address.instance]
        return tracing.trace(state, str(address), made.outcome or "running", (made.id,), depth)
    if address.port is None:
        return _trace_instance(state, address, depth)
    _, _, _, held = _located(state, address)
    if not held.origins:
        waits = held.status == "waiting"
        why = f"waits for {held.blocker}" if waits else "it was set by hand"
        raise NotFound(f"{address} comes from no activation: {why}")
    roots = tuple(dict.fromkeys(held.origins))
    found = tracing.trace(state, str(address), _standing(held.status), roots, depth)
    own = tuple(dict.fromkeys((*held.left_out, *found.left_out)))
    return msgspec.structs.replace(found, left_out=own)


def _trace_instance(state: ProjectState, address: Address, depth: int) -> Trace:
    found = state.instance(address.instance)
    elements = list(found.listed())
    if address.element is not None:
        if address.element >= len(elements):
            raise NotFound(f"{address}: {found.path} has {len(elements)} elements")
        elements = [elements[address.element]]
    shown = [element.open or element.ended or element.success for element in elements]
    roots = tuple(activation for activation in shown if activation)
    if not roots:
        raise NotFound(f"{address} has not run yet: cpc why {address}")
    states = {element_state(state, found, element) for element in elements}
    return tracing.trace(state, str(address), ", ".join(sorted(states)), roots, depth)


def path_of_activation(state: ProjectState, activation: str) -> str:
    """The path, as it is shown, of the element that an activation belongs to."""
    made = state.activations.get(activation)
    if made is None:
        return ""
    found = state.instances.get(made.path)
    return element_name(found, made.eid) if found else made.path
