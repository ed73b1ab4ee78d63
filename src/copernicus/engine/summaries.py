"""How elements and instances stand, in one word and in one line: what lists of them show."""

from __future__ import annotations

from collections import Counter

from copernicus.engine.absence import failed_activation
from copernicus.engine.instances import Element, Instance
from copernicus.engine.standing import counts, first, standing_of, word_for
from copernicus.engine.state import ProjectState
from copernicus.engine.transaction import unwanted
from copernicus.engine.waiting import waits_for
from copernicus.model.jobs import Failure
from copernicus.protocol import InstanceView

ASKED = 100
_BEHIND = ("skipped", "departed", "behind", "new")
PRECEDENCE = (
    "failed",
    "running",
    "queued",
    "waiting",
    "stale",
    "held",
    "skipped",
    "done",
    "retired",
)


def element_state(state: ProjectState, instance: Instance, element: Element) -> str:
    """The one word for the state of an element (DESIGN 5.1)."""
    standing = standing_of(state, element)
    if not standing or unwanted(state, instance):
        return "retired"
    return word_for(instance, state.spec(instance).kind, standing)


def instances(state: ProjectState) -> list[InstanceView]:
    """All instances, in the order of their coming to be."""
    ordered = sorted(state.instances.values(), key=lambda i: i.order)
    return [summary(state, instance) for instance in ordered]


def project_states(state: ProjectState) -> dict[str, int]:
    """How many elements are in which state."""
    counts: Counter[str] = Counter()
    for instance in state.instances.values():
        counts.update(_counted(state, instance))
    return dict(counts)


def _counted(state: ProjectState, instance: Instance) -> Counter[str]:
    counted: Counter[str] = Counter()
    if instance.eids is None:
        counted["held" if instance.held else "waiting"] += 1
    elif unwanted(state, instance):
        counted["retired"] += len(instance.eids)
    else:
        kind = state.spec(instance).kind
        for standing, number in counts(instance).items():
            counted[word_for(instance, kind, standing)] += number
    return +counted


def summary(state: ProjectState, instance: Instance) -> InstanceView:
    """An instance in one line."""
    spec = state.spec(instance)
    counted = _counted(state, instance)
    word = next((w for w in PRECEDENCE if counted.get(w)), "done")
    return InstanceView(
        path=instance.path,
        function=instance.function,
        version=instance.version,
        kind=spec.kind,
        state=word,
        counts=dict(counted),
        elements=len(instance.eids or ()),
        mapped=instance.mapped,
        held=instance.held,
        waits_for=_first_wait(state, instance),
        failure=_first_failure(state, instance) if counted["failed"] else None,
        parent=instance.owner.path if instance.owner else "",
        sources=_sources(state, instance),
    )


def _sources(state: ProjectState, instance: Instance) -> tuple[str, ...]:
    sources = instance.inputs.values()
    return tuple(dict.fromkeys(path for source in sources for path in state.upstream(source)))


def _first_wait(state: ProjectState, instance: Instance) -> str:
    """What the first element waits for that waits for anything; not all of many are asked."""
    if instance.eids is None:
        return instance.shape_problem
    evaluated = ("open",) if state.spec(instance).kind == "workflow" else ()
    behind = first(instance, (*_BEHIND, *evaluated), ASKED)
    reasons = (waits_for(state, instance, element) for element in behind)
    return next(filter(None, reasons), "")


def _first_failure(state: ProjectState, instance: Instance) -> Failure | None:
    for element in first(instance, ("failed",), ASKED):
        failed = failed_activation(state, element)
        if failed is not None:
            return failed.failure
    return None
