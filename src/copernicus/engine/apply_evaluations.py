"""Recording of events about evaluations of workflow functions."""

from __future__ import annotations

import dataclasses

from copernicus.engine.indexes import (
    evaluation_of,
    follow,
    look,
    mark_deciding,
    wake,
    watch,
)
from copernicus.engine.instances import (
    Answered,
    Binding,
    Branch,
    Decision,
    Evaluation,
    new_branches,
)
from copernicus.engine.record import record
from copernicus.engine.state import ProjectState
from copernicus.model import events as ev


@record.register
def _(event: ev.EvaluationStarted, state: ProjectState) -> None:
    element = state.instances[event.path].element(event.eid)
    evaluation = element.evaluation or Evaluation()
    element.evaluation = evaluation
    evaluation.number, evaluation.activation = event.number, event.activation
    evaluation.version = state.activations[event.activation].version
    evaluation.ended, evaluation.failure, evaluation.departure = False, None, None
    evaluation.branches = new_branches()
    for binding in evaluation.outputs.values():
        binding.declared = None
    evaluation.stale.clear()
    evaluation.moved.clear()
    evaluation.watched.clear()
    evaluation.undeclared = {
        child
        for child in state.children.get(event.path, ())
        if (owner := state.instances[child].owner) and owner.eid == event.eid
    }
    state.mark(event.path, event.eid)


@record.register
def _(event: ev.SegmentCommitted, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    branch = evaluation.branches[event.branch]
    branch.segments.append(event.digest)
    branch.waits, branch.ended, branch.running = event.waits, event.ended, False
    for key in event.spawned:
        evaluation.branches[key] = Branch(key, event.branch, event.index)
        evaluation.spawn_points[key] = (event.branch, event.index)
    if event.waits:
        watch(state, event.path, event.eid, evaluation, event.waits.sources, None)
        if event.waits.branch is not None:
            branch.joins[event.index] = event.waits.branch
    look(state, event.path, event.eid)


@record.register
def _(event: ev.AwaitAnswered, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    branch = evaluation.branches[event.branch]
    assert branch.waits is not None
    branch.answers[event.index] = Answered(event.value, event.digests, branch.waits)
    position = (event.branch, event.index)
    watch(state, event.path, event.eid, evaluation, branch.waits.sources, position)
    branch.waits, branch.running = None, True


@record.register
def _(event: ev.Decided, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    evaluation.decisions[event.position] = Decision(
        event.kind, event.candidates, event.chosen, event.outcome
    )
    evaluation.reopened.pop(event.position, None)
    if event.kind in ("at_least", "tolerate"):
        mark_deciding(state, event.path, event.eid, event.position)
        state.mark(event.path, event.eid)


@record.register
def _(event: ev.DecisionLapsed, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    evaluation.decisions.pop(event.position, None)
    mark_deciding(state, event.path, event.eid, event.position)
    state.mark(event.path, event.eid)
    wake(state, event.path, event.eid)


@record.register
def _(event: ev.DecisionReopened, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    decision = evaluation.decisions[event.position]
    if event.names:
        # Replaced, not changed: what has been read of it must stay what it was.
        kept = {n: told for n, told in decision.outcome.items() if n not in event.names}
        evaluation.decisions[event.position] = dataclasses.replace(decision, outcome=kept)
    else:
        del evaluation.decisions[event.position]
    names = evaluation.reopened.get(event.position, ()) + event.names
    evaluation.reopened[event.position] = names
    mark_deciding(state, event.path, event.eid, event.position)
    state.mark(event.path, event.eid)
    wake(state, event.path, event.eid)


@record.register
def _(event: ev.OutputBound, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    binding = evaluation.outputs.setdefault(event.port, Binding())
    binding.declared = event.source
    if event.effective:
        binding.effective = event.source
    follow(state, event.path, event.eid, event.source)
    state.mark(event.path, event.eid)
    look(state, event.path, event.eid)


@record.register
def _(event: ev.CodeChanged, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    evaluation.departure = event.departure
    if event.departure is None:
        evaluation.version = event.version
    state.mark(event.path, event.eid)
    look(state, event.path, event.eid)


@record.register
def _(event: ev.EvaluationEnded, state: ProjectState) -> None:
    evaluation = evaluation_of(state, event.path, event.eid)
    evaluation.ended, evaluation.failure = event.failure is None, event.failure
    state.mark(event.path, event.eid)
    look(state, event.path, event.eid)
