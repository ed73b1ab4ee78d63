"""User's edits: checked one by one on a draft, then recorded together as one revision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from copernicus.engine.cycles import check_cycles
from copernicus.engine.document import document_of
from copernicus.engine.draft import Draft
from copernicus.engine.inputs import clear_input, connect, set_input
from copernicus.engine.showing import summarise
from copernicus.engine.sources import set_source
from copernicus.engine.state import ProjectState
from copernicus.engine.steer import cancel, reopen, retry, skip, upgrade
from copernicus.engine.structure import add, copy, hold, remove, rename
from copernicus.engine.transaction import Catalog, Step
from copernicus.errors import BadDefinition, BadValue, Conflict
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.budgets import exceeded, limited
from copernicus.model.document import NetworkDocument
from copernicus.model.functions import check_spec
from copernicus.model.paths import parse
from copernicus.model.retries import changed


def draft_edits(
    state: ProjectState, edits: Sequence[ed.Edit], author: str, catalog: Catalog
) -> Draft:
    """What a transaction would make of the network; nothing is changed.

    Raises:
        UserError: One of the edits is impossible.
    """
    if not edits:
        raise BadValue("an empty transaction: there is nothing to commit")
    draft = Draft(state, catalog)
    for edit in edits:
        _RULES[type(edit)](draft, edit, author)
    check_cycles(draft)
    return draft


def check_edits(
    state: ProjectState, edits: Sequence[ed.Edit], author: str, catalog: Catalog
) -> tuple[bool, NetworkDocument]:
    """Whether a transaction would change anything, and the network after it.

    Raises:
        UserError: One of the edits is impossible.
    """
    draft = draft_edits(state, edits, author, catalog)
    return bool(draft.events), document_of(draft.state, draft.eids)


def apply_edits(
    step: Step, edits: Sequence[ed.Edit], author: str, note: str = "", *, reuse: bool = False
) -> None:
    """Carry out a transaction: all edits, or none.

    ``note`` comes first in its summary; ``reuse`` is as in ``RevisionMade``.

    What connects or activates as it is already makes no revision. Setting an equal value does:
    that somebody stood by it belongs to the history.

    Raises:
        UserError: One of them is impossible; nothing has changed.
    """
    draft = draft_edits(step.state, edits, author, step.catalog)
    if not draft.events and all(isinstance(edit, _QUIET) for edit in edits):
        return
    summary = (*([note] if note else ()), *(summarise(edit) for edit in edits))
    step.emit(ev.RevisionMade(step.state.revision + 1, author, summary, reuse))
    for event in draft.events:
        step.emit(event)


def _set(draft: Draft, edit: ed.SetInput, author: str) -> None:
    del author
    set_input(draft, parse(edit.target), edit.value)


def _clear(draft: Draft, edit: ed.ClearInput, author: str) -> None:
    del author
    clear_input(draft, parse(edit.target))


def _connect(draft: Draft, edit: ed.Connect, author: str) -> None:
    del author
    connect(draft, parse(edit.source), parse(edit.target))


def _set_source(draft: Draft, edit: ed.SetSource, author: str) -> None:
    del author
    set_source(draft, edit.path, edit.port, edit.source)


def _budget(draft: Draft, edit: ed.SetBudget, author: str) -> None:
    del author
    draft.emit(ev.BudgetSet(limited(draft.state.budget, edit.limits)))


def _retries(draft: Draft, edit: ed.SetRetries, author: str) -> None:
    del author
    draft.emit(ev.RetriesSet(changed(draft.state.retries, edit.fields)))


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
    version = draft.state.defined.get(spec.name)
    if version is not None and draft.state.functions[spec.name][version] == spec:
        return
    draft.emit(ev.FunctionDefined(spec))


_QUIET = (ed.Connect, ed.SetSource, ed.Activate, ed.Hold, ed.RenameInstance, ed.Define)

Rule = Callable[[Draft, Any, str], None]

_RULES: dict[type, Rule] = {
    ed.AddInstance: add,
    ed.RemoveInstance: remove,
    ed.RenameInstance: rename,
    ed.CopyInstances: copy,
    ed.SetInput: _set,
    ed.ClearInput: _clear,
    ed.Connect: _connect,
    ed.SetSource: _set_source,
    ed.Activate: lambda draft, edit, _: hold(draft, edit.path, held=False),
    ed.Hold: lambda draft, edit, _: hold(draft, edit.path, held=True),
    ed.Pause: lambda draft, _edit, _: _pause(draft, paused=True),
    ed.Resume: lambda draft, _edit, _: _pause(draft, paused=False),
    ed.Retry: retry,
    ed.Cancel: cancel,
    ed.Skip: skip,
    ed.SetBudget: _budget,
    ed.SetRetries: _retries,
    ed.Reopen: reopen,
    ed.Upgrade: upgrade,
    ed.Define: _define,
}
