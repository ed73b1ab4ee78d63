"""Edits that act on runs and not on the network: retry, cancel, skip, decisions taken anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from copernicus.engine.absence import element_name, failed_activation
from copernicus.engine.draft import Draft
from copernicus.engine.indexes import below
from copernicus.engine.instances import Element, Instance
from copernicus.errors import BadValue, Conflict, NotFound
from copernicus.model import edits as ed
from copernicus.model import events as ev
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import Failure
from copernicus.model.paths import parse
from copernicus.model.resources import Resources, check_resources


def _elements(draft: Draft, path: str) -> Iterator[tuple[Instance, Element]]:
    address = parse(path)
    instance = draft.state.instance(address.instance)
    if address.element is None:
        for element in instance.listed():
            yield instance, element
        return
    eids = instance.eids or ()
    if not instance.mapped or address.element >= len(eids):
        raise NotFound(f"{address.instance} has {len(eids)} elements, no [{address.element}]")
    yield instance, instance.elements[eids[address.element]]


def _all_below(draft: Draft, path: str) -> Iterator[tuple[Instance, Element]]:
    state = draft.state
    for at in below(state, path) if path else list(state.instances):
        for element in state.instances[at].listed():
            yield state.instances[at], element


def retry(draft: Draft, edit: ed.Retry, author: str) -> None:
    """Fire again what has failed, or what is named.

    Raises:
        UserError: There is nothing to try again, or it cannot be now.
    """
    del author
    _check_resources(edit.resources)
    if edit.path:
        draft.state.instance(parse(edit.path).instance)
    whole = edit.failed and parse(edit.path).element is None if edit.path else True
    found = list(_all_below(draft, edit.path) if whole else _elements(draft, edit.path))
    # A skip that somebody chose is taken back only where nothing else is meant.
    wanted = [(i, e) for i, e in found if e.skip is None]
    failed = [(i, e) for i, e in wanted if failed_activation(draft.real, e) is not None]
    chosen = failed or ([] if edit.failed or not edit.path else wanted or found)
    if not chosen:
        raise Conflict(f"nothing has failed in {edit.path or 'the project'}")
    for instance, element in chosen:
        if element.open is not None:
            name = element_name(instance, element.eid)
            raise Conflict(f"{name} is running: cancel it first, or wait for its end")
        if instance.held:
            raise Conflict(f"{instance.path} is held: cpc activate {instance.path} first")
        draft.intend(ev.RetryAsked(instance.path, element.eid, edit.resources))
        if edit.reopen:
            for event in _tolerating(draft, instance, element):
                draft.intend(event)


def _check_resources(changes: dict[str, Any]) -> None:
    known = Resources.__struct_fields__
    for name in changes:
        if name not in known:
            raise BadValue(f"no resource is called {name!r}; there is: {', '.join(known)}")
    try:
        check_resources(msgspec.convert(changes, Resources), "the retry")
    except msgspec.ValidationError as error:
        raise BadValue(f"resources {changes}: {error}") from None


def cancel(draft: Draft, edit: ed.Cancel, author: str) -> None:
    """Stop what runs; it fails as cancelled.

    Raises:
        UserError: Nothing runs there.
    """
    address = parse(edit.path)
    found = list(_elements(draft, edit.path))
    if address.element is None:
        found = list(_all_below(draft, address.instance))
    running = [(i, e) for i, e in found if e.open is not None]
    if not running:
        raise Conflict(f"nothing runs in {edit.path}")
    failure = Failure(f"cancelled by {author}", cause="cancelled")
    for instance, element in running:
        assert element.open is not None
        if element.evaluation is not None and element.evaluation.live:
            number = element.evaluation.number
            draft.intend(ev.EvaluationEnded(instance.path, element.eid, number, failure))
        draft.intend(
            ev.ActivationEnded(element.open, "cancelled", failure=failure, discard=edit.discard)
        )


def skip(draft: Draft, edit: ed.Skip, author: str) -> None:
    """Accept that elements have no value."""
    for instance, element in _elements(draft, edit.path):
        if element.skip is None:
            digest = element.digest if element.ready else ""
            draft.intend(ev.ElementSkipped(instance.path, element.eid, digest, author))


def reopen(draft: Draft, edit: ed.Reopen, author: str) -> None:
    """Have decisions of a workflow instance (element) taken anew (SEMANTICS 5.2).

    Raises:
        UserError: There is no such decision.
    """
    del author
    found = [
        (instance, element, position)
        for instance, element in _elements(draft, edit.path)
        if element.evaluation is not None
        for position in element.evaluation.decisions
        if edit.position in ("", position)
    ]
    if not found:
        what = f"decision {edit.position!r}" if edit.position else "decision"
        raise Conflict(f"{edit.path} has taken no {what}: see cpc decisions {edit.path}")
    for instance, element, position in found:
        draft.intend(ev.DecisionReopened(instance.path, element.eid, position))


def upgrade(draft: Draft, edit: ed.Upgrade, author: str) -> None:
    """Take the installed version of a function; evaluations that wait for it are replayed.

    Raises:
        UserError: There is no other version, or none at all.
    """
    del author
    instance = draft.state.instance(parse(edit.path).instance)
    found = []
    for path in below(draft.state, instance.path):
        at = draft.state.instances[path]
        newest = draft.function(at.function)
        waiting = any(e.evaluation and e.evaluation.departure for e in at.elements.values())
        if newest is not None and (waiting or (at is instance and _other(at, newest))):
            found.append((path, newest))
    if not found:
        raise Conflict(
            f"{instance.path} runs {instance.function} {instance.version}, as it is installed"
        )
    for path, newest in found:
        draft.know(newest)
        draft.emit(ev.InstanceUpgraded(path, newest.version))


def _other(instance: Instance, newest: FunctionSpec) -> bool:
    """Whether an instance, or an evaluation in it, goes by another version."""
    running = {e.evaluation.version for e in instance.elements.values() if e.evaluation}
    return {instance.version, *running} != {newest.version}


def _tolerating(draft: Draft, instance: Instance, element: Element) -> Iterator[ev.Event]:
    """What reopens the decisions, of every workflow around it, that tolerated its failure."""
    at, eid = instance, element.eid
    while at.owner is not None:
        owner = draft.real.instances[at.owner.path]
        around = owner.elements[at.owner.eid]
        name = f"{at.path}[{eid}]." if eid else f"{at.path}."
        decisions = around.evaluation.decisions if around.evaluation else {}
        for position, decision in decisions.items():
            told = decision.outcome or {}
            names: tuple[str, ...] = ()
            if decision.kind == "settle":
                names = tuple(one for one in told if one.startswith(name))
            tolerated = decision.kind == "tolerate" and any(
                one["name"].startswith(name) for one in told.values()
            )
            if names or tolerated:
                yield ev.DecisionReopened(owner.path, around.eid, position, names)
        at, eid = owner, around.eid
