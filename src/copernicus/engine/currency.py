"""Keeps the derived fields: which elements exist, which are ready, current, holes.

``refresh`` works the marks of ``state.dirty`` off until nothing changes, and leaves in
``state.candidates`` the elements about which something may have to be decided. Currency is
settled completely before anything fires, so a diamond sees consistent inputs (case 1a).
"""

from __future__ import annotations

from copernicus.engine import standing
from copernicus.engine.absence import failed_activation
from copernicus.engine.digests import inputs_digest
from copernicus.engine.instances import Element, Instance
from copernicus.engine.resolve import Resolved, resolve, resolve_input, shape, so_far, taken_by
from copernicus.engine.sharing import as_kept
from copernicus.engine.state import ProjectState
from copernicus.engine.telling import added, notify, touch
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.network import Collect, Literal, OutRef, Source

PROVISIONAL = "~provisional"
# What lets the inside of a workflow element fire, and what else others are shown.
_WANTED, _HOLE, _READY, _RETIRED, _CURRENT, _FAILED = (1 << bit for bit in range(6))
_GATES = _WANTED + _HOLE + _READY + _RETIRED


def refresh(state: ProjectState) -> None:
    """Bring every derived field up to date."""
    while state.dirty or state.opened:
        if state.dirty:
            path = next(iter(state.dirty))
            marked = state.dirty.pop(path)
            instance = state.instances.get(path)
            if instance is not None:
                _refresh_instance(state, instance, marked)
            continue
        path, eids = state.opened.popitem()
        if path in state.instances:
            _refresh_opened(state, state.instances[path], eids)


def _refresh_opened(state: ProjectState, instance: Instance, eids: set[str]) -> None:
    """Elements are at work on the inputs that they have: these are not read again."""
    spec = state.spec(instance)
    whole_before = instance.not_current == 0
    known = [instance.elements[eid] for eid in eids if eid in instance.elements]
    changed = [
        one.eid
        for one in known
        if _settle(state, instance, spec, one, was_whole=one.current or one.hole)
    ]
    if changed:
        notify(state, instance, changed, whole_before or instance.not_current == 0)


def _refresh_instance(state: ProjectState, instance: Instance, marked: set[str] | None) -> None:
    reshaped = False
    if marked is None:
        instance.taken.clear()
    if marked is not None and not all(_is_listed(instance, eid) for eid in marked):
        marked, reshaped = _grow(state, instance, marked)
    if marked is None:
        reshaped = _reshape(state, instance) or reshaped
        eids = [eid for eid, e in instance.elements.items() if e.wanted or e.has_facts()]
    else:
        eids = [eid for eid in marked if eid in instance.elements]
    spec = state.spec(instance)
    whole_before = instance.not_current == 0 and not reshaped
    shared = _shared_inputs(state, instance, spec)
    state.consider(instance.path, eids)
    changed = [eid for eid in eids if _refresh_element(state, instance, spec, eid, shared)]
    if marked is None:
        instance.not_current = sum(not (e.current or e.hole) for e in instance.listed())
    if changed or reshaped:
        notify(state, instance, changed, reshaped or whole_before or instance.not_current == 0)


def _is_listed(instance: Instance, eid: str) -> bool:
    """Whether an element is in the list already; one that was taken out may be back in it."""
    element = instance.elements.get(eid)
    return element is not None and element.wanted


def _grow(
    state: ProjectState, instance: Instance, marked: set[str]
) -> tuple[set[str] | None, bool]:
    """What to look at (``None``: everything) if there are elements now that there were not."""
    before = instance.eids
    if not _reshape(state, instance):
        return marked, False
    after = instance.eids
    new = added(before, after)
    if new is None:
        return None, True
    instance.not_current += len(new)
    return marked.union(new), True


def _reshape(state: ProjectState, instance: Instance) -> bool:
    eids, problem = _element_ids(state, instance)
    instance.shape_problem = problem
    if eids == instance.eids:
        return False
    before = instance.eids or ()
    new = added(before, eids)
    if new is None:
        new = eids or ()
        for eid in set(before).difference(new):
            _leave(instance.elements[eid])
            standing.drop(instance, instance.elements[eid])
    instance.take_shape(eids)
    for eid in new:
        instance.element(eid).wanted = True
    if before and instance.path in state.children:
        touch(state, instance.path)
    return True


def _leave(element: Element) -> None:
    """Out of the list it gives nothing, also if nothing was ever recorded about it."""
    element.wanted = element.ready = element.hole = element.current = False


def _element_ids(state: ProjectState, instance: Instance) -> tuple[tuple[str, ...] | None, str]:
    if not instance.mapped:
        return ("",), ""
    shapes = []
    for port in instance.mapped:
        source = instance.inputs.get(port)
        if source is None:
            return None, f"input {port} is not set"
        known = shape(state, source)
        if known is None:
            return None, resolve(state, source).blocker or f"the list at {port}"
        shapes.append((port, known))
    instance.parts = dict(shapes)
    if len(shapes) == 1:
        return shapes[0][1], ""
    lengths = {len(known) for _, known in shapes}
    if len(lengths) > 1:
        told = ", ".join(f"{port} has {len(known)}" for port, known in shapes)
        return None, f"lists of equal length: {told}"
    return tuple(zipped(parts) for parts in zip(*(k for _, k in shapes), strict=True)), ""


def zipped(parts: tuple[str, ...]) -> str:
    """The identity of what is made of one element of each list."""
    return parts[0] if len(set(parts)) == 1 else "|".join(parts)


def _shared_inputs(
    state: ProjectState, instance: Instance, spec: FunctionSpec
) -> dict[str, Resolved]:
    for port in spec.inputs:
        if port.name in instance.mapped:
            _take_whole(state, instance, port)
    ports = (port for port in spec.inputs if port.name not in instance.mapped)
    return {port.name: _take(state, instance, port) for port in ports}


def _take(state: ProjectState, instance: Instance, port: Port) -> Resolved:
    """What an instance takes at a port that is not mapped; kept until the whole is marked.

    A workflow is looked at whenever a call inside it ends, a mapped instance whenever an element
    does: a list of thousands is not to be gone through each time.
    """
    source = instance.inputs.get(port.name)
    known = instance.taken.get(port.name)
    found = resolve_input(state, instance, port, "")
    if source is not None and not (known is not None and known[1] is found):
        _keep(instance, port, source, found)
    return found


def _take_whole(state: ProjectState, instance: Instance, port: Port) -> None:
    """Keep a list that is made as a whole, and taken by elements."""
    source = instance.inputs.get(port.name)
    if not isinstance(source, OutRef) or port.name in instance.taken:
        return
    upstream = state.instances.get(source.path)
    if upstream is not None and not (upstream.mapped and source.element is None):
        _keep(instance, port, source, resolve(state, source))


def _keep(instance: Instance, port: Port, source: Source, found: Resolved) -> None:
    lasting = found.status == "current" and not found.left_out and taken_by(port) == "current"
    if lasting and _tells_changes(source):
        instance.taken[port.name] = source, found


def _tells_changes(source: Source) -> bool:
    """Whether all that a source refers to marks those who take it whenever it changes."""
    if isinstance(source, Collect):
        return source.decision is None and all(_tells_changes(i.source) for i in source.items)
    return isinstance(source, OutRef | Literal)


def inputs_of(
    state: ProjectState,
    instance: Instance,
    spec: FunctionSpec,
    eid: str,
    shared: dict[str, Resolved] | None = None,
) -> dict[str, Resolved]:
    """What an element takes at each port now."""
    known = shared or {}
    return {
        port.name: known.get(port.name) or resolve_input(state, instance, port, eid)
        for port in spec.inputs
    }


def _refresh_element(
    state: ProjectState,
    instance: Instance,
    spec: FunctionSpec,
    eid: str,
    shared: dict[str, Resolved],
) -> bool:
    element = instance.elements[eid]
    was_whole = element.current or element.hole
    if element.wanted:
        _read_inputs(state, element, spec, inputs_of(state, instance, spec, eid, shared))
    else:
        element.ready, element.blocker = False, "its place in the list"
    element.hole = element.wanted and (element.hole or _skipped(element))
    return _settle(state, instance, spec, element, was_whole=was_whole)


def _settle(
    state: ProjectState,
    instance: Instance,
    spec: FunctionSpec,
    element: Element,
    *,
    was_whole: bool,
) -> bool:
    """Find out whether an element with these inputs is current; whether others see a change."""
    element.current = element.wanted and element.ready and _is_current(state, spec, element)
    if element.wanted:
        instance.not_current += int(was_whole) - int(element.current or element.hole)
    standing.note(state, instance, element)
    return _note_shown(state, instance, spec, element)


def _note_shown(
    state: ProjectState, instance: Instance, spec: FunctionSpec, element: Element
) -> bool:
    """Keep what others are shown of an element; whether it is anything else than before."""
    gates = (
        _WANTED * element.wanted
        + _HOLE * element.hole
        + _READY * element.ready
        + _RETIRED * instance.retired
    )
    failed = failed_activation(state, element) is not None
    flags = gates + _CURRENT * element.current + _FAILED * failed
    more = (*_bound(spec, element), *_made_so_far(state, element))
    opened = element.shown & _GATES != gates or element.shown_digest != element.digest
    changed = opened or (element.shown, element.shown_success) != (flags, element.success)
    changed = changed or element.shown_more != more
    if opened and element.evaluation is not None:
        for child in state.children.get(instance.path, ()):
            touch(state, child)
    element.shown, element.shown_success = flags, element.success
    element.shown_digest, element.shown_more = element.digest, more
    return changed


def _made_so_far(state: ProjectState, element: Element) -> tuple[object, ...]:
    made = so_far(state, element)
    return (made.id, *made.partial_digests.items()) if made is not None else ()


def _bound(spec: FunctionSpec, element: Element) -> tuple[object, ...]:
    if spec.kind != "workflow" or element.evaluation is None:
        return ()
    return tuple(binding.effective for binding in element.evaluation.outputs.values())


def _skipped(element: Element) -> bool:
    if element.skip is None or element.retry:
        return False
    return not element.ready or element.skip == element.digest


def _read_inputs(
    state: ProjectState, element: Element, spec: FunctionSpec, inputs: dict[str, Resolved]
) -> None:
    element.ready, element.hole, element.blocker = True, False, ""
    element.provisional = False
    moving = {port.name for port in spec.inputs if port.latest}
    digests: dict[str, str] = {}
    for port in spec.inputs:
        found = inputs[port.name]
        if found.status == "current":
            digests[port.name] = found.digest
            element.provisional = element.provisional or found.provisional
        elif found.status == "hole" and not _optional(port):
            element.hole = True
            element.ready = False
        elif found.status == "hole":
            digests[port.name] = ""
        else:
            element.ready = False
            element.blocker = element.blocker or found.blocker
    if element.hole:
        element.blocker = ""
    if element.ready:
        if element.provisional:
            digests[PROVISIONAL] = "1"
        element.digest = as_kept(state, element, inputs_digest(digests))
        strict = {n: d for n, d in digests.items() if n not in moving}
        element.strict_digest = (
            element.digest if len(strict) == len(digests) else inputs_digest(strict)
        )


def _optional(port: Port) -> bool:
    return not port.required


def _is_current(state: ProjectState, spec: FunctionSpec, element: Element) -> bool:
    if element.success is None or element.open is not None:
        return False
    made = state.activations[element.success]
    if (made.strict_digest or made.digest) != element.strict_digest:
        return False
    if spec.kind != "workflow":
        return True
    evaluation = element.evaluation
    if evaluation is None or not evaluation.ended or evaluation.stale:
        return False
    return all(
        binding.declared == binding.effective
        and resolve(state, binding.declared).status in ("current", "hole")
        for binding in evaluation.outputs.values()
        if binding.declared is not None
    )
