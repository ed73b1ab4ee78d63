"""When an element fires, what a change does to work under way, how an activation ends.

SEMANTICS 1.3, 1.4, 3.3, 7.1 to 7.3.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from copernicus.engine.absence import element_name
from copernicus.engine.budget import must_wait
from copernicus.engine.currency import PROVISIONAL, inputs_of
from copernicus.engine.decisions import decide_lists
from copernicus.engine.digests import inputs_digest, value_digest
from copernicus.engine.earlier import lineage_at, success_at
from copernicus.engine.instances import Activation, Element, Instance
from copernicus.engine.provisional import end_outdated
from copernicus.engine.resolve import Resolved
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import Step, blocked, unwanted
from copernicus.errors import CopernicusError
from copernicus.model import events as ev
from copernicus.model.empty import NOTHING
from copernicus.model.functions import FunctionSpec, departure
from copernicus.model.jobs import Command, Failure, JobSpec, TaskCall
from copernicus.model.resources import ProgramNeed
from copernicus.model.templates import render
from copernicus.model.types import check
from copernicus.model.values import digest as plain_digest


def fire_candidates(step: Step) -> None:
    """Look at every element about which something may have to be decided, in a fixed order."""
    state = step.state
    by_path, state.candidates = state.candidates, {}
    known = [state.instances[path] for path in by_path if path in state.instances]
    for instance in sorted(known, key=lambda i: i.order):
        for eid in _in_order(instance, by_path[instance.path]):
            if eid in instance.elements:
                _decide_element(step, instance, instance.elements[eid])


def _in_order(instance: Instance, eids: set[str]) -> list[str]:
    """As in the list, then what is not in it any more."""
    if len(eids) == 1:
        return list(eids)
    places = instance.all_places()
    inside = sorted(filter(places.__contains__, eids), key=places.__getitem__)
    return inside if len(inside) == len(eids) else inside + sorted(eids.difference(inside))


def _decide_element(step: Step, instance: Instance, element: Element) -> None:
    state = step.state
    if not element.wanted or unwanted(state, instance):
        _stop_unwanted(step, instance, element)
        return
    if state.paused:
        return
    if element.skip is not None and _decide_skip(step, instance, element):
        return
    end_outdated(step, element)
    if blocked(state, instance):
        return
    if element.hole or not element.ready:
        decide_lists(step, instance)
        return
    if element.open is not None:
        _input_changed(step, instance, element, state.activations[element.open])
    elif wants_to_fire(state, element) and not must_wait(step, instance, element):
        _fire_or_reuse(step, instance, element)


def _stop_unwanted(step: Step, instance: Instance, element: Element) -> None:
    if element.open is not None and step.state.spec(instance).kind != "workflow":
        step.emit(ev.ActivationEnded(element.open, "stopped"))


def _decide_skip(step: Step, instance: Instance, element: Element) -> bool:
    changed = element.ready and element.skip != element.digest
    if changed or element.retry:
        step.emit(ev.SkipEnded(instance.path, element.eid))
        return False
    if element.open is not None:
        step.emit(ev.ActivationEnded(element.open, "stopped"))
    return True


def wants_to_fire(state: ProjectState, element: Element) -> bool:
    """Whether an element that is ready, and has no work under way, has not run on its inputs."""
    if element.retry or element.replay:
        return True
    if element.evaluation is not None and element.evaluation.failure is None:
        evaluated = state.activations[element.evaluation.activation]
        return evaluated.digest != element.digest or evaluated.outcome == "stopped"
    done = state.activations[element.success] if element.success else None
    if done is not None and done.digest == element.digest:
        return False
    ended = state.activations[element.ended] if element.ended else None
    if ended is None or ended.digest != element.digest:
        return True
    if ended.provisional:
        # What it gave was withdrawn with the attempt that its inputs came from.
        return ended.outcome == "succeeded" and element.partial is None
    # A late result of other inputs has taken its place since: it is the last success again.
    return ended.outcome == "succeeded" and element.success != ended.id


def _fire_or_reuse(step: Step, instance: Instance, element: Element) -> None:
    state = step.state
    workflow = state.spec(instance).kind == "workflow"
    found = None if workflow or element.retry else success_at(state, element, element.digest)
    if found is not None:
        earlier = state.activations[found]
        late = earlier.outcome in ("stopped", "superseded")
        taken_back = state.reusing and earlier.version == instance.version
        overtaken = earlier.id == element.ended
        if late or taken_back or overtaken or state.spec(instance).extends:
            step.emit(ev.ActivationReused(instance.path, element.eid, earlier.id))
            return
    open_activation(step, instance, element)


def open_activation(
    step: Step, instance: Instance, element: Element, *, parent: str | None = None
) -> None:
    """Fire: an activation on the present inputs, and what follows from it at once."""
    state = step.state
    spec = state.spec(instance)
    code = _present_code(step, spec)
    anew = element.retry or element.replay
    found = inputs_of(state, instance, spec, element.eid)
    extends = spec.extends
    base = _base_digest(extends, element, found)
    activation = f"a{state.next_activation}"
    lineage = lineage_at(state, element, base) or activation
    done = state.activations[element.success] if element.success else None
    if element.retry and done is not None and done.digest == element.digest:
        lineage = activation
    elif parent is None and extends and done is not None and done.base_digest == base:
        parent = done.id
    step.emit(
        ev.ActivationOpened(
            id=activation,
            path=instance.path,
            incarnation=instance.incarnation,
            eid=element.eid,
            version=code.version,
            inputs={p.name: p.default for p in code.inputs if p.name not in found}
            | {name: one.value for name, one in found.items()},
            digest=element.digest,
            base_digest=base,
            lineage=lineage,
            strict_digest=element.strict_digest,
            origins={n: one.origins for n, one in found.items() if one.origins} or NOTHING,
            left_out={n: one.left_out for n, one in found.items() if one.left_out} or NOTHING,
            parent=parent,
            provisional=element.provisional,
        )
    )
    made = state.activations[activation]
    earlier = None if anew else reusable(state, instance.function, code, made.digest)
    if earlier is not None:
        step.emit(
            ev.ActivationEnded(made.id, "succeeded", outputs=earlier.outputs, reused=earlier.id)
        )
        return
    _begin(step, instance, element, code, made)


def _base_digest(extends: frozenset[str], element: Element, found: dict[str, Resolved]) -> str:
    """The digest of the inputs less the ports that extend: mostly that of all of them."""
    if not (extends or element.provisional) and all(
        one.status == "current" for one in found.values()
    ):
        return element.digest
    based_on = {n: r.digest for n, r in found.items() if n not in extends}
    if element.provisional:
        based_on[PROVISIONAL] = "1"
    return inputs_digest(based_on)


def reusable(
    state: ProjectState, function: str, code: FunctionSpec, digest: str
) -> Activation | None:
    """The result of an equal call, of a function that says so: same version, same inputs.

    The same version of a function asks for the same versions of its program, so that the version
    that made the result is one that might make it now.
    """
    if not code.cache:
        return None
    earlier = state.reusable.get((function, code.version, digest))
    return None if earlier is None else state.activations[earlier]


def _present_code(step: Step, placed: FunctionSpec) -> FunctionSpec:
    """The newest version that can be called as the placed one is: what is evaluated next uses it.

    The ports stay those of the placed one, so that a new module alone makes nothing stale.
    """
    newest = step.function(placed.name)
    if newest is None or newest.version == placed.version or departure(placed, newest):
        return placed
    step.know(newest)
    return newest


def _begin(
    step: Step, instance: Instance, element: Element, spec: FunctionSpec, made: Activation
) -> None:
    if spec.kind == "workflow":
        number = next_evaluation(step.state, instance, element)
        step.emit(ev.EvaluationStarted(instance.path, element.eid, number, made.id))
    elif spec.kind == "task":
        step.emit(ev.JobMade(made.id, job_spec(instance, spec, made, None)))
    elif spec.template is not None:
        try:
            command = render(spec.template, made.inputs, spec.inputs)
        except CopernicusError as error:
            fail(step, made.id, Failure(error.message, cause="definition"))
            return
        step.emit(ev.JobMade(made.id, job_spec(instance, spec, made, command)))


def next_evaluation(state: ProjectState, instance: Instance, element: Element) -> int:
    """A number that no evaluation at this path has had, of whichever instance it was (4.6)."""
    known = element.evaluation.number if element.evaluation else 0
    return max(known, state.fences.get(instance.path, 0)) + 1


def job_spec(
    instance: Instance, spec: FunctionSpec, made: Activation, command: Command | None
) -> JobSpec:
    """The job of an activation: its command or task call, and what it asks for."""
    name = element_name(instance, made.eid)
    asked = instance.resources or (command.resources if command else None) or spec.resources
    asks = instance.element(made.eid).asks
    asked = msgspec.structs.replace(asked, **asks) if asks else asked
    task = TaskCall(spec.entry, made.inputs) if spec.kind == "task" else None
    program = spec.program or _module_itself(spec.module, spec.version)
    # Not the path: checkpoints are found again after a rename.
    bound = plain_digest([made.lineage, made.incarnation, made.eid, spec.name, made.base_digest])
    return JobSpec(
        function=spec.name,
        function_version=spec.version,
        program=program,
        inputs_digest=made.digest,
        checkpoint_key=bound,
        command=command,
        task=task,
        resources=asked,
        job_errors=spec.retry.job_errors,
        worker_losses=spec.retry.worker_losses,
        memory_growths=spec.retry.memory_growths,
        backoff_s=spec.retry.backoff_s,
        troubles=spec.retry.troubles,
        backoff_max_s=spec.retry.backoff_max_s,
        permanent=spec.retry.permanent,
        transient=spec.retry.transient,
        label=name,
    )


@lru_cache(maxsize=256)
def _module_itself(module: str, version: str) -> ProgramNeed:
    return ProgramNeed(f"module/{module}", f"=={version}")


def fail(step: Step, activation: str, failure: Failure) -> None:
    """End an activation with a failure."""
    step.emit(ev.ActivationEnded(activation, "failed", failure=failure))


def _input_changed(step: Step, instance: Instance, element: Element, under_way: Activation) -> None:
    if under_way.digest == element.digest and not element.replay:
        return
    state = step.state
    spec = state.spec(instance)
    same = under_way.strict_digest == element.strict_digest
    if spec.kind == "workflow" and same and not element.replay:
        return
    policy = _policy(state, instance, spec, element, under_way)
    if policy == "extend":
        _extend(step, instance, element, under_way)
    elif policy == "cancel" or under_way.job is None:
        step.emit(ev.ActivationEnded(under_way.id, "stopped"))
    elif not under_way.replace:
        step.emit(ev.ReplacementWanted(under_way.id))


def _policy(
    state: ProjectState,
    instance: Instance,
    spec: FunctionSpec,
    element: Element,
    under_way: Activation,
) -> str:
    if spec.kind == "workflow":
        return "extend"
    found = inputs_of(state, instance, spec, element.eid)
    changed = {name for name, one in found.items() if _differs(one, under_way, name)}
    if changed and changed <= spec.extends:
        return "extend"
    return "cancel" if any(spec.input(name).on_change == "cancel" for name in changed) else "finish"


def _differs(found: Resolved, under_way: Activation, port: str) -> bool:
    present = value_digest(None) if found.status == "hole" else found.digest
    return present != value_digest(under_way.inputs.get(port))


def _extend(step: Step, instance: Instance, element: Element, under_way: Activation) -> None:
    successor = f"a{step.state.next_activation}"
    workflow = step.state.spec(instance).kind == "workflow"
    reuse = not workflow and success_at(step.state, element, element.digest) is not None
    step.emit(
        ev.ActivationEnded(
            under_way.id,
            "stopped" if reuse else "superseded",
            by=None if reuse else successor,
        )
    )
    if reuse:
        _fire_or_reuse(step, instance, element)
    else:
        open_activation(step, instance, element, parent=under_way.id)


def job_described(step: Step, made: Activation, command: Command) -> None:
    """A program function has been described: its job is known."""
    instance, spec = step.state.instances[made.path], step.state.spec_of(made)
    step.emit(ev.JobMade(made.id, job_spec(instance, spec, made, command)))


def checked_outputs(spec: FunctionSpec, outputs: dict[str, Any]) -> dict[str, Any]:
    """A job's outputs as the ports' types have them.

    Raises:
        BadValue: One is of another type, or one that is not optional is missing.
    """
    checked: dict[str, Any] = {}
    for port in spec.outputs:
        value = outputs.get(port.name)
        if value is None and not port.required:
            continue
        checked[port.name] = check(port.type, value, f"output {port.name} of {spec.name}")
    return checked
