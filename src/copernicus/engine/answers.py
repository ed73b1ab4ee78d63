"""How each kind of await is answered (SEMANTICS 4.2, 5): values, settle, first, latest."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.engine.decisions import decide_list, source_name
from copernicus.engine.instances import Answered, Element, Instance
from copernicus.engine.resolve import Resolved, Take, decision_of, resolve
from copernicus.engine.tallies import final_failure, inputs_of_source, lapsed
from copernicus.engine.transaction import Step
from copernicus.model import events as ev
from copernicus.model.evaluation import Await
from copernicus.model.jobs import Failure
from copernicus.model.network import Collect, Source

CHANGED, HOLE = "changed", "hole"
Found = tuple[Any, tuple[str, ...]] | Failure | None


def answer(
    step: Step, instance: Instance, element: Element, branch: str, index: int, waits: Await
) -> Found:
    """The answer to an await, with the digests it is made of; ``None`` if there is none yet."""
    position = f"{branch}:a{index}"
    match waits.kind:
        case "settle":
            return _settle(step, instance, element, position, waits)
        case "first":
            return _first(step, instance, element, position, waits)
        case "latest" | "peek":
            return _moving(step, instance, element, position, waits)
        case _:
            return _values(step, waits)


def _values(step: Step, waits: Await) -> Found:
    for source in waits.sources:
        if isinstance(source, Collect):
            decide_list(step, source)
    found = [resolve(step.state, source) for source in waits.sources]
    for one in found:
        if one.status == "hole":
            return _no_value(one, waits)
        if one.status != "current":
            return None
    return [one.value for one in found], tuple(one.digest for one in found)


def _no_value(hole: Resolved, waits: Await) -> Failure:
    return Failure(
        f"awaited the value of {hole.blocker}",
        cause="definition",
        where=waits.line,
        remedy="use net.settle where an element may have no value",
    )


def _settle(step: Step, instance: Instance, element: Element, position: str, waits: Await) -> Found:
    evaluation = element.evaluation
    assert evaluation is not None
    names = tuple(source_name(source) for source in waits.sources)
    earlier = evaluation.decisions.get(position)
    kept = dict(earlier.outcome) if earlier and earlier.kind == "settle" else {}
    outcomes: list[dict[str, Any]] = []
    digests: list[str] = []
    for name, source in zip(names, waits.sources, strict=True):
        outcome = _outcome(step, source, kept.get(name))
        if outcome is None:
            return None
        outcomes.append(outcome[0])
        digests.append(outcome[1])
    failures = {
        name: {"failure": outcome["failure"], "digest": digest}
        for name, outcome, digest in zip(names, outcomes, digests, strict=True)
        if "failure" in outcome
    }
    good = tuple(name for name in names if name not in failures)
    if earlier is None or earlier.outcome != failures or earlier.candidates != names:
        step.emit(ev.Decided(instance.path, element.eid, position, "settle", names, good, failures))
    return outcomes, tuple(digests)


def _outcome(
    step: Step, source: Source, kept: dict[str, Any] | None
) -> tuple[dict[str, Any], str] | None:
    """A settled source: a value, or a failure that stands as long as its inputs do (5.3)."""
    failed = final_failure(step.state, source)
    inputs_now = inputs_of_source(step.state, source)
    if kept is not None and kept["digest"] == inputs_now:
        return {"failure": kept["failure"]}, inputs_now
    if failed is not None:
        return {"failure": msgspec.to_builtins(failed.failure)}, failed.digest
    found: Resolved = resolve(step.state, source)
    if found.status == "current":
        return {"value": found.value}, found.digest
    if found.status == "hole":
        skipped = Failure(f"{found.blocker}", cause="cancelled")
        return {"failure": msgspec.to_builtins(skipped)}, HOLE
    return None


def present_digests(
    step: Step, answered: Answered, reopened: tuple[str, ...] | None
) -> tuple[str, ...] | None:
    """What an answer would be made of now; ``None`` while one of its sources is not current.

    ``CHANGED`` stands for a source with which the question must be asked anew. ``reopened`` are
    the names of which a user wants to hear anew (none: of the whole), if that is so.
    """
    waits = answered.waits
    if reopened == ():
        return (CHANGED,)
    if waits.kind in ("latest", "peek"):
        return answered.digests
    sources = waits.sources
    if waits.kind == "first":
        sources = (waits.sources[answered.value[0]],)
    digests = []
    for position, source in enumerate(sources):
        failed = waits.kind == "settle" and "failure" in answered.value[position]
        seen = answered.digests[position]
        if failed and source_name(source) in (reopened or ()):
            again = final_failure(step.state, source)
            digest = again.digest if again else _present_digest(step, source, seen, failed=False)
        else:
            digest = _present_digest(step, source, seen, failed=failed)
        if digest is None and (waits.kind == "value" or final_failure(step.state, source) is None):
            return None
        digests.append(digest or CHANGED)
    return tuple(digests)


def _present_digest(step: Step, source: Source, seen: str, *, failed: bool) -> str | None:
    """The digest of one source now; ``None`` while it has no current value."""
    if failed and inputs_of_source(step.state, source) == seen:
        return seen
    if isinstance(source, Collect) and source.decided:
        decision = decision_of(step.state, source)
        if decision is None or lapsed(step.state, source, decision):
            return CHANGED
    found = resolve(step.state, source)
    if found.status == "hole":
        return seen if failed and seen == HOLE else found.digest
    return found.digest if found.status == "current" else None


def _first(step: Step, instance: Instance, element: Element, position: str, waits: Await) -> Found:
    evaluation = element.evaluation
    assert evaluation is not None
    names = tuple(source_name(source) for source in waits.sources)
    earlier = evaluation.decisions.get(position)
    if earlier is not None and earlier.kind == "first":
        reason = _first_lapsed(step, names, waits, earlier.chosen)
        if not reason:
            chosen = names.index(earlier.chosen[0])
            found = resolve(step.state, waits.sources[chosen])
            return ([chosen, found.value], (found.digest,)) if found.status == "current" else None
        step.emit(ev.DecisionLapsed(instance.path, element.eid, position, reason))
    present = [resolve(step.state, source) for source in waits.sources]
    for index, found in enumerate(present):
        if found.status == "current":
            step.emit(
                ev.Decided(instance.path, element.eid, position, "first", names, (names[index],))
            )
            return [index, found.value], (found.digest,)
    nothing_comes = all(found.status == "hole" for found in present)
    return _no_value(present[0], waits) if nothing_comes else None


def _first_lapsed(step: Step, names: tuple[str, ...], waits: Await, chosen: tuple[str, ...]) -> str:
    if not chosen or chosen[0] not in names:
        return f"{chosen[0] if chosen else 'nothing'} is no candidate any more"
    source = waits.sources[names.index(chosen[0])]
    if resolve(step.state, source).status == "hole":
        return f"{chosen[0]} was skipped"
    failed = final_failure(step.state, source)
    return f"{chosen[0]} failed after its inputs had changed" if failed else ""


def _moving(step: Step, instance: Instance, element: Element, position: str, waits: Await) -> Found:
    """What is there now is recorded, and kept by replays: it holds from here on (2.1, 2.2)."""
    evaluation = element.evaluation
    assert evaluation is not None
    names = tuple(source_name(source) for source in waits.sources)
    earlier = evaluation.decisions.get(position)
    if earlier is not None and earlier.kind == waits.kind and earlier.candidates == names:
        return earlier.outcome["values"], tuple(earlier.outcome["digests"])
    take: Take = "latest" if waits.kind == "latest" else "streaming"
    found = [resolve(step.state, source, take=take) for source in waits.sources]
    if any(one.status not in ("current", "stale") for one in found):
        return None
    values, digests = [one.value for one in found], [one.digest for one in found]
    outcome: dict[str, Any] = {"values": values, "digests": digests}
    if waits.kind == "peek":
        outcome["origins"] = [list(one.origins) for one in found]
    step.emit(ev.Decided(instance.path, element.eid, position, waits.kind, names, names, outcome))
    return values, tuple(digests)
