"""Reconciliation: what an evaluation declares against what exists (SEMANTICS 4.2, 4.5, 6)."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from copernicus.engine.digests import value_digest
from copernicus.engine.instances import Element, Instance
from copernicus.engine.transaction import Step, blocked, ending_below
from copernicus.errors import BadDefinition, CopernicusError
from copernicus.model import events as ev
from copernicus.model.evaluation import Declaration, Segment
from copernicus.model.functions import FunctionSpec, Port, departure
from copernicus.model.network import Collect, InRef, Item, Literal, OutRef, Owner, Source
from copernicus.model.paths import child
from copernicus.model.types import (
    ListType,
    PortType,
    accepts,
    check,
    describe,
    strip_optional,
    type_inside,
)

SomeSource = TypeVar("SomeSource", bound=Source)


def segment_digest(segment: Segment) -> str:
    """What determinism is checked by: everything that a segment declared, wherever it stands."""
    plain: Any = msgspec.to_builtins(segment)
    if segment.waits is not None:
        plain["waits"].pop("line", None)
    return value_digest(plain)


def declare(step: Step, instance: Instance, element: Element, segment: Segment) -> tuple[str, ...]:
    """Make the instances that a segment declares, or bring them up to it; their paths.

    Raises:
        CopernicusError: A declaration is impossible; the message says which and why.
    """
    paths = []
    for declaration in segment.declarations:
        owner = Owner(instance.path, element.eid, segment.branch, segment.index)
        path = child(instance.path, element.eid, declaration.name)
        try:
            _declare_one(step, element, owner, path, declaration)
        except CopernicusError as error:
            raise BadDefinition(f"{declaration.name}: {error.message}") from error
        paths.append(path)
    for port, source in segment.outputs.items():
        _bind(step, instance, element, port, source)
    return tuple(paths)


def _declare_one(
    step: Step, element: Element, owner: Owner, path: str, declaration: Declaration
) -> None:
    spec = step.function(declaration.function)
    if spec is None:
        raise BadDefinition(
            f"no module here has a function {declaration.function!r}; "
            "see cpc functions list for those there are"
        )
    step.know(spec)
    inputs = _checked_inputs(step, spec, declaration, path)
    existing = step.state.instances.get(path)
    if existing is not None and existing.function != spec.name:
        for event in (*ending_below(step.state, path), ev.InstanceRemoved(path)):
            step.emit(event)
        existing = None
    if existing is None:
        _add(step, owner, path, spec, declaration)
    else:
        assert element.evaluation is not None
        step.emit(
            ev.InstanceDeclared(
                path=path,
                owner=owner,
                number=element.evaluation.number,
                mapped=declaration.mapped,
                resources=declaration.resources,
                version=_kept_version(step, existing, spec, declaration),
            )
        )
    _set_inputs(step, step.state.instances[path], inputs)


def _kept_version(
    step: Step, existing: Instance, newest: FunctionSpec, declaration: Declaration
) -> str:
    """The version whose ports an instance has: the one it had, as long as that will do."""
    placed = step.state.spec(existing)
    known = {port.name for port in placed.inputs}
    if departure(placed, newest) or not known.issuperset(declaration.inputs):
        return newest.version
    return placed.version


def _add(step: Step, owner: Owner, path: str, spec: FunctionSpec, declaration: Declaration) -> None:
    step.emit(
        ev.InstanceAdded(
            path=path,
            incarnation=step.state.next_incarnation,
            function=spec.name,
            version=spec.version,
            mapped=declaration.mapped,
            resources=declaration.resources,
            owner=owner,
        )
    )


def _set_inputs(step: Step, instance: Instance, inputs: dict[str, Source]) -> None:
    for port, source in inputs.items():
        if instance.declared(port) != source:
            step.emit(ev.InputSet(instance.path, port, source))
    for port in [p for p in instance.inputs if p not in inputs]:
        if instance.declared(port) is not None:
            step.emit(ev.InputSet(instance.path, port, None))


def _checked_inputs(
    step: Step, spec: FunctionSpec, declaration: Declaration, path: str
) -> dict[str, Source]:
    for name in declaration.mapped:
        spec.input(name)
    checked = {}
    for name, source in declaration.inputs.items():
        port = spec.input(name)
        wanted = ListType(port.type) if name in declaration.mapped else port.type
        if isinstance(source, Collect) and source.late and not port.latest:
            raise BadDefinition(f"{name} takes no list that grows: its type must be Latest[...]")
        checked[name] = check_source(step, wanted, source, f"{path}.in.{name}")
    missing = [p.name for p in spec.inputs if p.required and p.name not in declaration.inputs]
    if missing:
        raise BadDefinition(f"{spec.name} needs {', '.join(missing)}")
    return checked


def check_source(step: Step, wanted: PortType, source: SomeSource, where: str) -> SomeSource:
    """What is to be set or connected, held against the type of where it goes.

    Values that were written with a unit are numbers in the unit of their port.

    Raises:
        BadValue: It does not fit.
        BadDefinition: A reference's type does not.
        NotFound: There is no such port.
    """
    if isinstance(source, Literal):
        plain = check(wanted, source.value, where)
        return source if plain == source.value else msgspec.structs.replace(source, value=plain)
    if isinstance(source, Collect):
        inner = strip_optional(wanted)
        item_type = inner.item if isinstance(inner, ListType) else wanted
        return msgspec.structs.replace(
            source,
            items=tuple(
                Item(item.eid, check_source(step, item_type, item.source, f"{where}[{position}]"))
                for position, item in enumerate(source.items)
            ),
        )
    given = source_type(step, source)
    if given is not None and not accepts(wanted, given):
        raise BadDefinition(
            f"{where} takes {describe(wanted)}, but {_named(source)} gives {describe(given)}"
        )
    return source


def _named(source: OutRef | InRef) -> str:
    side = "out" if isinstance(source, OutRef) else "in"
    return f"{source.path}.{side}.{source.port}"


def source_type(step: Step, source: OutRef | InRef) -> PortType | None:
    """The type of what a reference gives; ``None`` where only the value will tell."""
    upstream = step.state.instances.get(source.path)
    if upstream is None:
        raise BadDefinition(f"there is no instance {source.path}")
    spec = step.state.spec(upstream)
    if isinstance(source, OutRef):
        port: Port = spec.output(source.port)
        listed = bool(upstream.mapped) and source.element is None
    else:
        port = spec.input(source.port)
        listed = False
    return type_inside(ListType(port.type) if listed else port.type, source.steps)


def _bind(step: Step, instance: Instance, element: Element, port: str, source: Source) -> None:
    spec = step.state.spec(instance)
    source = check_source(step, spec.output(port).type, source, f"{instance.path}.out.{port}")
    evaluation = element.evaluation
    assert evaluation is not None
    binding = evaluation.outputs.get(port)
    if binding is None or binding.declared != source:
        step.emit(ev.OutputBound(instance.path, element.eid, port, source, effective=False))


def retire_undeclared(step: Step, instance: Instance, element: Element) -> bool:
    """Retire, at the frontier of a replay, what it has passed without declaring (4.5)."""
    evaluation = element.evaluation
    assert evaluation is not None
    retired = False
    for path in sorted(evaluation.undeclared):
        existing = step.state.instances.get(path)
        if existing is None or existing.retired or existing.owner is None:
            evaluation.undeclared.discard(path)
            continue
        if existing.declared_in == evaluation.number:
            evaluation.undeclared.discard(path)
            continue
        if evaluation.ended or _passed(element, existing.owner):
            step.emit(ev.InstanceRetired(path))
            retired = True
    return retired


def _passed(element: Element, owner: Owner) -> bool:
    evaluation = element.evaluation
    assert evaluation is not None
    branch = evaluation.branches.get(owner.branch)
    if branch is not None:
        return branch.ended or len(branch.segments) > owner.segment
    spawned = evaluation.spawn_points.get(owner.branch)
    if spawned is None:
        return True
    parent, segment = spawned
    known = evaluation.branches.get(parent)
    if known is not None:
        return known.ended or len(known.segments) > segment
    return _passed(element, Owner(owner.path, owner.eid, parent, segment))


def workflow_blocked(step: Step, instance: Instance, element: Element) -> bool:
    """Whether the evaluation may get no answers now."""
    state = step.state
    return (
        state.paused
        or not element.wanted
        or not element.ready
        or (element.evaluation is not None and element.evaluation.departure is not None)
        or element.hole
        or blocked(state, instance)
    )
