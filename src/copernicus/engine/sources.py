"""Giving an input a source as a document has it, with the identities of a list's elements."""

from __future__ import annotations

from copernicus.engine.declare import check_source
from copernicus.engine.draft import Draft
from copernicus.engine.indexes import references
from copernicus.engine.inputs import items_of, replace_source
from copernicus.engine.state import Instance
from copernicus.errors import BadValue, NotFound
from copernicus.model.functions import Port
from copernicus.model.network import Collect, InRef, Item, Literal, OutRef, Source
from copernicus.model.types import ListType


def set_source(draft: Draft, path: str, port_name: str, source: Source | None) -> None:
    """Give an input the source that a document tells; elements without identity get one.

    Raises:
        UserError: There is no such input, or what it names does not exist or fit.
    """
    instance = draft.state.instance(path)
    port = draft.state.spec(instance).input(port_name)
    wanted = ListType(port.type) if port.name in instance.mapped else port.type
    where = f"{path}.in.{port_name}"
    if source is None:
        replace_source(draft, instance, port, None)
        return
    if isinstance(source, Collect):
        source = _identified(draft, instance, port, source, where)
    for reference in references(source):
        if isinstance(reference, InRef) and instance.owner is None:
            raise BadValue(f"{where}: only a workflow's function can take {reference.path}'s input")
        if isinstance(reference, OutRef) and reference.path not in draft.state.instances:
            raise NotFound(f"{where}: there is no instance {reference.path!r} to take it from")
    check_source(draft, wanted, source, where)
    replace_source(draft, instance, port, source)


def _identified(
    draft: Draft, instance: Instance, port: Port, source: Collect, where: str
) -> Collect:
    if source.owner is not None or source.at_least is not None:
        raise BadValue(f"{where}: only a workflow's function can take the first few of a list")
    named = [item.eid for item in source.items if item.eid]
    if len(set(named)) < len(named):
        raise BadValue(f"{where}: two elements cannot have the same identity")
    literal = all(isinstance(item.source, Literal) for item in source.items)
    if literal and not named:
        values = [item.source.value for item in source.items if isinstance(item.source, Literal)]
        present = instance.inputs.get(port.name) or instance.former.get(port.name)
        return Collect(items_of(draft, present, values))
    items = tuple(Item(item.eid or draft.new_eid(), item.source) for item in source.items)
    return Collect(items)
