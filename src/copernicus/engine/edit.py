"""User's edits: checked one by one on a draft, then recorded together as one revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from copernicus.engine.draft import Draft
from copernicus.engine.indexes import below, references
from copernicus.engine.inputs import clear_input, connect, owned, set_input
from copernicus.engine.showing import shorten
from copernicus.engine.state import Instance
from copernicus.engine.steer import cancel, reopen, retry, skip
from copernicus.engine.transaction import Step, ending_below
from copernicus.errors import BadDefinition, BadValue, Conflict, NotFound
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.budgets import exceeded, limited
from copernicus.model.functions import check_spec
from copernicus.model.network import Collect, OutRef
from copernicus.model.paths import check_name, parse


def apply_edits(step: Step, edits: Sequence[ed.Edit], author: str) -> None:
    """Carry out a transaction: all edits, or none.

    Raises:
        UserError: One of them is impossible; nothing has changed.
    """
    if not edits:
        raise BadValue("an empty transaction: there is nothing to commit")
    draft = Draft(step.state, step.catalog)
    for edit in edits:
        _RULES[type(edit)](draft, edit, author)
    _check_cycles(draft)
    summary = tuple(summarise(edit) for edit in edits)
    step.emit(ev.RevisionMade(step.state.revision + 1, author, summary))
    for event in draft.events:
        step.emit(event)


def summarise(edit: ed.Edit) -> str:
    """One line about an edit, for the history."""
    match edit:
        case ed.AddInstance(path=path, function=function):
            return f"add {path} ({function})"
        case ed.SetInput(target=target, value=value):
            return f"set {target} = {shorten(value)}"
        case ed.Connect(source=source, target=target):
            return f"connect {source} -> {target}"
        case ed.RenameInstance(path=path, name=name):
            return f"rename {path} to {name}"
        case ed.Define(spec=spec):
            return f"define {spec.name}"
        case ed.ClearInput(target=target):
            return f"clear {target}"
        case ed.SetBudget(limits=limits):
            told = (f"{n} {'unlimited' if v is None else f'{v:g}'}" for n, v in limits.items())
            return f"budget {', '.join(told)}"
        case ed.Pause():
            return "pause"
        case ed.Resume():
            return "resume"
    word = type(edit).__name__.lower()
    return f"{word} {edit.path or 'everything'}"


def _like(draft: Draft, function: str) -> str:
    """Which functions there are that somebody may have meant."""
    names = sorted({*draft.catalog, *draft.state.functions})
    last = function.rpartition(".")[2]
    near = [name for name in names if name.rpartition(".")[2] == last]
    near = near or get_close_matches(function, names, n=3)
    if near:
        return f"did you mean {' or '.join(near)}?"
    return f"there is: {', '.join(names[:10]) or 'none'}{', ...' if len(names) > 10 else ''}"


def _add(draft: Draft, edit: ed.AddInstance, author: str) -> None:
    del author
    if "/" in edit.path:
        raise Conflict(
            f"{edit.path!r}: what is inside a workflow instance is declared by its function; "
            "place instances at the top level"
        )
    check_name(edit.path)
    if edit.path in draft.state.instances:
        raise Conflict(f"there is an instance {edit.path!r} already; choose another name")
    spec = draft.function(edit.function)
    if spec is None:
        raise NotFound(f"no function {edit.function!r}; {_like(draft, edit.function)}")
    for port in edit.mapped:
        spec.input(port)
    draft.know(spec)
    draft.emit(
        ev.InstanceAdded(
            path=edit.path,
            incarnation=draft.state.next_incarnation,
            function=spec.name,
            version=spec.version,
            mapped=edit.mapped,
            held=edit.held,
            resources=edit.resources,
        )
    )


def _remove(draft: Draft, edit: ed.RemoveInstance, author: str) -> None:
    del author
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
        if isinstance(source, OutRef) and source.path in gone:
            draft.emit(ev.InputSet(instance.path, port, None))
        elif isinstance(source, Collect):
            for item in source.items:
                if isinstance(item.source, OutRef) and item.source.path in gone:
                    draft.emit(ev.ItemRemoved(instance.path, port, item.eid))


def _rename(draft: Draft, edit: ed.RenameInstance, author: str) -> None:
    del author
    instance = owned(draft, edit.path)
    check_name(edit.name)
    if edit.name in draft.state.instances:
        raise Conflict(f"there is an instance {edit.name!r} already; choose another name")
    if any(element.evaluation is not None for element in instance.elements.values()):
        raise Conflict(
            f"{instance.path} has begun: the random seeds and the answers inside it go by its "
            "name, so it keeps that; add another workflow instance under the new name"
        )
    if edit.name != instance.path:
        draft.emit(ev.InstanceRenamed(instance.path, edit.name))


def _set(draft: Draft, edit: ed.SetInput, author: str) -> None:
    del author
    set_input(draft, parse(edit.target), edit.value)


def _clear(draft: Draft, edit: ed.ClearInput, author: str) -> None:
    del author
    clear_input(draft, parse(edit.target))


def _connect(draft: Draft, edit: ed.Connect, author: str) -> None:
    del author
    connect(draft, parse(edit.source), parse(edit.target))


def _hold(draft: Draft, path: str, *, held: bool) -> None:
    tops = [p for p, i in draft.state.instances.items() if i.owner is None]
    for at in [owned(draft, path).path] if path else tops:
        if draft.state.instances[at].held != held:
            draft.emit(ev.HeldSet(at, held))


def _budget(draft: Draft, edit: ed.SetBudget, author: str) -> None:
    del author
    draft.emit(ev.BudgetSet(limited(draft.state.budget, edit.limits)))


def _pause(draft: Draft, *, paused: bool) -> None:
    reason = "" if paused else exceeded(draft.state.budget, draft.real.use())
    if reason:
        raise Conflict(f"the budget is spent: {reason}, then resume")
    if draft.state.paused == paused:
        raise Conflict("the project is paused already" if paused else "the project is not paused")
    draft.emit(ev.PausedSet(paused))


def _define(draft: Draft, edit: ed.Define, author: str) -> None:
    del author
    spec = check_spec(edit.spec)
    if spec.kind != "program" or spec.template is None or spec.entry or spec.module:
        raise BadDefinition(f"{spec.name}: only program functions with a template can be defined")
    if spec.name in draft.catalog:
        raise Conflict(f"{spec.name} is a function of an installed module; choose another name")
    draft.emit(ev.FunctionDefined(spec))
    for path, instance in list(draft.state.instances.items()):
        if instance.function == spec.name and instance.version != spec.version:
            raise Conflict(
                f"{spec.name} is in use by {path} in another version; "
                "define the new one under another name"
            )


def _check_cycles(draft: Draft) -> None:
    touched = {getattr(event, "path", "") for event in draft.events}
    sound: set[str] = set()
    for start in sorted(touched & set(draft.state.instances)):
        path = _cycle_above(draft, start, sound)
        if path:
            raise Conflict(f"this makes a cycle: {' -> '.join(path)}")


def _cycle_above(draft: Draft, start: str, sound: set[str]) -> list[str] | None:
    """A cycle that ``start`` hangs on; what has none above it joins ``sound``."""
    way: dict[str, Iterator[str]] = {}
    at: str | None = None if start in sound else start
    while at is not None:
        above = way.setdefault(at, iter(list(_upstreams(draft, at))))
        onward = next((path for path in above if path not in sound), None)
        if onward is None:
            sound.add(at)
            del way[at]
            at = next(reversed(way), None)
        elif onward in way:
            names = list(way)
            return [onward, *reversed(names[names.index(onward) :])]
        else:
            at = onward
    return None


def _upstreams(draft: Draft, path: str) -> Iterable[str]:
    instance = draft.state.instances.get(path)
    for source in instance.inputs.values() if instance else ():
        for reference in references(source):
            if isinstance(reference, OutRef):
                yield reference.path


Rule = Callable[[Draft, Any, str], None]

_RULES: dict[type, Rule] = {
    ed.AddInstance: _add,
    ed.RemoveInstance: _remove,
    ed.RenameInstance: _rename,
    ed.SetInput: _set,
    ed.ClearInput: _clear,
    ed.Connect: _connect,
    ed.Activate: lambda draft, edit, _: _hold(draft, edit.path, held=False),
    ed.Hold: lambda draft, edit, _: _hold(draft, edit.path, held=True),
    ed.Pause: lambda draft, _edit, _: _pause(draft, paused=True),
    ed.Resume: lambda draft, _edit, _: _pause(draft, paused=False),
    ed.Retry: retry,
    ed.Cancel: cancel,
    ed.Skip: skip,
    ed.SetBudget: _budget,
    ed.Reopen: reopen,
    ed.Define: _define,
}
