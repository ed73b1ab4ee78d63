"""Which files of a project may go: those of results that nothing in it uses any more.

Used is what stands in the network: the last success and the last end of every element that is
wanted, whatever runs, what all of these had as inputs, and what evaluations were answered. The
files that a source names (a value set by hand or by a workflow function) are the caller's to name:
they are in the journal, for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from copernicus.engine.absence import element_name
from copernicus.engine.currency import refresh
from copernicus.engine.instances import Activation, Element, Evaluation, Instance
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import Step, unwanted
from copernicus.model import events as ev
from copernicus.model.jobs import StoredFile
from copernicus.model.network import Source
from copernicus.model.retention import Retention
from copernicus.model.values import File, files_in

CHECKPOINT = "(checkpoint)"
SERIES = "(series)"
DAY = 86_400.0
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True, slots=True)
class Going:
    """A file that goes: of which activation, and of which of its outputs."""

    file: File
    activation: str
    path: str
    function: str
    port: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What is known of files outside the network.

    ``is_named``: whether anything but results names a blob; ``is_gone``: whether it went already;
    ``lines``: what work that no job does now could go on from, by the key of its checkpoints.
    """

    is_named: Callable[[str], bool]
    is_gone: Callable[[str], bool]
    lines: Mapping[str, tuple[StoredFile, ...]]


@dataclass(slots=True)
class Plan:
    """What goes, each file once; ``activations`` lack a file then, ``waiting`` are not due yet.

    ``lines`` are the keys of checkpoints from which nothing goes on any more.
    """

    going: dict[str, Going] = field(default_factory=dict)
    activations: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    core_seconds: float = 0.0
    waiting: int = 0


def unused(state: ProjectState, kept: Kept) -> list[Activation]:
    """The activations whose results nothing uses any more, and that have files still."""
    used = set(_used(state))
    return [
        made
        for made in state.activations.values()
        if made.id not in used
        and made.outcome
        and any(not kept.is_gone(file.sha256) for _, file in _given(made, kept))
    ]


def plan(
    state: ProjectState, rules: Retention, since: Mapping[str, float], now: float, kept: Kept
) -> Plan:
    """What goes by the rules.

    ``since`` says when it was first seen of an activation that nothing uses it; others are not due.
    """
    found = Plan()
    if rules.keeps_everything:
        return found
    made_by: dict[str, list[Going]] = defaultdict(list)
    not_used = unused(state, kept)
    stay, lines = _in_use(state, not_used, kept), dict[str, None]()
    for made in not_used:
        waits = False
        for one in _going(state, made, kept):
            days = rules.days_of(one.function, one.port)
            if days is not None and made.id in since and since[made.id] + days * DAY <= now:
                made_by[one.file.sha256].append(one)
                lines[_line(made)] = None
            else:
                waits = waits or days is not None
                stay.update((one.file.sha256, _line(made) if one.port == CHECKPOINT else ""))
        found.waiting += waits
    gone = [one for name, one in made_by.items() if not (name in stay or kept.is_named(name))]
    found.going = {each[0].file.sha256: each[0] for each in gone}
    found.activations = tuple(dict.fromkeys(one.activation for each in gone for one in each))
    found.lines = tuple(key for key in lines if key in kept.lines and key not in stay)
    found.core_seconds = sum(_core_seconds(state.activations[one]) for one in found.activations)
    return found


def drop(state: ProjectState, planned: Plan, now: float) -> list[ev.Event]:
    """Record that these files are not kept any more."""
    step = Step(state, {})
    files = {sha256: one.file.size for sha256, one in planned.going.items()}
    step.emit(ev.FilesDropped(planned.activations, files, now))
    refresh(state)
    return step.events


def dropped_file(state: ProjectState, sha256: str) -> Going | None:
    """Of a file that is gone: what had made it."""
    nothing = Kept(lambda _: False, lambda _: False, {})
    for made in state.activations.values():
        for one in _going(state, made, nothing) if made.dropped else ():
            if one.file.sha256 == sha256:
                return one
    return None


def _going(state: ProjectState, made: Activation, kept: Kept) -> Iterator[Going]:
    keeper = state.keeper(made)
    path = element_name(keeper, made.eid) if keeper else made.path
    function = keeper.function if keeper else (made.job.function if made.job else "")
    for port, file in _given(made, kept):
        if not kept.is_gone(file.sha256):
            yield Going(file, made.id, path, function, port)


def _used(state: ProjectState) -> Iterator[str]:
    standing = _standing(state)
    for path, instance in state.instances.items():
        for element in instance.elements.values():
            yield from _of(element, all_of_it=path in standing and element.wanted)
            if path not in standing and state.spec(instance).kind == "workflow" and element.success:
                # What an evaluation gave is bound by it, not made: it cannot be made anew alone.
                yield element.success
    for members in state.removed.values():
        for instance in members.values():
            for element in instance.elements.values():
                yield from _of(element, all_of_it=False)
    yield from state.cancelling
    yield from state.discarding


def _of(element: Element, *, all_of_it: bool) -> Iterator[str]:
    stands = (element.success, element.ended, element.partial) if all_of_it else ()
    yield from (name for name in (element.open, *stands) if name)


def _standing(state: ProjectState) -> set[str]:
    """The instances that are wanted, and those that these follow nevertheless."""
    found = {path for path, instance in state.instances.items() if not unwanted(state, instance)}
    followed: set[str] = set()
    for path in found:
        instance = state.instances[path]
        for source in (*instance.inputs.values(), *_bound(instance)):
            followed.update(state.upstream(source))
    return found | followed


def _bound(instance: Instance) -> Iterator[Source]:
    for element in instance.elements.values():
        for binding in element.evaluation.outputs.values() if element.evaluation else ():
            yield from (one for one in (binding.effective, binding.declared) if one is not None)


def _in_use(state: ProjectState, not_used: Sequence[Activation], kept: Kept) -> set[str]:
    """The files, and the keys of checkpoints, of all that is used."""
    found: set[str] = set()
    others = {made.id for made in not_used}
    for name in dict.fromkeys(_used(state)):
        made = state.activations.get(name)
        if made is not None:
            found.update(file.sha256 for file in files_in(made.inputs))
            found.update(file.sha256 for _, file in _given(made, kept))
    found.update(
        _line(made) for made in state.activations.values() if made.job and made.id not in others
    )
    for instance in (*state.instances.values(), *_removed(state)):
        for element in instance.elements.values():
            if element.evaluation is not None:
                found.update(_told(element.evaluation))
    return found


def _removed(state: ProjectState) -> Iterator[Instance]:
    for members in state.removed.values():
        yield from members.values()


def _told(evaluation: Evaluation) -> Iterator[str]:
    """What an evaluation knows: told again at every replay, so that it must be there."""
    known = [answer.value for b in evaluation.branches.values() for answer in b.answers.values()]
    known += [decision.outcome for decision in evaluation.decisions.values()]
    yield from (file.sha256 for file in files_in(known))


def _given(made: Activation, kept: Kept) -> Iterator[tuple[str, File]]:
    """Every file that an activation has brought, and as what."""
    for outputs in (made.outputs, made.partial or {}):
        for port, value in outputs.items():
            if not isinstance(value, _PLAIN):
                yield from ((port, file) for file in files_in(value))
    attempts = [one for one in made.attempts if one.series or one.checkpoint]
    for ref in (made.checkpoint, *(one.checkpoint for one in attempts)):
        yield from ((CHECKPOINT, _as_file(one)) for one in (ref.files if ref else ()))
    yield from ((CHECKPOINT, _as_file(one)) for one in kept.lines.get(_line(made), ()))
    for attempt in attempts:
        yield from ((SERIES, file) for file in files_in(attempt.series))


def _as_file(stored: StoredFile) -> File:
    return File(stored.sha256, stored.size, stored.path)


def _line(made: Activation) -> str:
    """The key of its checkpoints."""
    return made.job.checkpoint_key if made.job else ""


def _core_seconds(made: Activation) -> float:
    return sum(one.cores * max(0.0, one.ended - one.started) for one in made.attempts)
