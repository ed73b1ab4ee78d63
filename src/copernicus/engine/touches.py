"""Which paths were changed by hand, and when: so that two people do not undo each other (10.1).

A path is an instance (``run``: that it is there, under this name), whether it is held
(``run held``), an input (``run.in.conf``) or a part of a list: an element by its identity
(``run.in.conf[e5]``), and that one was taken out (``[-]``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from copernicus.engine.state import ProjectState, Touch
from copernicus.errors import CopernicusError
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.network import Collect, OutRef, Source
from copernicus.model.paths import APPEND, Address, parse

_HELD = " held"
_GONE = "[-]"
# Kinds of events that a path may be changed by: of a long journal they are few.
_TOUCHING = frozenset(
    {
        ev.InstanceAdded,
        ev.InstanceRemoved,
        ev.InstanceRenamed,
        ev.HeldSet,
        ev.PausedSet,
        ev.BudgetSet,
        ev.PinSet,
        ev.PinRemoved,
        ev.FunctionDefined,
        ev.InputSet,
        ev.ItemAppended,
        ev.ItemReplaced,
        ev.ItemRemoved,
    }
)


class Clash(NamedTuple):
    """A path that an edit touches, and that was changed by somebody meanwhile."""

    path: str
    touch: Touch


def note(state: ProjectState, event: ev.Event) -> None:
    """Keep which paths an event of a user's transaction changed."""
    if type(event) not in _TOUCHING:
        return
    for path in _changed(event):
        state.touched[path] = Touch(state.revision, state.author)
    if isinstance(event, ev.InstanceRenamed):
        _carry(state, event.path, event.new_path)


def _changed(event: ev.Event) -> Iterator[str]:
    match event:
        case ev.InstanceAdded(path=path) | ev.InstanceRemoved(path=path) if "/" not in path:
            yield path
        case ev.InstanceRenamed(path=path, new_path=new):
            yield path
            yield new
        case ev.HeldSet(path=path):
            yield path + _HELD
        case ev.PausedSet():
            yield "pause"
        case ev.BudgetSet() | ev.RetriesSet():
            yield "budget" if isinstance(event, ev.BudgetSet) else "retries"
        case ev.PinSet(path=path, port=port) | ev.PinRemoved(path=path, port=port):
            yield f"{path}.in.{port}"
        case ev.FunctionDefined(spec=spec) if not spec.module:
            yield f"function {spec.name}"
        case ev.InputSet() | ev.ItemAppended() | ev.ItemReplaced() | ev.ItemRemoved():
            if "/" not in event.path:
                yield _input_of(event)


def _input_of(event: ev.InputSet | ev.ItemAppended | ev.ItemReplaced | ev.ItemRemoved) -> str:
    name = f"{event.path}.in.{event.port}"
    match event:
        case ev.ItemAppended(item=item):
            return f"{name}[{item.eid}]"
        case ev.ItemReplaced(eid=eid):
            return f"{name}[{eid}]"
        case ev.ItemRemoved():
            return name + _GONE
    return name


def _carry(state: ProjectState, old: str, new: str) -> None:
    for path in [p for p in state.touched if p.startswith((f"{old}.", old + _HELD))]:
        state.touched[new + path[len(old) :]] = state.touched.pop(path)


def clashes(state: ProjectState, edits: Sequence[ed.Edit], base: int) -> list[Clash]:
    """What these edits touch that has changed since revision ``base``."""
    recent = {path: touch for path, touch in state.touched.items() if touch.revision > base}
    if not recent:
        return []
    met: dict[str, Touch] = {}
    made: set[str] = set()
    for edit in edits:
        for wanted in _wanted(state, edit):
            for path, touch in recent.items():
                if _meets(wanted, path) and wanted.partition(".")[0] not in made:
                    met.setdefault(_readable(state, path), touch)
        if isinstance(edit, ed.AddInstance):
            made.add(edit.path)
    return [Clash(path, touch) for path, touch in met.items()]


def _meets(wanted: str, changed: str) -> bool:
    """``x*`` is touched by everything below ``x``."""
    if wanted.endswith("*"):
        whole = wanted[:-1]
        return changed == whole or changed.startswith((f"{whole}.", f"{whole}[", whole + _HELD))
    return wanted == changed


def _wanted(state: ProjectState, edit: ed.Edit) -> Iterable[str]:
    match edit:
        case ed.AddInstance(path=path):
            return (path,)
        case ed.RemoveInstance(path=path):
            return (f"{path}*",)
        case ed.RenameInstance(path=path, name=name):
            return (path, name)
        case ed.CopyInstances(names=names):
            return (*names.values(), *(f"{path}*" for path in names))
        case ed.SetInput(target=target) | ed.ClearInput(target=target):
            return _part(state, target)
        case ed.Connect(source=source, target=target):
            return (*_part(state, target), _top(source))
        case ed.SetSource(path=path, port=port, source=given):
            return (path, f"{path}.in.{port}*", *_sources(given))
    return _wanted_otherwise(state, edit)


def _wanted_otherwise(state: ProjectState, edit: ed.Edit) -> Iterable[str]:
    match edit:
        case ed.Activate(path=path) | ed.Hold(path=path):
            tops = [p for p in state.instances if "/" not in p]
            return (_top(path), path + _HELD) if path else [p + _HELD for p in tops]
        case ed.Define(spec=spec):
            return (f"function {spec.name}",)
        case ed.Retry(path=path) | ed.Cancel(path=path) | ed.Skip(path=path):
            return (_top(path),)
        case ed.SetBudget():
            return ("budget",)
        case ed.SetRetries():
            return ("retries",)
    return ("pause",)


def _sources(source: Source | None) -> Iterator[str]:
    singles = [i.source for i in source.items] if isinstance(source, Collect) else [source]
    for single in singles:
        if isinstance(single, OutRef):
            yield _top(single.path)


def _top(text: str) -> str:
    return text.partition("/")[0].partition(".")[0].partition("[")[0].partition("@")[0]


def _part(state: ProjectState, target: str) -> tuple[str, ...]:
    """An input as a whole; or, of a list, an element: that, and that the places are the same."""
    try:
        address = parse(target)
    except CopernicusError:
        return ()
    whole = f"{address.instance}.in.{address.port}"
    if not address.steps or (isinstance(address.steps[0], str) and address.steps[0] != APPEND):
        return (_top(target), f"{whole}*")
    if address.steps[0] == APPEND:
        return (_top(target), whole)
    return (_top(target), whole, whole + _GONE, f"{whole}[{_eid(state, address)}]")


def _eid(state: ProjectState, address: Address) -> str:
    instance = state.instances.get(address.instance)
    source = instance.inputs.get(address.port or "") if instance else None
    place = address.steps[0]
    items = source.items if isinstance(source, Collect) else ()
    return items[place].eid if isinstance(place, int) and place < len(items) else ""


def _readable(state: ProjectState, path: str) -> str:
    """The path as people write it: elements by position."""
    name, _, part = path.partition("[")
    if not part or part == "-]":
        return name
    head, _, port = name.rpartition(".in.")
    instance = state.instances.get(head)
    source = instance.inputs.get(port) if instance else None
    items = source.items if isinstance(source, Collect) else ()
    places = [str(i) for i, item in enumerate(items) if item.eid == part[:-1]]
    return f"{name}[{places[0]}]" if places else name
