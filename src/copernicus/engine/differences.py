"""What else differs between a project and its shadow: work under way, instances, evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Literal

from copernicus.engine.absence import element_name
from copernicus.engine.indexes import below
from copernicus.engine.instances import Activation, Branch, Evaluation, Instance
from copernicus.engine.shadow import Shadow
from copernicus.engine.state import ProjectState
from copernicus.model import events as ev
from copernicus.model.evaluation import ROOT, Departure
from copernicus.protocol import (
    PreviewEvaluation,
    PreviewFailure,
    PreviewInstance,
    PreviewWork,
)
from copernicus.protocol.preview import Fate

NAMED = 8
Lines = Mapping[tuple[str, str, int, str, int], str]


def by_incarnation(state: ProjectState) -> dict[int, Instance]:
    """The instances by what they keep when they are renamed."""
    return {instance.incarnation: instance for instance in state.instances.values()}


def work_changes(
    before: ProjectState, shadow: Shadow, running: AbstractSet[str]
) -> tuple[PreviewWork, ...]:
    """What becomes of the work under way; ``running`` are the activations that workers hold."""
    found: dict[tuple[str, Fate], list[tuple[int | None, bool]]] = {}
    for instance in sorted(before.instances.values(), key=lambda one: one.order):
        for element in instance.elements.values():
            made = before.activations[element.open] if element.open else None
            fate = _fate(shadow, made) if made is not None and made.works else None
            if made is not None and fate is not None:
                place = instance.place(element.eid) if instance.mapped else None
                entry = (place, made.id in running)
                found.setdefault((instance.path, fate), []).append(entry)
    return tuple(
        PreviewWork(
            path=path,
            fate=fate,
            running=sum(runs for _, runs in entries),
            queued=sum(not runs for _, runs in entries),
            elements=tuple(place for place, _ in entries[:NAMED] if place is not None),
        )
        for (path, fate), entries in found.items()
    )


def _fate(shadow: Shadow, made: Activation) -> Fate | None:
    after = shadow.state.activations[made.id]
    match after.outcome:
        case "cancelled":
            return "cancelled"
        case "stopped":
            return "replaced" if made.id in shadow.replaced else "stopped"
        case "superseded":
            return "extended"
        case "":
            return "again" if after.replace and not made.replace else None
    return None


def instance_changes(before: ProjectState, after: ProjectState) -> Iterator[PreviewInstance]:
    """Instances that would come, go, or be called otherwise; what is inside goes with it."""
    old, new = by_incarnation(before), by_incarnation(after)
    for incarnation, instance in old.items():
        if incarnation not in new and not _goes_with_owner(before, instance, new):
            inside = len(below(before, instance.path)) - 1
            yield PreviewInstance(instance.path, instance.function, "removed", inside=inside)
    for incarnation, instance in new.items():
        earlier = old.get(incarnation)
        fate = _instance_fate(earlier, instance)
        if earlier is None and _was_removed(before, instance):
            fate = "back"
        if fate is not None:
            was = earlier.path if earlier is not None and fate == "renamed" else ""
            yield PreviewInstance(instance.path, instance.function, fate, was)


def _was_removed(before: ProjectState, instance: Instance) -> bool:
    return any(
        one.incarnation == instance.incarnation
        for members in before.removed.values()
        for one in members.values()
    )


def _goes_with_owner(before: ProjectState, instance: Instance, new: Mapping[int, Instance]) -> bool:
    if instance.owner is None:
        return False
    return before.instances[instance.owner.path].incarnation not in new


def _instance_fate(
    earlier: Instance | None, instance: Instance
) -> Literal["added", "retired", "back", "renamed"] | None:
    if earlier is None:
        return None if instance.retired else "added"
    if earlier.retired != instance.retired:
        return "retired" if instance.retired else "back"
    renamed = earlier.path != instance.path and instance.owner is None
    return "renamed" if renamed else None


def evaluation_changes(before: ProjectState, shadow: Shadow) -> Iterator[PreviewEvaluation]:
    """What workflow functions would do, as far as they come without a job's result."""
    old = by_incarnation(before)
    lines = _lines(shadow)
    for instance in sorted(shadow.state.instances.values(), key=lambda one: one.order):
        earlier = old.get(instance.incarnation)
        for eid, element in instance.elements.items():
            evaluation = element.evaluation
            was = earlier.elements.get(eid) if earlier is not None else None
            known = was.evaluation if was is not None else None
            if evaluation is None or evaluation.number == 0 or not _moves(known, evaluation):
                continue
            made = shadow.state.activations[evaluation.activation]
            version = evaluation.version or made.version
            told = (known.version or before.activations[known.activation].version) if known else ""
            root = evaluation.branches[ROOT]
            replayed = known is not None and known.number != evaluation.number
            same = known is not None and _same_inputs(before, known, made)
            yield PreviewEvaluation(
                path=element_name(instance, eid),
                function=instance.function,
                version=version,
                goes="begins" if known is None else "replayed" if replayed else "on",
                passes=_passed(root),
                passed=_passed(known.branches[ROOT]) if known is not None else 0,
                rests_at=_rests_at(evaluation),
                ends=evaluation.ended,
                departs=_departure(instance.path, eid, known, evaluation, lines)
                if known is not None and replayed and same
                else None,
                version_before="" if told == version else told,
            )


def _same_inputs(before: ProjectState, known: Evaluation, made: Activation) -> bool:
    """Where inputs differ, other declarations are no news."""
    earlier = before.activations.get(known.activation)
    return earlier is not None and earlier.digest == made.digest


def _moves(known: Evaluation | None, evaluation: Evaluation) -> bool:
    if known is None or known.number != evaluation.number:
        return True
    return any(
        len(branch.segments) != len(known.branches[key].segments) if key in known.branches else True
        for key, branch in evaluation.branches.items()
    )


def _passed(branch: Branch) -> int:
    """How many awaits of a branch have been answered."""
    return len(branch.segments) - (0 if branch.ended or not branch.segments else 1)


def _rests_at(evaluation: Evaluation) -> str:
    for branch in evaluation.branches.values():
        if branch.waits is not None and branch.waits.kind != "branch" and branch.waits.line:
            return branch.waits.line
    return ""


def _lines(shadow: Shadow) -> Lines:
    return {
        (event.path, event.eid, event.number, event.branch, event.index): event.waits.line
        for event in shadow.events
        if isinstance(event, ev.SegmentCommitted) and event.waits is not None
    }


def _departure(
    path: str, eid: str, known: Evaluation, evaluation: Evaluation, lines: Lines
) -> Departure | None:
    """The first segment, in the order of the branches, that declares something else."""
    for key, branch in evaluation.branches.items():
        earlier = known.branches.get(key)
        if earlier is None:
            continue
        for index, made_of in enumerate(branch.segments[: len(earlier.segments)]):
            if made_of != earlier.segments[index]:
                line = lines.get((path, eid, evaluation.number, key, index), "")
                return Departure(evaluation.version, key, index, line)
    return None


def failures(shadow: Shadow) -> Iterator[PreviewFailure]:
    """What would fail at once, without any job."""
    for event in shadow.events:
        if isinstance(event, ev.ActivationEnded) and event.outcome == "failed" and event.failure:
            made = shadow.state.activations[event.id]
            instance = shadow.state.instances.get(made.path)
            name = element_name(instance, made.eid) if instance is not None else made.path
            yield PreviewFailure(name, event.failure)
