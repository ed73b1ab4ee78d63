"""Setting, clearing and connecting inputs: whole, one element, the next one, or a member."""

from __future__ import annotations

from typing import Any

from copernicus.engine.declare import check_source
from copernicus.engine.digests import element_ids, value_digest
from copernicus.engine.draft import Draft
from copernicus.engine.instances import Instance
from copernicus.engine.parts import assigned, removed
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
        replace_source(draft, instance, port, as_source(draft, instance, port, port_type, plain))
        return
    inner = strip_optional(port_type)
    if isinstance(inner, ListType):
        _set_item(draft, instance, port, inner, address, value)
        return
    changed = assigned(_held(instance, port, where), address.steps, value, where)
    replace_source(draft, instance, port, Literal(check(port_type, changed, where)))


def _held(instance: Instance, port: Port, where: str) -> Any:
    """The value of which a part is to be changed: what was set, else the default."""
    source = instance.inputs.get(port.name)
    if source is None:
        return port.default
    if not isinstance(source, Literal):
        raise Conflict(
            f"{where}: {instance.path}.in.{port.name} is connected, so its parts cannot be set: "
            f"cpc unset {instance.path}.in.{port.name} first"
        )
    return source.value


def as_source(
    draft: Draft, instance: Instance, port: Port, port_type: PortType, plain: Any
) -> Source:
    """A plain value as an input holds it: a list in elements with identities."""
    if plain is None or not isinstance(strip_optional(port_type), ListType):
        return Literal(plain)
    present = instance.inputs.get(port.name) or instance.former.get(port.name)
    return Collect(items_of(draft, present, plain))


def items_of(draft: Draft, present: Source | None, values: list[Any]) -> tuple[Item, ...]:
    """Items for a list set as a whole: equal elements keep their identity, then equal places."""
    old = present.items if isinstance(present, Collect) else ()
    free: dict[str, list[str]] = {}
    for item in old:
        if isinstance(item.source, Literal):
            free.setdefault(value_digest(item.source.value), []).append(item.eid)
    if not old:
        return tuple(Item(draft.new_eid(), Literal(value)) for value in values)
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


def replace_source(draft: Draft, instance: Instance, port: Port, source: Source | None) -> None:
    """Give an input another source, by a pin if a workflow declares it; nothing if it has it."""
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
    items = _listed(draft, instance, port)
    if first in (APPEND, len(items)):
        made = check(port_type.item, assigned(None, rest, value, where), where)
        _append(draft, instance, port, items, Literal(made))
        return
    item = _item_at(items, instance, port, first, where)
    held = _item_value(item, instance, port, where) if rest else None
    changed = check(port_type.item, assigned(held, rest, value, where), where)
    _replace_item(draft, instance, port, items, Item(item.eid, Literal(changed)))


def _item_value(item: Item, instance: Instance, port: Port, where: str) -> Any:
    if not isinstance(item.source, Literal):
        raise Conflict(
            f"{where}: this element of {instance.path}.in.{port.name} is connected, "
            "so its members cannot be set"
        )
    return item.source.value


def _listed(draft: Draft, instance: Instance, port: Port) -> tuple[Item, ...]:
    """The elements of a list that can be edited one by one; a default becomes such a list."""
    present = draft.state.instance(instance.path).inputs.get(port.name)
    if isinstance(present, Collect):
        return present.items
    if isinstance(present, OutRef | InRef):
        raise Conflict(
            f"{instance.path}.in.{port.name} is connected as a whole: "
            "clear it before editing single elements"
        )
    values = present.value if present else None
    if present is None and port.name not in instance.mapped:
        values = port.default
    if not values:
        return ()
    eids = element_ids(values)
    items = tuple(Item(e, Literal(v)) for e, v in zip(eids, values, strict=True))
    if instance.owner is None:
        draft.emit(ev.InputSet(instance.path, port.name, Collect(items)))
    return items


def _append(
    draft: Draft, instance: Instance, port: Port, items: tuple[Item, ...], source: Single
) -> None:
    item = Item(_former_eid(instance, port, source) or draft.new_eid(), source)
    if instance.owner is not None:
        _pin_items(draft, instance, port, (*items, item))
    elif isinstance(draft.state.instance(instance.path).inputs.get(port.name), Collect):
        draft.emit(ev.ItemAppended(instance.path, port.name, item))
    else:
        draft.emit(ev.InputSet(instance.path, port.name, Collect((item,))))


def _former_eid(instance: Instance, port: Port, source: Single) -> str | None:
    """The identity that an equal element had when the instance was removed, if it is free."""
    former, present = instance.former.get(port.name), instance.inputs.get(port.name)
    if not former:
        return None
    taken = {item.eid for item in present.items} if isinstance(present, Collect) else set()
    for item in former.items if isinstance(former, Collect) else ():
        if item.source == source and item.eid not in taken:
            return item.eid
    return None


def _replace_item(
    draft: Draft, instance: Instance, port: Port, items: tuple[Item, ...], changed: Item
) -> None:
    if instance.owner is not None:
        replaced = tuple(changed if item.eid == changed.eid else item for item in items)
        _pin_items(draft, instance, port, replaced)
    elif changed not in items:
        draft.emit(ev.ItemReplaced(instance.path, port.name, changed.eid, changed.source))


def _pin_items(draft: Draft, instance: Instance, port: Port, items: tuple[Item, ...]) -> None:
    declared = instance.declared(port.name)
    if isinstance(declared, Collect) and declared.decision is not None:
        raise Conflict(
            f"{instance.path}.in.{port.name} is a list that {_workflow(instance)} decides: "
            "reopen the decision, or pin the list as a whole"
        )
    _pin(draft, instance, port, Collect(items))


def _item_at(
    items: tuple[Item, ...], instance: Instance, port: Port, step: Step, where: str
) -> Item:
    if not isinstance(step, int):
        raise BadValue(f"{where}: {instance.path}.in.{port.name} is a list: write [0] or [+]")
    if step >= len(items):
        raise NotFound(f"{where}: the list has {len(items)} elements; append with [+]")
    return items[step]


def clear_input(draft: Draft, address: Address) -> None:
    """Unset or disconnect an input, or take an element of a list or a member out of it.

    Raises:
        UserError: There is no such input, element or member, or it is needed.
    """
    if (address.instance, address.port) in draft.state.dangling and not address.steps:
        draft.emit(ev.PinRemoved(address.instance, str(address.port)))
        return
    instance, port, port_type = _target(draft, address)
    if not address.steps:
        replace_source(draft, instance, port, None)
        return
    where = str(address)
    inner = strip_optional(port_type)
    if not isinstance(inner, ListType):
        changed = removed(_held(instance, port, where), address.steps, where)
        replace_source(draft, instance, port, Literal(check(port_type, changed, where)))
        return
    items = _listed(draft, instance, port)
    item = _item_at(items, instance, port, address.steps[0], where)
    if len(address.steps) > 1:
        held = removed(_item_value(item, instance, port, where), address.steps[1:], where)
        source = Literal(check(inner.item, held, where))
        _replace_item(draft, instance, port, items, Item(item.eid, source))
    elif instance.owner is not None:
        _pin_items(draft, instance, port, tuple(i for i in items if i.eid != item.eid))
    else:
        draft.emit(ev.ItemRemoved(instance.path, port.name, item.eid))


def connect(draft: Draft, source: Address, target: Address) -> None:
    """Connect an output to an input, to an element of it, or to the place after its last one.

    Raises:
        UserError: One of them does not exist, or the types do not go together.
    """
    if source.side == "in" and target.side == "out":
        raise BadValue(
            f"{source} is an input and {target} an output: the output comes first, as in "
            f"cpc connect {target} {source}"
        )
    instance, port, port_type = _target(draft, target)
    reference = _reference(draft, source)
    where = str(target)
    if not target.steps:
        check_source(draft, port_type, reference, where)
        replace_source(draft, instance, port, reference)
        return
    inner = strip_optional(port_type)
    if not isinstance(inner, ListType) or len(target.steps) > 1:
        raise BadValue(f"{where}: only whole inputs and elements of lists can be connected")
    check_source(draft, inner.item, reference, where)
    items = _listed(draft, instance, port)
    if target.steps[0] in (APPEND, len(items)):
        _append(draft, instance, port, items, reference)
    else:
        item = _item_at(items, instance, port, target.steps[0], where)
        _replace_item(draft, instance, port, items, Item(item.eid, reference))


def _reference(draft: Draft, source: Address) -> OutRef:
    upstream = draft.state.instance(source.instance)
    if source.side != "out" or source.port is None:
        raise BadValue(f"{source} is no output: write for example {source.instance}.out.PORT")
    draft.state.spec(upstream).output(source.port)
    if not upstream.mapped or not source.steps:
        return OutRef(source.instance, source.port, steps=source.steps)
    first, rest = source.steps[0], source.steps[1:]
    eids = draft.eids(upstream)
    if not isinstance(first, int) or first >= len(eids):
        raise NotFound(f"{source}: {source.instance} has {len(eids)} elements now")
    return OutRef(source.instance, source.port, eids[first], rest)
