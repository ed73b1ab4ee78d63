"""Decisions: what depends on order is decided once, recorded, and kept (SEMANTICS 5)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import msgspec

from copernicus.engine.instances import Instance
from copernicus.engine.lists import Tally
from copernicus.engine.resolve import decision_of
from copernicus.engine.tallies import UNDECIDED, final_failure, lapsed, tally_of
from copernicus.engine.transaction import Step, frozen_before
from copernicus.model import events as ev
from copernicus.model.network import Collect, OutRef, Source
from copernicus.model.values import digest


def source_name(source: Source) -> str:
    """A name for a candidate that is the same in every replay."""
    if isinstance(source, OutRef):
        element = f"[{source.element}]" if source.element else ""
        steps = "".join(f".{step}" for step in source.steps)
        return f"{source.path}{element}.{source.port}{steps}"
    return digest(repr(source))[:16]


def decide_lists(step: Step, instance: Instance) -> None:
    """Decide the lists with ``at_least`` among an instance's inputs, as far as that can be done."""
    for source in list(instance.inputs.values()):
        if isinstance(source, Collect):
            decide_list(step, source)


def decide_list(step: Step, source: Collect) -> None:
    """Choose the elements of a list that is complete with ``at_least`` of them."""
    state = step.state
    if source.owner is None or source.decision is None:
        return
    path, eid = source.owner
    element = state.instances[path].elements[eid]
    branch, _, _ = source.decision.rpartition(":")
    segments = element.evaluation.branches.get(branch) if element.evaluation else None
    if segments is None or frozen_before(element, branch, len(segments.segments)):
        return
    decision = decision_of(state, source)
    if decision is not None:
        reason = lapsed(state, source, decision)
        if not reason:
            return
        step.emit(ev.DecisionLapsed(path, eid, source.decision, reason))
    if source.tolerate is not None:
        _decide_tolerant(step, source, source.tolerate)
        return
    tally = tally_of(state, source)
    done = tally.counts.get("current", 0)
    possible = len(tally.items) - tally.counts.get("hole", 0)
    needed = min(max(1, source.at_least or 0), possible)
    if done < needed:
        return
    assert element.evaluation is not None
    if source.decision in element.evaluation.reopened:
        needed = done
    candidates = tuple(item.eid for item in source.items)
    chosen = tuple(islice(_standing(tally, "current"), needed))
    step.emit(ev.Decided(path, eid, source.decision, "at_least", candidates, chosen))


def _standing(tally: Tally, word: str) -> Iterator[str]:
    pairs = zip(tally.items, tally.standings, strict=True)
    return (item.eid for item, standing in pairs if standing == word)


def _decide_tolerant(step: Step, source: Collect, tolerate: int) -> None:
    """Decide a list when all of it is there or has failed for good, if few enough have."""
    assert source.owner is not None
    assert source.decision is not None
    tally = tally_of(step.state, source)
    if tally.counts.get(UNDECIDED) or tally.counts.get("failed", 0) > tolerate:
        return
    failures: dict[str, object] = {}
    failing = set(_standing(tally, "failed"))
    for item in source.items if failing else ():
        failed = final_failure(step.state, item.source) if item.eid in failing else None
        if failed is not None:
            told = msgspec.to_builtins(failed.failure)
            failures[item.eid] = {
                "failure": told,
                "digest": failed.digest,
                "name": source_name(item.source),
            }
    candidates = tuple(item.eid for item in source.items)
    chosen = tuple(_standing(tally, "current"))
    at, eid = source.owner
    step.emit(ev.Decided(at, eid, source.decision, "tolerate", candidates, chosen, failures))
