"""What happened in a project, without the names that hang on the order of independent things.

Two runs that saw the same edits and the same completions tell the same story, whatever crashed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec

from copernicus.engine.earlier import lineages_of, successes_of
from copernicus.engine.instances import Activation, Decision, Element, Evaluation, Instance
from copernicus.engine.state import ProjectState

Names = Mapping[str, Any]


def story(state: ProjectState, names: Names) -> dict[str, Any]:
    """Facts and currency of a project; ``names`` gives activations names that hold in any run."""
    activations = {names[name]: _activation(a, names) for name, a in state.activations.items()}
    return {
        "mode": (state.paused, state.paused_for, state.revision, state.next_element),
        "use": (state.budget, state.use(), state.reusing),
        "touched": state.touched,
        "dangling": state.dangling,
        "fences": state.fences,
        "functions": state.functions,
        "instances": {path: _instance(state, i, names) for path, i in state.instances.items()},
        "activations": activations,
        "cancelling": {names[name]: version for name, version in state.cancelling.items()},
    }


def _instance(state: ProjectState, instance: Instance, names: Names) -> dict[str, Any]:
    kept = ("function", "version", "mapped", "held", "resources", "owner", "retired", "inputs")
    told = {name: getattr(instance, name) for name in (*kept, "declared_in", "pinned", "eids")}
    elements = {
        eid: _element(state, element, names)
        for eid, element in instance.elements.items()
        if element.wanted or element.has_facts()
    }
    return {**told, "elements": elements}


def _element(state: ProjectState, element: Element, names: Names) -> dict[str, Any]:
    kept = ("retry", "asks", "skip", "skipped_by", "wanted", "ready", "hole", "current")
    told = {name: getattr(element, name) for name in kept}
    told["provisional"] = element.provisional and element.ready
    for name in ("open", "success", "ended", "partial"):
        told[name] = names.get(getattr(element, name) or "")
    successes, lineages = successes_of(state, element), lineages_of(state, element)
    told["successes"] = {digest: names[name] for digest, name in successes.items()}
    told["lineages"] = {digest: names[name] for digest, name in lineages.items()}
    told["digest"] = element.digest if element.ready else ""
    if element.evaluation is not None:
        told["evaluation"] = _evaluation(element.evaluation, names)
    return told


def _evaluation(evaluation: Evaluation, names: Names) -> dict[str, Any]:
    kept = ("number", "version", "departure", "ended", "failure", "branches", "spawn_points")
    kept = (*kept, "decisions", "reopened", "outputs")
    told = {name: getattr(evaluation, name) for name in (*kept, "stale", "moved")}
    told["decisions"] = {at: _decision(one, names) for at, one in evaluation.decisions.items()}
    return {**told, "activation": names[evaluation.activation]}


def _decision(decision: Decision, names: Names) -> Decision:
    """What was peeked at was of activations."""
    if decision.kind != "peek":
        return decision
    origins = [[names[origin] for origin in one] for one in decision.outcome["origins"]]
    return dataclasses.replace(decision, outcome={**decision.outcome, "origins": origins})


def _activation(made: Activation, names: Names) -> dict[str, Any]:
    told = msgspec.structs.asdict(made)
    for name in ("id", "number", "incarnation", "attempts"):
        del told[name]
    for name in ("lineage", "parent", "superseded_by"):
        told[name] = names.get(told[name] or "")
    told["origins"] = {
        port: tuple(names[origin] for origin in origins) for port, origins in made.origins.items()
    }
    if made.job is not None:
        # Its checkpoints go by the lineage and the incarnation, which are told above.
        told["job"] = msgspec.structs.replace(made.job, checkpoint_key="")
    return told


def difference(one: Any, other: Any, at: str = "") -> str:
    """Where two stories part, for the message of a test that fails."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in {**one, **other}:
            if one.get(key) != other.get(key):
                return difference(one.get(key), other.get(key), f"{at}/{key}")
    return f"{at}: {one!r} != {other!r}"
