"""Edits of the network's shape: placing, removing, renaming, copying, holding."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches

from copernicus.engine.draft import Draft
from copernicus.engine.indexes import below, references, renamed
from copernicus.engine.inputs import owned
from copernicus.engine.instances import Instance
from copernicus.engine.removed import removed_like
from copernicus.engine.transaction import ending_below
from copernicus.errors import BadValue, Conflict, NotFound
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.functions import FunctionSpec
from copernicus.model.network import Collect, InRef, Item, OutRef, Source
from copernicus.model.paths import check_name
from copernicus.model.resources import check_resources


def add(draft: Draft, edit: ed.AddInstance, _author: str) -> None:
    """Place a function; what was there before, as it is placed now, comes back."""
    if "/" in edit.path:
        raise Conflict(
            f"{edit.path!r}: what is inside a workflow instance is declared by its function; "
            "place instances at the top level"
        )
    _check_free(draft, edit.path)
    spec = _function(draft, edit.function, edit.version)
    for port in edit.mapped:
        spec.input(port)
    if edit.resources is not None:
        check_resources(edit.resources, edit.path)
    draft.know(spec)
    draft.emit(
        ev.InstanceAdded(
            path=edit.path,
            incarnation=_incarnation(draft, edit, spec),
            function=spec.name,
            version=spec.version,
            mapped=edit.mapped,
            held=edit.held,
            resources=edit.resources,
        )
    )
    _free_inside(draft, edit.path)


def _free_inside(draft: Draft, path: str) -> None:
    """Take away what a hand had pinned and held inside what comes back, as its inputs are."""
    state = draft.state
    # Most are new: to look for what is inside means to go through all instances.
    for at in below(state, path) if path in state.children else (path,):
        instance = state.instances[at]
        for port in list(instance.pinned):
            draft.emit(ev.PinRemoved(at, port))
        if instance.held and at != path:
            draft.emit(ev.HeldSet(at, held=False))


def _check_free(draft: Draft, name: str) -> None:
    check_name(name)
    if name in draft.state.instances:
        raise Conflict(f"there is an instance {name!r} already; choose another name")


def _function(draft: Draft, name: str, version: str) -> FunctionSpec:
    known = draft.state.functions.get(name, {})
    spec = draft.function(name)
    if version and version in known and (spec is None or spec.version != version):
        return known[version]
    if spec is None:
        raise NotFound(f"no function {name!r}; {_like(draft, name)}")
    if version and spec.version != version:
        raise NotFound(f"{name} is here in version {spec.version}, not in {version}")
    return spec


def _like(draft: Draft, function: str) -> str:
    """Which functions there are that somebody may have meant."""
    names = sorted({*draft.catalog, *draft.state.functions})
    last = function.rpartition(".")[2]
    near = [name for name in names if name.rpartition(".")[2] == last]
    near = near or get_close_matches(function, names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there is: {', '.join(names[:10]) or 'none'}{', ...' if len(names) > 10 else ''}"


def _incarnation(draft: Draft, edit: ed.AddInstance, spec: FunctionSpec) -> int:
    """That of the removed instance that comes back, or a new one."""
    state = draft.state
    placed = Instance(edit.path, 0, spec.name, spec.version, 0, edit.mapped)
    if not edit.incarnation:
        return removed_like(state, placed) or state.next_incarnation
    members = state.removed.get(edit.incarnation, {})
    for root in members.values():
        same = (root.function, root.version, root.mapped) == (
            spec.name,
            spec.version,
            edit.mapped,
        )
        if root.incarnation == edit.incarnation and same:
            if root.path != edit.path:
                _check_not_begun(root)
            return edit.incarnation
    return state.next_incarnation


def remove(draft: Draft, edit: ed.RemoveInstance, _author: str) -> None:
    """Take an instance out, with what is inside it and the connections from it."""
    instance = owned(draft, edit.path)
    gone = set(below(draft.state, instance.path))
    for path, other in list(draft.state.instances.items()):
        if path not in gone:
            _disconnect(draft, other, gone)
    for event in ending_below(draft.state, instance.path):
        draft.intend(event)
    draft.emit(ev.InstanceRemoved(instance.path))


def _disconnect(draft: Draft, instance: Instance, gone: set[str]) -> None:
    for port, source in list(instance.inputs.items()):
        if not any(isinstance(r, OutRef) and r.path in gone for r in references(source)):
            continue
        if port in instance.pinned:
            draft.emit(ev.PinRemoved(instance.path, port))
        elif isinstance(source, Collect):
            for item in source.items:
                if isinstance(item.source, OutRef) and item.source.path in gone:
                    draft.emit(ev.ItemRemoved(instance.path, port, item.eid))
        else:
            draft.emit(ev.InputSet(instance.path, port, None))


def rename(draft: Draft, edit: ed.RenameInstance, _author: str) -> None:
    """Give an instance another name."""
    instance = owned(draft, edit.path)
    if edit.name == instance.path:
        return
    _check_free(draft, edit.name)
    _check_not_begun(instance)
    draft.emit(ev.InstanceRenamed(instance.path, edit.name))


def _check_not_begun(instance: Instance) -> None:
    if any(element.evaluation is not None for element in instance.elements.values()):
        raise Conflict(
            f"{instance.path} has begun: the random seeds and the answers inside it go by its "
            "name, so it keeps that; add another workflow instance under the new name"
        )


def copy(draft: Draft, edit: ed.CopyInstances, author: str) -> None:
    """Place instances again, with their inputs; connections among them go to the copies."""
    if not edit.names:
        raise BadValue("nothing to copy: name the instances, and what the copies are called")
    names = list(edit.names.values())
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise BadValue(f"two copies cannot both be called {', '.join(sorted(doubled))}")
    for path, name in edit.names.items():
        model = draft.state.instance(path)
        placed = ed.AddInstance(
            name,
            model.function,
            model.mapped,
            edit.held,
            model.resources,
            version=model.version,
        )
        add(draft, placed, author)
    for path, name in edit.names.items():
        for port, source in draft.state.instance(path).inputs.items():
            outside = _outside(draft, source, edit.names)
            if outside is not None:
                draft.emit(ev.InputSet(name, port, renamed(outside, dict(edit.names))))


def _outside(draft: Draft, source: Source, names: Mapping[str, str]) -> Source | None:
    """A source as the top level can have it: an input of the workflow around is followed out."""
    match source:
        case InRef():
            return _of_workflow(draft, source, names)
        case Collect(items=items):
            found = [(item.eid, _outside(draft, item.source, names)) for item in items]
            kept = tuple(
                Item(eid, one)
                for eid, one in found
                if one is not None and not isinstance(one, Collect)
            )
            if len(kept) < len(items):
                raise Conflict("a list inside a workflow that takes whole inputs is not copied")
            return Collect(kept)
    return source


def _of_workflow(draft: Draft, source: InRef, names: Mapping[str, str]) -> Source | None:
    owner = draft.state.instance(source.path)
    if source.steps or source.port in owner.mapped:
        raise Conflict(
            f"what takes a part of {owner.path}.in.{source.port} cannot be copied out of it: "
            f"add the function under another name and set its inputs"
        )
    above = owner.inputs.get(source.port)
    return None if above is None else _outside(draft, above, names)


def hold(draft: Draft, path: str, *, held: bool) -> None:
    """Hold or activate an instance, also one inside a workflow; ``""`` means the top level."""
    tops = [p for p, i in draft.state.instances.items() if i.owner is None]
    for at in [draft.state.instance(path).path] if path else tops:
        if draft.state.instances[at].held != held:
            draft.emit(ev.HeldSet(at, held))
