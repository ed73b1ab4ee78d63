"""How elements and instances stand, in one word and in one line: what lists of them show."""

from __future__ import annotations

from collections import Counter
from itertools import islice

from copernicus.engine.indexes import references
from copernicus.engine.resolve import failed_activation
from copernicus.engine.state import Element, Instance, ProjectState
from copernicus.engine.transaction import unwanted
from copernicus.engine.waiting import waits_for
from copernicus.model.jobs import Failure
from copernicus.protocol import InstanceView

ASKED = 100
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
    return _word(state, instance, element, unwanted(state, instance))


def _word(state: ProjectState, instance: Instance, element: Element, gone: bool) -> str:
    if gone or not element.wanted:
        return "retired"
    if element.hole:
        return "skipped"
    if element.evaluation is not None and element.evaluation.departure is not None:
        return "waiting"
    if element.open is not None:
        return "running" if state.spec(instance).kind == "workflow" else "queued"
    if failed_activation(state, element) is not None:
        return "failed"
    if element.current:
        return "done"
    if instance.held:
        return "held"
    return "stale" if element.success is not None else "waiting"


def instances(state: ProjectState) -> list[InstanceView]:
    """All instances, in the order of their coming to be."""
    ordered = sorted(state.instances.values(), key=lambda i: i.order)
    return [summary(state, instance) for instance in ordered]


def project_states(state: ProjectState) -> dict[str, int]:
    """How many elements are in which state."""
    counts: Counter[str] = Counter()
    for instance in state.instances.values():
        counts.update(_counted(instance, _words(state, instance)))
    return dict(counts)


def _words(state: ProjectState, instance: Instance) -> list[str]:
    """The states of all elements. What holds for the instance is looked at once, not for each."""
    gone = unwanted(state, instance)
    return [_word(state, instance, element, gone) for element in instance.listed()]


def _counted(instance: Instance, words: list[str]) -> Counter[str]:
    counts = Counter(words)
    if instance.eids is None:
        counts["held" if instance.held else "waiting"] += 1
    return counts


def summary(state: ProjectState, instance: Instance) -> InstanceView:
    """An instance in one line."""
    spec = state.spec(instance)
    words = _words(state, instance)
    counts = _counted(instance, words)
    word = next((w for w in PRECEDENCE if counts.get(w)), "done")
    return InstanceView(
        path=instance.path,
        function=instance.function,
        version=instance.version,
        kind=spec.kind,
        state=word,
        counts=dict(counts),
        elements=len(instance.eids or ()),
        mapped=instance.mapped,
        held=instance.held,
        waits_for=_first_wait(state, instance, words),
        failure=_first_failure(state, instance) if counts["failed"] else None,
        parent=instance.owner.path if instance.owner else "",
        sources=_sources(instance),
    )


def _sources(instance: Instance) -> tuple[str, ...]:
    found = (ref.path for source in instance.inputs.values() for ref in references(source))
    return tuple(dict.fromkeys(found))


def _first_wait(state: ProjectState, instance: Instance, words: list[str]) -> str:
    """What the first element waits for that waits for anything; not all of many are asked."""
    if instance.eids is None:
        return instance.shape_problem
    pairs = zip(instance.listed(), words, strict=True)
    behind = (element for element, word in pairs if word not in ("done", "queued", "failed"))
    reasons = (waits_for(state, instance, element) for element in islice(behind, ASKED))
    return next(filter(None, reasons), "")


def _first_failure(state: ProjectState, instance: Instance) -> Failure | None:
    failed = (failed_activation(state, element) for element in instance.listed())
    first = next(filter(None, failed), None)
    return first.failure if first else None
