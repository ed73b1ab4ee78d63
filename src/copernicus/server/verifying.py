"""Verifying what peers gave: chosen results run again elsewhere, and are compared.

What is decided is decided in ``scheduling.verifying``; here it is carried out. The second run is
queued in the transaction that takes the result, and what it tells is kept in the transaction that
takes its own: a crash in between loses neither. It is never repeated, and the value stays.
"""

from __future__ import annotations

import msgspec

from copernicus.engine.instances import Activation
from copernicus.engine.tracing import trace_step
from copernicus.model.verification import Outcome, Tally
from copernicus.scheduling.book import record_of
from copernicus.scheduling.rows import ENDED, activation_of
from copernicus.scheduling.verifying import Made, choose, judge
from copernicus.server.batch import Batch
from copernicus.server.holdings import Project
from copernicus.server.peers import PEERS
from copernicus.server.reproducing import made_again_by, places_of, verify_again
from copernicus.server.verifications import (
    CHECKED,
    DOUBTS,
    TALLIES,
    Doubt,
    is_verifying,
)

_ACTOR = "server"


def settle(batch: Batch) -> None:
    """Pass reports and effects on until nothing moves, and verify what has ended by it."""
    batch.settle()
    while batch.ended:
        ended, batch.ended = batch.ended, []
        for project_id, job in ended:
            project = batch.holdings.projects.find(project_id)
            if project is not None and is_verifying(job):
                _judge(batch, project, job)
            elif project is not None:
                _choose(batch, project, job)
        batch.settle()


def tally_of(batch: Batch, project: str) -> Tally:
    """What became of those results of a project that were chosen to be verified."""
    kept = batch.holdings.verifications.tallies.get(project, Tally())
    return msgspec.structs.replace(kept, open=len(_open(batch, project)))


def _choose(batch: Batch, project: Project, job: str) -> None:
    """Start the second run of a result if it is one of those that are verified."""
    verifications, project_id = batch.holdings.verifications, project.record.id
    kept = verifications.rules.get(project_id)
    if kept is None or not kept.rule.fraction:
        return
    found = project.state.activations.get(activation_of(job))
    if found is None or found.job is None:
        return
    made = Made(job, found.job.function, places_of(found), _is_repeatable(project, found))
    still_open = _open(batch, project_id)
    choice = choose(kept.rule, kept.key, made, batch.holdings.peers.records, len(still_open))
    if choice == "run":
        still_open.add(verify_again(batch, project, found))
        batch.audit(_ACTOR, "", "project.verify", f"{project.record.name}: {found.id}")
    elif choice == "left_out":
        _count(batch, project_id, "left_out")


def _is_repeatable(project: Project, made: Activation) -> bool:
    """Whether equal inputs must give an equal result: also from the start, by one job."""
    if made.job is None or made.outcome != "succeeded" or made.parent or made.superseded_by:
        return False
    spec = project.state.functions.get(made.job.function, {}).get(made.version)
    return spec is not None and not spec.stochastic


def _open(batch: Batch, project: str) -> set[str]:
    """The second runs that have not ended; those that have are forgotten."""
    scheduler, known = batch.holdings.scheduler, batch.holdings.verifications.open
    rows = {job: scheduler.job_row(job) for job in known.get(project, ())}
    known[project] = {job for job, row in rows.items() if row and row.state not in ENDED}
    return known[project]


def _count(batch: Batch, project: str, what: Outcome) -> None:
    tally = batch.holdings.verifications.add(project, what)
    batch.touched.add(project)
    batch.write(TALLIES.keep(project, tally))


def _judge(batch: Batch, project: Project, job: str) -> None:
    """Count what a second run has told, and set those aside who are doubted for it."""
    made, row = made_again_by(project, job), batch.job_row(job)
    if made is None or row is None:
        return
    verifications, peers = batch.holdings.verifications, batch.holdings.peers.records
    tolerance = verifications.rule(project.record.id).tolerance
    attempts = map(record_of, batch.holdings.scheduler.attempt_rows(job))
    again = tuple(sorted({one.worker for one in attempts if one.outcome == "completed"}))
    places = (places_of(made), again)
    found = judge(made.outputs, row.outputs, tolerance, places, peers)
    _count(batch, project.record.id, found.verdict)
    for peer in found.verified:
        checked = verifications.count(peer, differs=found.verdict == "differed")
        batch.write(CHECKED.keep(peer, checked))
    if found.verdict == "failed":
        reason = row.failure.reason[:200] if row.failure else row.state
        thing = f"{project.record.name}: {made.id}: {reason}"
        batch.audit(_ACTOR, "", "project.verify", thing, "failed")
    elif found.verdict == "differed":
        says = _doubt(batch, project, made, places)
        for peer in found.doubted:
            _set_aside(batch, peer, f"{project.record.name}: {says}")


def _doubt(
    batch: Batch, project: Project, made: Activation, places: tuple[tuple[str, ...], ...]
) -> str:
    """Keep that a result is in doubt; in words."""
    project_id, path = project.record.id, trace_step(project.state, made).path
    first, second = (", ".join(_name(batch, one) for one in run) for run in places)
    says = (
        f"{path} ({made.id}) was not the same on {second} as on {first}: compare them with "
        f"cpc reproduce '{path}' --elsewhere; cpc retry '{path}' makes it anew"
    )
    doubts = batch.holdings.verifications.doubt(project_id, Doubt(made.id, says))
    batch.write(DOUBTS.keep(project_id, doubts))
    return says


def _set_aside(batch: Batch, peer: str, says: str) -> None:
    """Give a peer no more work, at once; what it holds goes back, so that it cannot spoil that."""
    doubt = f"{says}; cpc peer resume {peer} gives it work again"
    record = msgspec.structs.replace(batch.holdings.peers.records[peer], doubt=doubt)
    batch.holdings.peers.records[peer] = record
    batch.write(PEERS.keep(peer, record))
    batch.holdings.scheduler.drain(peer)
    batch.holdings.scheduler.take_back(peer, batch.now)
    batch.sent_away.append(peer)
    batch.audit(_ACTOR, "", "peer.doubt", f"{peer} {says}")


def _name(batch: Batch, worker: str) -> str:
    peer = batch.holdings.peers.records.get(worker)
    if peer is not None:
        return f"peer {peer.name} ({worker})"
    known = batch.holdings.machines.workers.get(worker)
    return known.host if known is not None else worker
