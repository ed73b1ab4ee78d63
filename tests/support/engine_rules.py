"""What must hold of every project after every step, whatever happened to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

from copernicus.engine.currency import inputs_of
from copernicus.engine.indexes import below
from copernicus.engine.instances import Activation, Element, Instance
from copernicus.engine.provisional import streamed_ports
from copernicus.engine.resolve import Take, resolve
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import blocked, frozen_before, unwanted
from copernicus.model import events as ev
from copernicus.model.evaluation import Await
from copernicus.model.functions import FunctionSpec, Port
from copernicus.model.network import OutRef
from copernicus.model.resources import ProgramNeed
from copernicus.model.types import AnyType, IntType, ListType
from support.world import World, task_spec

TASKS = (
    task_spec("m.one", "x"),
    task_spec("m.two", "x z"),
    task_spec("m.pool", [Port("xs", ListType(AnyType()))]),
    task_spec("m.stops", [Port("x", AnyType(), on_change="cancel")]),
    task_spec("m.long", [Port("x", AnyType()), Port("n", IntType(), on_change="extend")]),
)
# What only the storms have: a list of what moves, results that are used again, program functions.
PROGRAMS = (
    task_spec("m.table", [Port("xs", ListType(AnyType()), streaming=True)]),
    task_spec("m.cached", "x", cache=True),
    FunctionSpec(
        name="m.prog",
        version="1",
        kind="program",
        inputs=(Port("x", AnyType()),),
        outputs=(Port("y", AnyType()),),
        module="test",
        entry="test:prog",
        program=ProgramNeed("prog", ">=1"),
    ),
)
NAMES = ("a", "b", "c", "d", "e", "f")
WORKFLOWS = (
    *("ad", "out", "tol", "rac", "two", "joi", "ref", "con", "later", "nes", "end"),
    *("quo", "for", "pee", "gen", "asy", "ord"),
)
BEHIND = ("fol", "new", "sin", "fed", "wat", "tab")


def compute(function: str, inputs: dict[str, Any]) -> Any:
    """Every task is a pure function of its inputs; models give short lists of small numbers."""
    if function == "m.model":
        return {"seeds": [(crc32(repr(inputs["xs"]).encode()) + i) % 5 for i in range(2)]}
    return {"y": [function, [list(pair) for pair in sorted(inputs.items())]]}


def _elements(state: ProjectState) -> Iterator[tuple[Instance, Element]]:
    for instance in state.instances.values():
        for element in instance.listed():
            yield instance, element


def _may_go_on(state: ProjectState, instance: Instance) -> bool:
    return not (state.paused or unwanted(state, instance) or blocked(state, instance))


def _queue_is_full(state: ProjectState, instance: Instance) -> bool:
    """Whether what wants to fire waits for a place in the queue (9.2)."""
    limit = state.budget.queued
    works = state.spec(instance).kind != "workflow"
    return works and limit is not None and state.jobs_open >= limit


def one_open_activation_each(world: World) -> None:
    state = world.state
    known = {e.open for i in state.instances.values() for e in i.elements.values() if e.open}
    open_now = {a.id for a in state.activations.values() if not a.outcome}
    assert open_now == known
    with_jobs = {a for a in open_now if state.activations[a].job is not None}
    assert with_jobs == set(world.queue)


def nothing_that_could_fire_is_idle(state: ProjectState) -> None:
    for instance, element in _elements(state):
        if element.open or not element.ready or element.hole or element.skip is not None:
            continue
        if not _may_go_on(state, instance) or _queue_is_full(state, instance):
            continue
        assert not element.retry
        ends = [element.success, element.ended]
        digests = {state.activations[a].digest for a in ends if a}
        assert element.digest in digests, (instance.path, element.eid)


def no_evaluation_is_left_behind(state: ProjectState) -> None:
    """What can be answered is answered, what has moved is replayed, nothing runs unseen."""
    for instance, element in _elements(state):
        evaluation = element.evaluation
        if evaluation is None or not element.ready or element.hole:
            continue
        if not _may_go_on(state, instance) or evaluation.departure is not None:
            continue
        assert not evaluation.moved, instance.path
        if not evaluation.live:
            continue
        assert element.open == evaluation.activation, instance.path
        for branch in evaluation.branches.values():
            waits = branch.waits
            if waits is None or waits.kind in ("branch", "settle", "first"):
                assert not branch.running, (instance.path, branch.key)
                continue
            if frozen_before(element, branch.key, len(branch.segments)):
                continue
            assert not _answerable(state, waits), (instance.path, branch.key)


def _answerable(state: ProjectState, waits: Await) -> bool:
    moving = {"latest": "latest", "peek": "streaming"}.get(waits.kind)
    take: Take = moving or "current"  # type: ignore[assignment]
    there = ("current", "stale") if moving else ("current",)
    return all(resolve(state, source, take=take).status in there for source in waits.sources)


def what_is_taken_is_streamed(world: World) -> None:
    """Whoever takes what a running job has so far is told of it (2.2)."""
    for made in world.state.activations.values():
        if made.id in world.queue:
            wanted = streamed_ports(world.state, world.state.instances[made.path])
            assert set(wanted) <= set(world.streams.get(made.id, ())), (made.id, wanted)


def nothing_provisional_outlives_its_inputs(state: ProjectState) -> None:
    """What was made of what a job had so far ends with that (2.2)."""
    for instance, element in _elements(state):
        if not _may_go_on(state, instance) or element.skip is not None:
            continue
        if not (element.provisional and element.ready):
            assert element.partial is None, (instance.path, element.eid)
            made = state.activations[element.open] if element.open else None
            assert made is None or not made.provisional, (instance.path, element.eid)


def waits_for_an_upgrade(state: ProjectState) -> list[str]:
    """The instances whose evaluation waits for a user's word about other code."""
    return [
        instance.path
        for instance, element in _elements(state)
        if element.evaluation is not None and element.evaluation.departure is not None
    ]


def current_outputs_are_what_their_functions_give(state: ProjectState) -> None:
    for instance, element in _elements(state):
        spec = state.spec(instance)
        if not element.current or spec.kind == "workflow":
            continue
        assert element.success is not None
        made = state.activations[element.success]
        found = inputs_of(state, instance, spec, element.eid)
        present = {name: one.value for name, one in found.items()}
        latest = {p.name for p in spec.inputs if p.latest}
        assert all(made.inputs[n] == v for n, v in present.items() if n not in latest)
        assert made.outputs == compute(spec.name, made.inputs)


def what_is_current_rests(state: ProjectState) -> None:
    """Nothing current is being made again, or is made of what is not current (1.2)."""
    for instance, element in _elements(state):
        if not element.current:
            continue
        assert element.open is None, (instance.path, element.eid)
        assert element.ready, (instance.path, element.eid)
        spec = state.spec(instance)
        for name, one in inputs_of(state, instance, spec, element.eid).items():
            left_out = one.status == "hole" and not spec.input(name).required
            assert one.status == "current" or left_out, (instance.path, name, one.status)


def nothing_stale_led_to(state: ProjectState, answered: ev.AwaitAnswered) -> None:
    """A branch that got a stale answer is answered no more (4.3)."""
    evaluation = state.instances[answered.path].elements[answered.eid].evaluation
    if evaluation is not None and evaluation.number == answered.number:
        earlier = {(answered.branch, index) for index in range(answered.index)}
        assert evaluation.stale.isdisjoint(earlier), (answered.path, answered.branch)


def only_what_was_passed_is_retired(state: ProjectState, path: str) -> None:
    """No key is retired that its branch may still come to (4.5)."""
    instance = state.instances.get(path)
    if instance is None or instance.owner is None or not instance.retired:
        return
    evaluation = state.instances[instance.owner.path].elements[instance.owner.eid].evaluation
    assert evaluation is not None
    branch = evaluation.branches.get(instance.owner.branch)
    if branch is not None and evaluation.live:
        assert branch.ended or len(branch.segments) > instance.owner.segment, path


def every_output_has_a_trace(state: ProjectState) -> None:
    """Down to what was set by hand, every value has the activations that it came from."""
    for made in state.activations.values():
        if made.outputs:
            _check_origins(state, made)
    for instance, element in _elements(state):
        if element.evaluation is None or not element.current:
            continue
        for port, binding in element.evaluation.outputs.items():
            if isinstance(binding.effective, OutRef):
                found = resolve(state, OutRef(instance.path, port, element.eid or None))
                assert found.status == "hole" or found.origins or found.value in ([], None)


def _check_origins(state: ProjectState, made: Activation) -> None:
    for port, origins in made.origins.items():
        parts = list(_parts(made.inputs[port]))
        for origin in origins:
            source = state.activations[origin]
            assert source.number < made.number
            assert any(_holds(source.outputs, part) for part in parts), (made.id, port, origin)


def _parts(value: Any) -> Iterator[Any]:
    yield value
    for inner in value if isinstance(value, list) else ():
        yield from _parts(inner)


def _holds(whole: Any, part: Any) -> bool:
    if whole == part:
        return True
    inner = whole.values() if isinstance(whole, dict) else whole if isinstance(whole, list) else ()
    return any(_holds(one, part) for one in inner)


def all_is_done(world: World) -> None:
    """After a time without edits everything that is wanted is done."""
    state = world.state
    assert not world.queue
    for instance, element in _elements(state):
        if not element.ready or element.hole or unwanted(state, instance):
            continue
        over = element.current or blocked(state, instance) or broke(state, instance.path)
        # What it takes is not whole, and whoever gives it has been judged by itself.
        over = over or element.provisional
        waits = _waits_for_a_version(state, instance.path) or _hangs_on_a_pin(state, instance.path)
        assert over or waits, instance.path


def _hangs_on_a_pin(state: ProjectState, path: str) -> bool:
    """Whether an input inside was connected, by hand, to something that has no value."""
    return any(
        resolve(state, source).status != "current"
        for at in below(state, path)
        for port, source in state.instances[at].inputs.items()
        if port in state.instances[at].pinned
    )


def _waits_for_a_version(state: ProjectState, path: str) -> bool:
    """Whether the newest of something is awaited, here or inside, that was skipped at once."""
    return any(
        branch.waits is not None and branch.waits.kind in ("latest", "peek")
        for at in below(state, path)
        for element in state.instances[at].elements.values()
        if element.evaluation is not None
        for branch in element.evaluation.branches.values()
    )


def broke(state: ProjectState, path: str) -> bool:
    """Whether an evaluation failed here or inside: an await of a hole, mostly."""
    return any(
        element.evaluation is not None and element.evaluation.failure is not None
        for at in below(state, path)
        for element in state.instances[at].elements.values()
    )


OF_EVERY_STATE = (
    nothing_that_could_fire_is_idle,
    no_evaluation_is_left_behind,
    current_outputs_are_what_their_functions_give,
    what_is_current_rests,
    every_output_has_a_trace,
    nothing_provisional_outlives_its_inputs,
)
