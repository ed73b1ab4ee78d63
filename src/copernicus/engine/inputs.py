"""Setting, clearing and connecting inputs: whole, one element, the next one, or a member."""

from __future__ import annotations

import copy
from typing import Any

from copernicus.engine.declare import check_source
from copernicus.engine.digests import element_ids, value_digest
from copernicus.engine.draft import Draft
from copernicus.engine.state import Instance
from copernicus.errors import BadValue, Conflict, NotFound
from copernicus.model import events as ev
from copernicus.model.functions import Port
from copernicus.model.network import Collect, InRef, Item, Literal, OutRef, Single, Source
from copernicus.model.paths import APPEND, Address, Step
from copernicus.model.types import ListType, PortType, check, strip_optional


def owned(draft: Draft, path: str) -> Instance:
    """The instance at ``path``, if a person may change it by hand.

    Raises:
        NotFound: There is none.
        Conflict: A workflow function declares it.
    """
    instance = draft.state.instance(path)
    if instance.owner is not None:
        raise Conflict(
            f"{path} is declared by the workflow {instance.owner.path}: "
            "change the inputs of that instead"
        )
    return instance


def _target(draft: Draft, address: Address) -> tuple[Instance, Port, PortType]:
    if address.side != "in" or address.port is None:
        raise BadValue(f"{address} is no input: write for example {address.instance}.in.PORT")
    instance = draft.state.instance(address.instance)
    port = draft.state.spec(instance).input(address.port)
    mapped = port.name in instance.mapped
    return instance, port, ListType(port.type) if mapped else port.type


def set_input(draft: Draft, address: Address, value: Any) -> None:
    """Set an input, or a part of it.

    Raises:
        UserError: There is no such input or part, or the value does not fit.
    """
    instance, port, port_type = _target(draft, address)
    where = str(address)
    if not address.steps:
        plain = check(port_type, value, where)
        _replace_source(draft, instance, port, _as_source(draft, instance, port, port_type, plain))
        return
    inner = strip_optional(port_type)
    if isinstance(inner, ListType):
        _set_item(draft, instance, port, inner, address, value)
        return
    present = instance.inputs.get(port.name)
    held = present.value if isinstance(present, Literal) else None
    changed = _assigned(held, address.steps, value, where)
    _replace_source(draft, instance, port, Literal(check(port_type, changed, where)))


def _as_source(
    draft: Draft, instance: Instance, port: Port, port_type: PortType, plain: Any
) -> Source:
    if plain is None or not isinstance(strip_optional(port_type), ListType):
        return Literal(plain)
    return Collect(_items(draft, instance.inputs.get(port.name), plain))


def _items(draft: Draft, present: Source | None, values: list[Any]) -> tuple[Item, ...]:
    """Items for a list set as a whole: equal elements keep their identity, then equal places."""
    old = present.items if isinstance(present, Collect) else ()
    free: dict[str, list[str]] = {}
    for item in old:
        if isinstance(item.source, Literal):
            free.setdefault(value_digest(item.source.value), []).append(item.eid)
    eids: list[str | None] = []
    for value in values:
        same = free.get(value_digest(value))
        eids.append(same.pop(0) if same else None)
    taken = {eid for eid in eids if eid}
    by_place = {i: item.eid for i, item in enumerate(old) if item.eid not in taken}
    return tuple(
        Item(eid or by_place.get(i) or draft.new_eid(), Literal(value))
        for i, (eid, value) in enumerate(zip(eids, values, strict=True))
    )


def _replace_source(draft: Draft, instance: Instance, port: Port, source: Source | None) -> None:
    if instance.owner is not None:
        _pin(draft, instance, port, source)
    elif instance.inputs.get(port.name) != source:
        draft.emit(ev.InputSet(instance.path, port.name, source))


def _pin(draft: Draft, instance: Instance, port: Port, source: Source | None) -> None:
    """A user's hand inside a workflow: it holds until it is taken away (SEMANTICS 10.2)."""
    held = port.name in instance.pinned
    if source is None and not held:
        raise Conflict(
            f"{instance.path}.in.{port.name} is declared by the workflow {_workflow(instance)}, "
            "and not pinned: set it to pin another value"
        )
    if source is None:
        draft.emit(ev.PinRemoved(instance.path, port.name))
    elif not held or instance.inputs.get(port.name) != source:
        draft.emit(ev.PinSet(instance.path, port.name, source))


def _workflow(instance: Instance) -> str:
    return instance.owner.path if instance.owner else ""


def _set_item(
    draft: Draft, instance: Instance, port: Port, port_type: ListType, address: Address, value: Any
) -> None:
    first, rest = address.steps[0], address.steps[1:]
    where = str(address)
    if first == APPEND and not rest:
        source = Literal(check(port_type.item, value, where))
        _append(draft, instance, port, source)
        return
    item = _item_at(instance, port, first, where)
    held = item.source.value if isinstance(item.source, Literal) else None
    changed = check(port_type.item, _assigned(held, rest, value, where), where)
    _replace_item(draft, instance, port, item, Literal(changed))


def _append(draft: Draft, instance: Instance, port: Port, source: Single) -> None:
    present = instance.inputs.get(port.name)
    if isinstance(present, OutRef | InRef):
        raise Conflict(
            f"{instance.path}.in.{port.name} is connected as a whole: "
            "clear it before appending single elements"
        )
    eid = draft.new_eid()
    if instance.owner is not None:
        _pin_items(draft, instance, port, (*_present_items(instance, port), Item(eid, source)))
    elif present is None:
        draft.emit(ev.InputSet(instance.path, port.name, Collect((Item(eid, source),))))
    else:
        draft.emit(ev.ItemAppended(instance.path, port.name, Item(eid, source)))


def _replace_item(draft: Draft, instance: Instance, port: Port, item: Item, source: Single) -> None:
    if instance.owner is not None:
        changed = Item(item.eid, source)
        items = _present_items(instance, port)
        _pin_items(draft, instance, port, tuple(changed if i.eid == item.eid else i for i in items))
    elif item.source != source:
        draft.emit(ev.ItemReplaced(instance.path, port.name, item.eid, source))


def _present_items(instance: Instance, port: Port) -> tuple[Item, ...]:
    present = instance.inputs.get(port.name)
    if isinstance(present, Literal) and isinstance(present.value, list):
        eids = element_ids(present.value)
        return tuple(Item(e, Literal(v)) for e, v in zip(eids, present.value, strict=True))
    return present.items if isinstance(present, Collect) else ()


def _pin_items(draft: Draft, instance: Instance, port: Port, items: tuple[Item, ...]) -> None:
    declared = instance.declared(port.name)
    if isinstance(declared, Collect) and declared.decision is not None:
        raise Conflict(
            f"{instance.path}.in.{port.name} is a list that {_workflow(instance)} decides: "
            "reopen the decision, or pin the list as a whole"
        )
    _pin(draft, instance, port, Collect(items))


def _item_at(instance: Instance, port: Port, step: Step, where: str) -> Item:
    items = _present_items(instance, port)
    if not isinstance(step, int):
        raise BadValue(f"{where}: {instance.path}.in.{port.name} is a list: write [0] or [+]")
    if step >= len(items):
        raise NotFound(f"{where}: the list has {len(items)} elements set by hand; append with [+]")
    return items[step]


def _assigned(held: Any, steps: tuple[Step, ...], value: Any, where: str) -> Any:
    if not steps:
        return value
    whole = copy.deepcopy(held) if held is not None else ([] if steps[0] == APPEND else {})
    at: Any = whole
    for step in steps[:-1]:
        at = _inner(at, step, where)
    last = steps[-1]
    if isinstance(at, list) and last == APPEND:
        at.append(value)
    elif _has_place(at, last):
        at[last] = value
    else:
        raise NotFound(f"{where}: there is no place {last!r} in {type(at).__name__} yet")
    return whole


def _has_place(at: Any, step: Step) -> bool:
    if isinstance(at, list):
        return isinstance(step, int) and step < len(at)
    return isinstance(at, dict) and isinstance(step, str) and step != APPEND


def _inner(at: Any, step: Step, where: str) -> Any:
    if isinstance(at, dict) and isinstance(step, str):
        return at.setdefault(step, {})
    if isinstance(at, list) and isinstance(step, int) and step < len(at):
        return at[step]
    raise NotFound(f"{where}: there is no {step!r} inside yet")


def clear_input(draft: Draft, address: Address) -> None:
    """Unset or disconnect an input, or take one element out of a list.

    Raises:
        UserError: There is no such input or element.
    """
    if (address.instance, address.port) in draft.state.dangling and not address.steps:
        draft.emit(ev.PinRemoved(address.instance, str(address.port)))
        return
    instance, port, port_type = _target(draft, address)
    if not address.steps:
        _replace_source(draft, instance, port, None)
        return
    inner = strip_optional(port_type)
    if isinstance(inner, ListType) and len(address.steps) == 1:
        item = _item_at(instance, port, address.steps[0], str(address))
        if instance.owner is not None:
            items = _present_items(instance, port)
            _pin_items(draft, instance, port, tuple(i for i in items if i.eid != item.eid))
        else:
            draft.emit(ev.ItemRemoved(instance.path, port.name, item.eid))
        return
    raise BadValue(f"{address}: only whole inputs and elements of lists can be cleared")


def connect(draft: Draft, source: Address, target: Address) -> None:
    """Connect an output to an input, to an element of it, or to the place after its last one.

    Raises:
        UserError: One of them does not exist, or the types do not go together.
    """
    instance, port, port_type = _target(draft, target)
    reference = _reference(draft, source, instance)
    where = str(target)
    if not target.steps:
        check_source(draft, port_type, reference, where)
        _replace_source(draft, instance, port, reference)
        return
    inner = strip_optional(port_type)
    if not isinstance(inner, ListType) or len(target.steps) > 1:
        raise BadValue(f"{where}: only whole inputs and elements of lists can be connected")
    check_source(draft, inner.item, reference, where)
    if target.steps[0] == APPEND:
        _append(draft, instance, port, reference)
    else:
        item = _item_at(instance, port, target.steps[0], where)
        _replace_item(draft, instance, port, item, reference)


def _reference(draft: Draft, source: Address, target: Instance) -> OutRef | InRef:
    upstream = draft.state.instance(source.instance)
    if source.side != "out" or source.port is None:
        raise BadValue(f"{source} is no output: write for example {source.instance}.out.PORT")
    draft.state.spec(upstream).output(source.port)
    if source.instance.rpartition("/")[0] != target.path.rpartition("/")[0]:
        raise Conflict(
            f"{source.instance} and {target.path} are not on the same level: "
            "connect to an output of the workflow instance instead"
        )
    if not upstream.mapped or not source.steps:
        return OutRef(source.instance, source.port, steps=source.steps)
    first, rest = source.steps[0], source.steps[1:]
    eids = upstream.eids or ()
    if not isinstance(first, int) or first >= len(eids):
        raise NotFound(f"{source}: {source.instance} has {len(eids)} elements")
    return OutRef(source.instance, source.port, eids[first], rest)
