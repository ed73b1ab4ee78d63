"""What an input holds now: value, digest, and whether it is current (SEMANTICS 1.2, 2.1, 3).

``resolve`` gives a whole input, ``resolve_element`` the part of it that one element of a mapped
instance takes, ``shape`` the identities of a list's elements.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from copernicus.engine.absence import (
    absence,
    blocker_of,
    item_name,
    reason_of,
    settled_failures,
    source_absence,
)
from copernicus.engine.digests import list_digest, value_digest
from copernicus.engine.instances import Activation, Decision, Element, Instance
from copernicus.engine.state import ProjectState
from copernicus.model.functions import Port
from copernicus.model.network import Collect, InRef, Item, OutRef, Source
from copernicus.model.network import Literal as Plain

Status = Literal["current", "stale", "waiting", "hole"]
Take = Literal["current", "latest", "streaming"]


class Resolved(msgspec.Struct, frozen=True, gc=False):
    """A value and its standing. ``blocker`` says in words what is waited for."""

    status: Status
    value: Any = None
    digest: str = ""
    origins: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    blocker: str = ""
    provisional: bool = False


UNDECIDED = "more elements to be done"
MOST_BEHIND = 1000
LATE = "nothing: what is late goes to inputs that take the Latest"


def resolve_input(
    state: ProjectState, instance: Instance, port: Port, eid: str, *, take: Take = "current"
) -> Resolved:
    """What element ``eid`` of ``instance`` takes at ``port``.

    ``take``: how what is behind a border takes it, where the port itself takes the current.
    """
    moves = taken_by(port)
    take = moves if moves != "current" else take
    source = instance.inputs.get(port.name)
    if source is None:
        if port.required:
            return Resolved("waiting", blocker=f"input {port.name} is not set")
        return Resolved("current", port.default, value_digest(port.default))
    if port.name in instance.mapped:
        part = part_of(instance, port.name, eid)
        whole = instance.taken.get(port.name)
        if whole is not None and whole[0] is source and take == "current":
            return _element_in(state, whole[1], part)
        return resolve_element(state, source, part, take=take)
    known = instance.taken.get(port.name)
    if known is not None and known[0] is source and take == "current":
        found: Resolved = known[1]
        return found
    found = resolve(state, source, take=take)
    if _is_by_hand(source):
        instance.taken[port.name] = source, found
    return found


def _is_by_hand(source: Source) -> bool:
    if isinstance(source, Collect):
        return source.decision is None and all(isinstance(i.source, Plain) for i in source.items)
    return isinstance(source, Plain)


def taken_by(port: Port) -> Take:
    """Which versions a port takes: current ones, the newest, or those of running jobs, too."""
    if port.streaming:
        return "streaming"
    return "latest" if port.latest else "current"


def part_of(instance: Instance, port: str, eid: str) -> str:
    """Which element of the list at a mapped port belongs to the (zipped) element ``eid``."""
    if len(instance.mapped) == 1 or "|" not in eid:
        return eid
    position = instance.place(eid)
    return eid if position is None else instance.parts[port][position]


def resolve(state: ProjectState, source: Source, *, take: Take = "current") -> Resolved:
    """The whole value of a source."""
    match source:
        case Plain(value=value):
            return Resolved("current", value, value_digest(value))
        case Collect():
            return _collect(state, source, take=take)
        case OutRef(path=path, port=port, element=element, steps=steps):
            upstream = state.instances.get(path)
            if upstream is None:
                return Resolved("waiting", blocker=f"{path}, which does not exist")
            if element is None and upstream.mapped:
                return _stepped(_mapped_output(state, upstream, port, take=take), steps)
            return _stepped(_output(state, upstream, element or "", port, take=take), steps)
        case InRef(path=path, port=port, eid=eid, steps=steps):
            owner = state.instances[path]
            taken = state.spec(owner).input(port)
            through: Take = take if take == "streaming" else "current"
            return _stepped(resolve_input(state, owner, taken, eid, take=through), steps)


def resolve_element(
    state: ProjectState, source: Source, eid: str, *, take: Take = "current"
) -> Resolved:
    """The element ``eid`` of the list that a source holds."""
    match source:
        case Collect():
            inside = state.indexed(source).sources.get(eid)
            if inside is None:
                return Resolved("waiting", blocker="an element that is gone")
            if isinstance(inside, Plain):
                return Resolved("current", inside.value, value_digest(inside.value))
            return resolve(state, inside, take=take)
        case OutRef(path=path, port=port, element=None, steps=()) if (
            path in state.instances and state.instances[path].mapped
        ):
            return _output(state, state.instances[path], eid, port, take=take)
        case InRef(path=path, port=port, steps=()) if port not in state.instances[path].mapped:
            inner = state.instances[path].inputs.get(port)
            if inner is not None:
                return resolve_element(state, inner, eid, take=take)
    return _element_in(state, resolve(state, source, take=take), eid)


def _element_in(state: ProjectState, whole: Resolved, eid: str) -> Resolved:
    if whole.status not in ("current", "stale") or not isinstance(whole.value, list):
        return whole
    place = state.split(whole.value).get(eid)
    if place is None:
        return Resolved("waiting", blocker="an element that is gone")
    value = whole.value[place]
    return Resolved(whole.status, value, value_digest(value), whole.origins)


def shape(state: ProjectState, source: Source) -> tuple[str, ...] | None:
    """The identities of a list's elements; ``None`` where no list is known yet."""
    match source:
        case Collect(decision=None):
            return state.indexed(source).eids
        case OutRef(path=path, element=None, steps=()) if (
            path in state.instances and state.instances[path].mapped
        ):
            return state.instances[path].eids
        case InRef(path=path, port=port, steps=()) if port not in state.instances[path].mapped:
            inner = state.instances[path].inputs.get(port)
            if inner is not None:
                return shape(state, inner)
    whole = resolve(state, source)
    if whole.status not in ("current", "stale") or not isinstance(whole.value, list):
        return None
    return tuple(state.split(whole.value))


def _stepped(found: Resolved, steps: Sequence[str | int]) -> Resolved:
    if not steps or found.status not in ("current", "stale"):
        return found
    value = found.value
    for step in steps:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return Resolved("waiting", blocker=f"a value with the member {step!r}")
    return msgspec.structs.replace(found, value=value, digest=value_digest(value))


def _output(
    state: ProjectState, upstream: Instance, eid: str, port: str, *, take: Take
) -> Resolved:
    element = upstream.elements.get(eid)
    if element is None:
        return Resolved("waiting", blocker=upstream.path)
    if element.hole and take != "latest":
        reason = (absence(state, upstream, element),)
        return Resolved("hole", left_out=reason, blocker=f"{upstream.path}, which was skipped")
    if state.spec(upstream).kind == "workflow":
        return _workflow_output(state, upstream, element, port, take=take)
    current = element.current and not upstream.retired
    if take == "streaming" and not current:
        return _so_far(state, upstream, element, port)
    if element.success is None:
        return Resolved("waiting", blocker=blocker_of(state, upstream, element))
    made = state.activations[element.success]
    current = current or take == "latest"
    blocker = "" if current else blocker_of(state, upstream, element)
    return _version(made, port, "current" if current else "stale", blocker)


def _so_far(state: ProjectState, upstream: Instance, element: Element, port: str) -> Resolved:
    """The provisional version: of the job that runs, or of a run on provisional inputs (2.2)."""
    made = so_far(state, element)
    partial = made.partial if made is not None else None
    if made is None or partial is None or port not in partial:
        return Resolved("waiting", blocker=blocker_of(state, upstream, element))
    digest = made.partial_digests[port]
    return Resolved("current", partial[port], digest, (made.id,), provisional=True)


def _version(made: Activation, port: str, status: Status, blocker: str) -> Resolved:
    value = made.outputs.get(port)
    known = made.output_digests.get(port)
    return Resolved(status, value, known or value_digest(value), (made.id,), blocker=blocker)


def _workflow_output(
    state: ProjectState, upstream: Instance, element: Element, port: str, *, take: Take
) -> Resolved:
    binding = element.evaluation.outputs.get(port) if element.evaluation else None
    unset = element.current and (binding is None or binding.declared is None)
    blocker = blocker_of(state, upstream, element)
    if unset:
        blocker = f"{blocker}, which ended without setting {port}"
    if take == "streaming" and not element.current and binding is not None:
        source = binding.declared or binding.effective
        streamed = resolve(state, source, take=take) if source else Resolved("waiting")
        return msgspec.structs.replace(streamed, provisional=True)
    if binding is None or binding.effective is None:
        return Resolved("waiting", blocker=blocker)
    found = resolve(state, binding.effective, take=take)
    tolerated = settled_failures(element)
    if tolerated and found.status in ("current", "stale"):
        found = msgspec.structs.replace(found, left_out=(*found.left_out, *tolerated))
    if take == "latest" or (element.current and not unset):
        return found
    if found.status == "hole":
        return Resolved("waiting", blocker=blocker)
    if found.status != "current":
        return found
    return msgspec.structs.replace(found, status="stale", blocker=blocker)


def _mapped_output(state: ProjectState, upstream: Instance, port: str, *, take: Take) -> Resolved:
    eids = upstream.eids
    if eids is None:
        return Resolved("waiting", blocker=upstream.shape_problem or upstream.path)
    if take == "current" and upstream.not_current:
        waiting = next((e for e in upstream.listed() if not (e.current or e.hole)), None)
        if waiting is not None and waiting.success is None:
            return Resolved("waiting", blocker=blocker_of(state, upstream, waiting))
    parts = [_output(state, upstream, eid, port, take=take) for eid in eids]
    names = [f"{upstream.path}[{i}]" for i in range(len(eids))]

    def why(index: int) -> str:
        return absence(state, upstream, upstream.elements.get(eids[index]))

    return gathered(parts, names, take=take, why=why)


def gathered(
    parts: Iterable[Resolved],
    names: Sequence[str],
    *,
    take: Take,
    why: Callable[[int], str] = str,
) -> Resolved:
    """A list from its parts: holes are dropped and noted; what moves takes what is there.

    ``why`` says why a part is not there, by its position.
    """
    values: list[Any] = []
    digests: list[str] = []
    origins: list[str] = []
    left_out: list[str] = []
    stale, provisional = "", False
    for index, (part, name) in enumerate(zip(parts, names, strict=True)):
        if part.status == "hole":
            left_out.append(f"{name}: {why(index)}")
        elif part.status == "waiting":
            if take == "current":
                return part
            provisional = take == "streaming"
            left_out.append(f"{name}: {why(index)}")
        else:
            left_out.extend(part.left_out)
            stale = stale or (part.blocker or name if part.status == "stale" else "")
            values.append(part.value)
            digests.append(part.digest)
            origins.extend(part.origins)
            provisional = provisional or part.provisional
    if take != "current" and not values and left_out:
        return Resolved("waiting", blocker="a first element")
    status: Status = "stale" if stale else "current"
    digest, left = list_digest(digests), tuple(left_out)
    return Resolved(status, values, digest, tuple(origins), left, stale, provisional)


def _collect(state: ProjectState, source: Collect, *, take: Take) -> Resolved:
    if source.late:
        return _late(state, source) if take == "latest" else Resolved("waiting", blocker=LATE)
    if source.decided and take != "latest":
        return _decided(state, source)
    if take == "current":
        blocked = _blocked(state, source.items)
        if blocked is not None:
            return blocked
    return _parts(state, source.items, _item_names(state, source), take=take)


def _parts(
    state: ProjectState, items: Sequence[Item], names: Sequence[str], *, take: Take
) -> Resolved:
    parts = [resolve(state, item.source, take=take) for item in items]
    return gathered(
        parts, names, take=take, why=lambda index: source_absence(state, items[index].source)
    )


def _decided(state: ProjectState, source: Collect) -> Resolved:
    decision = decision_of(state, source)
    if decision is None:
        return Resolved("waiting", blocker=UNDECIDED)
    chosen = set(decision.chosen)
    named = list(zip(source.items, _item_names(state, source), strict=True))
    kept = [(item, name) for item, name in named if item.eid in chosen]
    rest = tuple(
        f"{name}: {_why_left_out(state, decision, item)}"
        for item, name in named
        if item.eid not in chosen
    )
    found = _parts(state, [item for item, _ in kept], [name for _, name in kept], take="current")
    return msgspec.structs.replace(found, left_out=(*found.left_out, *rest))


def _why_left_out(state: ProjectState, decision: Decision, item: Item) -> str:
    failed = (decision.outcome or {}).get(item.eid)
    if failed is not None:
        return f"failed: {reason_of(failed)}"
    return f"not among the first {len(decision.chosen)} ({source_absence(state, item.source)})"


def _late(state: ProjectState, source: Collect) -> Resolved:
    decision = decision_of(state, source)
    if decision is None:
        return Resolved("waiting", blocker=UNDECIDED)
    chosen = set(decision.chosen)
    left = [item for item in source.items if item.eid not in chosen]
    found = [resolve(state, item.source) for item in left]
    parts = [part for part in found if part.status == "current"]
    return gathered(parts, [""] * len(parts), take="current")


def _item_names(state: ProjectState, source: Collect) -> list[str]:
    return [item_name(state, item.source, position) for position, item in enumerate(source.items)]


def _blocked(state: ProjectState, items: tuple[Item, ...]) -> Resolved | None:
    """What keeps a list from being whole, if an element that kept it so last still does, or ...

    The search goes down from there, so that a list that grows by thousands of results is gone
    through once, not at each of them. Work is begun in order: the last is mostly the last to end.
    """
    known, place = state.behind.get(id(items), (items, len(items) - 1))
    place = place if known is items else len(items) - 1
    found = None
    while place >= 0 and found is None:
        source = items[place].source
        part = resolve(state, source) if isinstance(source, OutRef) else None
        found = part if part is not None and part.status == "waiting" else None
        place -= found is None
    if place < 0:
        state.behind.pop(id(items), None)
    elif len(items) > 1:
        while len(state.behind) > MOST_BEHIND:
            del state.behind[next(iter(state.behind))]
        state.behind[id(items)] = items, place
    return found


def decision_of(state: ProjectState, source: Collect) -> Decision | None:
    """The decision of a list that is complete with ``at_least`` elements."""
    if source.owner is None or source.decision is None:
        return None
    owner = state.instances.get(source.owner[0])
    element = owner.elements.get(source.owner[1]) if owner else None
    if element is None or element.evaluation is None:
        return None
    return element.evaluation.decisions.get(source.decision)


def so_far(state: ProjectState, element: Element) -> Activation | None:
    """The activation that has the element's provisional version, if there is one."""
    running = state.activations[element.open] if element.open else None
    if running is not None and running.partial is not None:
        return running
    if element.partial is not None and element.provisional and element.ready:
        return state.activations[element.partial]
    return None
