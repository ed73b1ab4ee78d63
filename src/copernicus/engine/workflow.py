"""Evaluations of workflow functions: rests, answers, staleness, replays (SEMANTICS 4 to 6)."""

from __future__ import annotations

from copernicus.engine.answers import answer, present_digests
from copernicus.engine.decisions import decide_list
from copernicus.engine.declare import (
    declare,
    retire_undeclared,
    segment_digest,
    workflow_blocked,
)
from copernicus.engine.firing import fail, next_evaluation, open_activation
from copernicus.engine.instances import Answered, Branch, Element, Evaluation, Instance
from copernicus.engine.resolve import resolve
from copernicus.engine.tallies import concerns
from copernicus.engine.telling import touch
from copernicus.engine.transaction import Step, frozen_before
from copernicus.errors import CopernicusError
from copernicus.model import events as ev
from copernicus.model.evaluation import ROOT, Departure, Rest, Segment
from copernicus.model.jobs import Failure
from copernicus.model.network import Collect


def rested(step: Step, rest: Rest) -> None:
    """Commit what an evaluation declared since its last answer; refused if it is fenced off."""
    instance = step.state.instances.get(rest.path)
    element = instance.elements.get(rest.eid) if instance else None
    evaluation = element.evaluation if element else None
    if instance is None or element is None or evaluation is None:
        return
    if rest.number != evaluation.number or not evaluation.live:
        return
    other = rest.version and rest.version != evaluation.version
    departed = _departure(evaluation, rest) if other else None
    if departed is not None or (other and rest.segments) or evaluation.departure:
        if evaluation.departure == departed and departed is not None:
            return
        version = rest.version or evaluation.version
        step.emit(ev.CodeChanged(rest.path, rest.eid, rest.number, version, departed))
    if departed is not None:
        return
    for segment in rest.segments:
        if not _commit_segment(step, instance, element, segment):
            return


def _departure(evaluation: Evaluation, rest: Rest) -> Departure | None:
    """Where other code, run again on what is recorded, declares something else (DESIGN 4.7)."""
    for segment in rest.segments:
        branch = evaluation.branches.get(segment.branch)
        known = branch.segments if branch else []
        if segment.index < len(known) and known[segment.index] != segment_digest(segment):
            line = segment.waits.line if segment.waits else ""
            failure = segment.failure
            return Departure(
                rest.version,
                segment.branch,
                segment.index,
                line=(failure.where if failure else "") or line,
                reason=failure.reason if failure else "",
            )
    return None


def _commit_segment(step: Step, instance: Instance, element: Element, segment: Segment) -> bool:
    evaluation = element.evaluation
    assert evaluation is not None
    branch = evaluation.branches.get(segment.branch)
    if branch is None or segment.index > len(branch.segments):
        _break(
            step, instance, element, Failure("the evaluator lost its place: it will be replaced")
        )
        return False
    made_of = segment_digest(segment)
    if segment.index < len(branch.segments):
        return _check_determinism(step, instance, element, branch, segment, made_of)
    if segment.failure is not None:
        _break(step, instance, element, segment.failure)
        return False
    try:
        declared = declare(step, instance, element, segment)
    except CopernicusError as error:
        _break(step, instance, element, Failure(error.message, cause="definition"))
        return False
    step.emit(
        ev.SegmentCommitted(
            path=instance.path,
            eid=element.eid,
            number=evaluation.number,
            branch=segment.branch,
            index=segment.index,
            digest=made_of,
            declared=declared,
            spawned=segment.spawned,
            waits=segment.waits,
            ended=segment.ended,
        )
    )
    return True


def _check_determinism(
    step: Step,
    instance: Instance,
    element: Element,
    branch: Branch,
    segment: Segment,
    made_of: str,
) -> bool:
    if branch.segments[segment.index] == made_of:
        return True
    if segment.failure is not None:
        _break(step, instance, element, segment.failure)
        return False
    line = segment.waits.line if segment.waits else ""
    reason = (
        "the workflow function is not deterministic: run again on the same history, it declared "
        f"something else in branch {segment.branch}, segment {segment.index}"
    )
    remedy = "use net.seed for randomness; read no clock, file or environment"
    _break(
        step,
        instance,
        element,
        Failure(reason, cause="definition", where=line, remedy=remedy),
    )
    return False


def _break(step: Step, instance: Instance, element: Element, failure: Failure) -> None:
    evaluation = element.evaluation
    assert evaluation is not None
    step.emit(ev.EvaluationEnded(instance.path, element.eid, evaluation.number, failure))
    if element.open is not None:
        fail(step, element.open, failure)


def broke(step: Step, path: str, eid: str, number: int, failure: Failure) -> None:
    """The evaluator could not be kept alive on this evaluation."""
    instance = step.state.instances.get(path)
    element = instance.elements.get(eid) if instance else None
    if instance is None or element is None or element.evaluation is None:
        return
    if element.evaluation.number == number and element.evaluation.live:
        _break(step, instance, element, failure)


def advance_evaluations(step: Step) -> bool:
    """Look at every evaluation about which something changed; whether anything was decided."""
    state = step.state
    pending = sorted(state.evaluations.items(), key=lambda entry: _order(step, entry[0]))
    state.evaluations = {}
    before = len(step.events)
    for (path, eid), changed in pending:
        instance = state.instances.get(path)
        element = instance.elements.get(eid) if instance else None
        if instance is None or element is None or element.evaluation is None:
            continue
        _advance(step, instance, element, changed)
    return len(step.events) > before


def _order(step: Step, key: tuple[str, str]) -> tuple[int, str]:
    instance = step.state.instances.get(key[0])
    return (instance.order if instance else 0, key[1])


def _advance(step: Step, instance: Instance, element: Element, changed: set[str]) -> None:
    evaluation = element.evaluation
    assert evaluation is not None
    moved = _recheck_answers(step, instance, element, evaluation, changed)
    if workflow_blocked(step, instance, element) or evaluation.number == 0:
        return
    if moved:
        _replay(step, instance, element)
        return
    if evaluation.failure is not None:
        return
    _follow_outputs(step, instance, element, evaluation)
    if evaluation.ended:
        return
    if not _answer_branches(step, instance, element, evaluation):
        _come_to_rest(step, instance, element, evaluation)


def _recheck_answers(
    step: Step, instance: Instance, element: Element, evaluation: Evaluation, changed: set[str]
) -> bool:
    """Note which answers went stale or thawed; whether one is current with another digest."""
    positions: dict[tuple[str, int], list[str]] = {}
    for path in changed:
        for position in evaluation.watched.get(path, ()):
            positions.setdefault(position, []).append(path)
    before = set(evaluation.stale)
    for (branch, index), paths in sorted(positions.items()):
        answered = evaluation.branches[branch].answers.get(index)
        if answered is None or not _concerned(step, answered, paths):
            continue
        # Where a plain value is awaited now, a decision of before is not in use.
        plain = answered.waits.kind == "value"
        reopened = None if plain else evaluation.reopened.get(f"{branch}:a{index}")
        digests = present_digests(step, answered, reopened)
        evaluation.moved.discard((branch, index))
        if digests == answered.digests:
            evaluation.stale.discard((branch, index))
            continue
        evaluation.stale.add((branch, index))
        if digests is not None:
            evaluation.moved.add((branch, index))
    if evaluation.stale != before:
        step.state.mark(instance.path, element.eid)
        for child in step.state.children.get(instance.path, ()):
            touch(step.state, child)
    return bool(evaluation.moved)


def _concerned(step: Step, answered: Answered, paths: list[str]) -> bool:
    sources = answered.waits.sources
    return any(concerns(step.state, source, path) for source in sources for path in paths)


def _replay(step: Step, instance: Instance, element: Element) -> None:
    """Run the function again from its start, with present values (4.4)."""
    if element.open is None:
        open_activation(step, instance, element)
        return
    number = next_evaluation(step.state, instance, element)
    step.emit(ev.EvaluationStarted(instance.path, element.eid, number, element.open))


def _follow_outputs(
    step: Step, instance: Instance, element: Element, evaluation: Evaluation
) -> None:
    spec = step.state.spec(instance)
    for port, binding in sorted(evaluation.outputs.items()):
        if isinstance(binding.declared, Collect):
            decide_list(step, binding.declared)
        if binding.declared is None or binding.declared == binding.effective:
            continue
        if spec.output(port).final and not evaluation.ended:
            continue
        if resolve(step.state, binding.declared).status in ("current", "hole"):
            step.emit(
                ev.OutputBound(instance.path, element.eid, port, binding.declared, effective=True)
            )


def _answer_branches(
    step: Step, instance: Instance, element: Element, evaluation: Evaluation
) -> bool:
    answered = False
    for key in list(evaluation.branches):
        branch = evaluation.branches[key]
        waits = branch.waits
        if waits is None or waits.kind == "branch":
            answered = answered or branch.running
            continue
        index = len(branch.segments) - 1
        if frozen_before(element, key, index + 1):
            continue
        found = answer(step, instance, element, key, index, waits)
        if isinstance(found, Failure):
            _break(step, instance, element, found)
            return True
        if found is not None:
            value, digests = found
            number = evaluation.number
            step.emit(
                ev.AwaitAnswered(instance.path, element.eid, number, key, index, value, digests)
            )
            answered = True
    return answered


def _come_to_rest(step: Step, instance: Instance, element: Element, evaluation: Evaluation) -> None:
    """No branch can go on: end the evaluation if all have ended, retire what was passed."""
    branches = evaluation.branches.values()
    if any(branch.running for branch in branches):
        return
    if evaluation.branches[ROOT].ended and all(branch.ended for branch in branches):
        step.emit(ev.EvaluationEnded(instance.path, element.eid, evaluation.number))
        if element.open is not None:
            step.emit(ev.ActivationEnded(element.open, "succeeded"))
        retire_undeclared(step, instance, element)
    elif evaluation.number > 1:
        retire_undeclared(step, instance, element)
