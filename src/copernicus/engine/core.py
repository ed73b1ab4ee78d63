"""The door of the engine: edits and reports in, events out, already recorded in the state.

A caller stores the events in one transaction before it acknowledges anything; if that fails it
throws the state away and folds the journal again. ``effects_of`` says what the events want done
outside, ``open_effects`` what the state as a whole wants (after a restart).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from copernicus.engine.apply import apply
from copernicus.engine.budget import has_more_to_fire, keep_within_budget, resume_backlog
from copernicus.engine.currency import refresh
from copernicus.engine.edit import apply_edits
from copernicus.engine.effects import effects_of, open_effects, wanted_start
from copernicus.engine.firing import checked_outputs, fail, fire_candidates, job_described
from copernicus.engine.instances import Activation
from copernicus.engine.provisional import given, withdrawn
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import Catalog, Step
from copernicus.engine.workflow import advance_evaluations, broke, rested
from copernicus.errors import CopernicusError
from copernicus.model import events as ev
from copernicus.model.edits import Edit
from copernicus.model.jobs import Failure
from copernicus.model.reports import (
    Described,
    EvaluationBroke,
    JobEnded,
    JobStopped,
    PartialGiven,
    PartialWithdrawn,
    Report,
    Rested,
)

__all__ = [
    "apply",
    "create_project",
    "effects_of",
    "fold",
    "go_on",
    "has_more_to_fire",
    "open_effects",
    "submit_edits",
    "submit_report",
    "take_over",
    "wanted_start",
]


def create_project(
    project: str, name: str, owner: str, seed: int
) -> tuple[ProjectState, list[ev.Event]]:
    """A new project: its state, and the first event of its journal."""
    state = ProjectState()
    step = Step(state, {})
    step.emit(ev.ProjectCreated(project, name, owner, seed))
    return state, step.events


def take_over(
    state: ProjectState, loaded: ev.ProjectLoaded, author: str, catalog: Catalog, *, resume: bool
) -> list[ev.Event]:
    """A project whose journal came from another server goes on here: paused, or at once."""
    step = Step(state, catalog)
    summary = f"load {loaded.name} from server {loaded.server}, position {loaded.position}"
    step.emit(ev.RevisionMade(state.revision + 1, author, (summary,)))
    step.emit(loaded)
    if state.paused == resume:
        step.emit(ev.PausedSet(not resume))
    settle(step)
    return step.events


def fold(events: Iterable[ev.Event], snapshot: ProjectState | None = None) -> ProjectState:
    """The state that a journal tells: all of it, or what follows a snapshot, which is changed."""
    state = snapshot or ProjectState()
    for event in events:
        apply(state, event)
    refresh(state)
    _restore_stale(state)
    return state


def _restore_stale(state: ProjectState) -> None:
    # Which answers are stale follows from the facts; looking decides nothing, it only notes.
    # All are looked at: an answer given since a snapshot may be stale by what was as it is before.
    for path, instance in state.instances.items():
        for eid, element in instance.elements.items():
            if element.evaluation is not None:
                state.evaluations.setdefault((path, eid), set()).update(element.evaluation.watched)
    probe = Step(state, {})
    was_paused, state.paused = state.paused, True
    while state.evaluations or state.dirty:
        refresh(state)
        advance_evaluations(probe)
    state.paused = was_paused


def submit_edits(
    state: ProjectState,
    edits: Sequence[Edit],
    author: str,
    catalog: Catalog,
    limit: int | None = None,
    *,
    note: str = "",
    reuse: bool = False,
) -> list[ev.Event]:
    """Carry out a user's transaction, and all that follows from it.

    With a ``limit``, no more activations are opened at once; ``go_on`` while ``has_more_to_fire``.
    ``note`` is for the history; ``reuse`` takes earlier results where inputs are equal again.

    Raises:
        UserError: An edit is impossible; then nothing has changed.
    """
    step = Step(state, catalog, limit)
    apply_edits(step, edits, author, note, reuse=reuse)
    settle(step)
    return step.events


def submit_report(
    state: ProjectState, report: Report, catalog: Catalog, limit: int | None = None
) -> list[ev.Event]:
    """Take what the outside tells, and all that follows from it; nothing if it is old news.

    ``limit`` as for ``submit_edits``.
    """
    step = Step(state, catalog, limit)
    match report:
        case JobEnded():
            _job_ended(step, report)
        case Described():
            _described(step, report)
        case JobStopped():
            _job_stopped(step, report)
        case PartialGiven():
            given(step, report)
        case PartialWithdrawn():
            withdrawn(step, report)
        case Rested():
            rested(step, report.rest)
        case EvaluationBroke():
            broke(step, report.path, report.eid, report.number, report.failure)
    if step.events:
        settle(step)
    return step.events


def go_on(state: ProjectState, catalog: Catalog, limit: int | None = None) -> list[ev.Event]:
    """Fire what an earlier step has left, or what nobody has looked at since the journal was read.

    ``limit`` as for ``submit_edits``.
    """
    step = Step(state, catalog, limit)
    settle(step)
    return step.events


def settle(step: Step) -> None:
    """Fire, answer and retire until nothing more follows."""
    state = step.state
    while True:
        refresh(state)
        if state.candidates:
            fire_candidates(step)
        elif state.evaluations:
            advance_evaluations(step)
        elif not state.dirty and not resume_backlog(step):
            break
    keep_within_budget(step)


def _described(step: Step, report: Described) -> None:
    made = step.state.activations.get(report.activation)
    if made is None or made.outcome or made.job is not None:
        return
    if report.command is None:
        fail(step, made.id, report.failure or Failure("the function described no command"))
    else:
        job_described(step, made, report.command)


def _job_ended(step: Step, report: JobEnded) -> None:
    made = step.state.activations.get(report.activation)
    if made is None or made.outcome in ("succeeded", "failed") or made.outputs:
        return
    if made.outcome:
        _late_result(step, made, report)
        return
    failure = report.failure
    outputs = report.outputs or {}
    if failure is None:
        try:
            outputs = _checked(step, made, outputs)
        except CopernicusError as error:
            failure = Failure(error.message, cause="definition")
    step.emit(
        ev.ActivationEnded(
            id=made.id,
            outcome="failed" if failure else "succeeded",
            outputs={} if failure else outputs,
            failure=failure,
            attempts=report.attempts,
            checkpoint=report.checkpoint,
        )
    )


def _checked(step: Step, made: Activation, outputs: dict[str, object]) -> dict[str, object]:
    instance = step.state.instances.get(made.path)
    if instance is None or instance.incarnation != made.incarnation:
        return outputs
    return checked_outputs(step.state.spec_of(made), outputs)


def _late_result(step: Step, made: Activation, report: JobEnded) -> None:
    if report.failure is not None or made.outcome == "cancelled" or made.provisional:
        return
    try:
        outputs = _checked(step, made, report.outputs or {})
    except CopernicusError:
        return
    step.emit(ev.ResultKept(made.id, outputs, report.attempts, report.checkpoint))


def _job_stopped(step: Step, report: JobStopped) -> None:
    made = step.state.activations.get(report.activation)
    if made is None:
        return
    if not made.outcome:
        step.emit(ev.ActivationEnded(made.id, "stopped"))
    if made.id in step.state.cancelling:
        step.emit(ev.EffectClosed(made.id, report.version))
