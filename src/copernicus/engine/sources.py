"""Giving an input a source as a document has it, with the identities of a list's elements."""

from __future__ import annotations

import msgspec

from copernicus.engine.declare import check_source
from copernicus.engine.draft import Draft
from copernicus.engine.indexes import references
from copernicus.engine.inputs import as_source, replace_source
from copernicus.engine.instances import Instance
from copernicus.errors import BadValue, NotFound
from copernicus.model.functions import Port
from copernicus.model.network import Collect, InRef, Item, Literal, OutRef, Single, Source
from copernicus.model.types import ListType, check


def set_source(draft: Draft, path: str, port_name: str, source: Source | None) -> None:
    """Give an input the source that a document tells; elements without identity get one.

    Raises:
        UserError: There is no such input, or what it names does not exist or fit.
    """
    instance = draft.state.instance(path)
    port = draft.state.spec(instance).input(port_name)
    wanted = ListType(port.type) if port.name in instance.mapped else port.type
    where = f"{path}.in.{port_name}"
    if isinstance(source, Collect):
        source = _identified(draft, instance, port, source, where)
    elif source is not None:
        source = _placed(draft, source)
    for reference in references(source):
        if isinstance(reference, InRef) and instance.owner is None:
            raise BadValue(f"{where}: only a workflow's function can take {reference.path}'s input")
        if isinstance(reference, OutRef) and reference.path not in draft.state.instances:
            raise NotFound(f"{where}: there is no instance {reference.path!r} to take it from")
    if isinstance(source, Literal):
        plain = check(wanted, source.value, where)
        source = as_source(draft, instance, port, wanted, plain)
    elif source is not None:
        check_source(draft, wanted, source, where)
    replace_source(draft, instance, port, source)


def _placed(draft: Draft, source: Single) -> Single:
    """A position in the output of a mapped instance is one of its elements."""
    if not isinstance(source, OutRef) or source.element is not None or not source.steps:
        return source
    upstream = draft.state.instances.get(source.path)
    place = source.steps[0]
    if upstream is None or not upstream.mapped:
        return source
    eids = draft.eids(upstream)
    if not isinstance(place, int) or place >= len(eids):
        raise NotFound(f"{source.path}.out.{source.port}[{place}]: it has {len(eids)} elements now")
    return OutRef(source.path, source.port, eids[place], source.steps[1:])


def _identified(
    draft: Draft, instance: Instance, port: Port, source: Collect, where: str
) -> Collect:
    """Elements with an identity each: equal ones keep theirs, then those in the same place."""
    if source.owner is not None or source.at_least is not None:
        raise BadValue(f"{where}: only a workflow's function can take the first few of a list")
    named = [item.eid for item in source.items if item.eid]
    if len(set(named)) < len(named):
        raise BadValue(f"{where}: two elements cannot have the same identity")
    singles = [_placed(draft, item.source) for item in source.items]
    present = instance.inputs.get(port.name) or instance.former.get(port.name)
    old = present.items if isinstance(present, Collect) else ()
    free: dict[bytes, list[str]] = {}
    for item in old:
        if item.eid not in named:
            free.setdefault(msgspec.json.encode(item.source), []).append(item.eid)
    eids = [item.eid for item in source.items]
    for place, single in enumerate(singles):
        equal = free.get(msgspec.json.encode(single)) if not eids[place] else None
        eids[place] = eids[place] or (equal.pop(0) if equal else "")
    by_place = {i: item.eid for i, item in enumerate(old) if item.eid not in set(eids)}
    return Collect(
        tuple(
            Item(eid or by_place.get(i) or draft.new_eid(), single)
            for i, (eid, single) in enumerate(zip(eids, singles, strict=True))
        )
    )
