"""Sees what is committed, granted and acknowledged, and knows what must never happen.

The invariants are those of the failure model: I1 one result, I2 what was acknowledged is kept, I3
attempt numbers, I4 checkpoints, I6 only from who was granted it, I7 files, I8 projects, I9 sums.
(I5, that everything ends, is judged at the end: ``judge``.)
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from copernicus.engine.state import ProjectState
from copernicus.model import events as ev
from copernicus.model.jobs import CheckpointRef
from copernicus.protocol import Assignment, CheckpointRequest, EditReply, ResultRequest
from copernicus.scheduling.rows import ENDED, AttemptRow, CheckpointRow, JobRow
from copernicus.server.files import hashes_in, kept_by
from copernicus.server.holdings import Holdings
from copernicus.server.verifications import is_verifying
from copernicus.store.records import Entry
from support import engine_rules as rules
from support.simulation.disk import Disk, Staged
from support.simulation.functions import FORGED, compute
from support.world import check_fold


class ViolationError(AssertionError):
    """Something happened that must never happen."""


def never(condition: object, invariant: str, about: object = "") -> None:
    if condition:
        raise ViolationError(f"{invariant}: {about}")


class Watch:
    """Kept outside the server: what it held to be true before, with every later word compared."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.commits = self.grants = 0
        self.holders: dict[str, str] = {}
        self.results: dict[str, Any] = {}
        self.jobs: dict[str, JobRow] = {}
        self.attempts: dict[str, AttemptRow] = {}
        self.ends: set[tuple[str, str, str]] = set()
        self.accepted: dict[str, dict[str, Any]] = {}
        self.sent: dict[tuple[str, str], int] = {}
        self.indexed: dict[tuple[str, int, int], int] = {}
        self.holdings: Holdings | None = None

    # --- what is committed

    def committed(self, staged: Staged) -> None:
        """After every commit."""
        entries, rows = staged.entries, staged.rows
        self.commits += 1
        for row in rows:
            match row:
                case JobRow():
                    self._job(row)
                case AttemptRow():
                    self._attempt(row)
                case CheckpointRow():
                    self._line(row)
        for project, entry in entries:
            self._event(project, entry)
        touched = {project for project, _ in entries} | {
            row.project for row in rows if isinstance(row, JobRow)
        }
        if self.holdings is not None:
            for project in sorted(touched):
                self._agree(self.holdings, project)

    def _job(self, row: JobRow) -> None:
        old = self.jobs.get(row.id)
        if old is not None:
            never(row.attempts < old.attempts, "I3 attempt counter went back", row.id)
            never(row.checkpoints < old.checkpoints, "I4 checkpoint counter went back", row.id)
            never(row.version < old.version, "I2 an older wish came back", row.id)
            never(old.digest and row.outputs != old.outputs, "I1 a result changed", row.id)
            never(
                old.state in ("done", "failed") and row.state != old.state,
                "I1 an end was taken back",
                (row.id, old.state, row.state),
            )
        never(_forged(row.outputs), "I6 a forged result", row.id)
        never(row.state == "done" and not row.digest, "I1 done without a result", row.id)
        never(row.state == "failed" and row.failure is None, "I5 failed without a reason", row.id)
        self._files(row.outputs or {}, row.id)
        self.jobs[row.id] = row

    def _attempt(self, row: AttemptRow) -> None:
        old = self.attempts.get(row.id)
        if old is None:
            rows = (self._disk.job(row.job), self.jobs.get(row.job))
            never(not any(one and one.attempts >= row.number for one in rows), "I3 uncounted", row)
        else:
            never(row.worker != old.worker, "I3 an attempt changed hands", row.id)
            never(old.state == "ended" and row.state != "ended", "I1 an attempt rose again", row.id)
            never(row.seq < old.seq, "I4 a checkpoint went back", row.id)
        self.attempts[row.id] = row

    def _line(self, row: CheckpointRow) -> None:
        for ref in row.refs:
            never(ref.key != row.key, "I4 a checkpoint of other work", ref)
            seq = self.sent.get((f"{ref.job}#{ref.attempt}", ref.files[0].sha256))
            never(seq is None, "I6 a checkpoint that its holder never sent", ref)
            assert seq is not None
            self._in_order(ref, seq)
            self._files(msgspec.to_builtins(ref.files), row.key)

    def _in_order(self, ref: CheckpointRef, seq: int) -> None:
        """Within one attempt, a later index was sent later (or is the same, sent again)."""
        self.indexed[ref.job, ref.attempt, ref.index] = seq
        for index in (ref.index - 1, ref.index + 1):
            other = self.indexed.get((ref.job, ref.attempt, index))
            never(
                other is not None and other != seq and (index < ref.index) != (other < seq),
                "I4 checkpoints entered out of order",
                (ref, seq, other),
            )

    def _event(self, project: str, entry: Entry) -> None:
        told: tuple[str, ...] = ()
        match entry.event:
            case ev.ActivationEnded(id=name, outcome="succeeded", outputs=outputs):
                told = (f"{name} end", f"{name} result")
                never(_forged(outputs), "I6 a forged result", name)
                job = self.jobs.get(f"{project}.{name}")
                never(
                    job is not None and job.outputs != outputs,
                    "I1 the project and the queue tell two results",
                    name,
                )
            case ev.ActivationEnded(id=name):
                told = (f"{name} end",)
            case ev.ResultKept(id=name):
                told = (f"{name} result",)
            case ev.JobMade(activation=name):
                told = (f"{name} job",)
        for one in told:
            never((project, one, "") in self.ends, "I1 it happened twice", one)
            self.ends.add((project, one, ""))
        for sha256 in kept_by(entry):
            never(sha256 not in self._disk.blobs, "I7 a file is missing", (project, entry.event))

    def _files(self, value: Any, about: str) -> None:
        for sha256 in hashes_in(value):
            never(sha256 not in self._disk.blobs, "I7 a file is missing", about)

    def _agree(self, holdings: Holdings, project: str) -> None:
        """I9: the work that a project has under way is the work that the queue has for it."""
        found = holdings.projects.find(project)
        if found is None:
            return
        state = found.state
        wanted = {
            f"{project}.{element.open}"
            for instance in state.instances.values()
            for element in instance.elements.values()
            if element.open and state.activations[element.open].job is not None
        }
        known = {row.id for row in holdings.scheduler.jobs_of(project) if row.state not in ENDED}
        again = set(filter(is_verifying, known))
        known -= again
        counted = holdings.verifications.open.get(project, set())
        never(again - counted, "I9 second runs that are not counted", again - counted)
        never(wanted != known, "I9 queue and project differ", (wanted ^ known, project))

    def is_forgotten(self, attempt: str) -> bool:
        """Whether nobody may ask any more what became of an attempt."""
        return False

    # --- what is granted and acknowledged

    def granted(self, worker: str, projects: tuple[str, ...], assignment: Assignment) -> None:
        """A worker got an attempt."""
        self.grants += 1
        attempt = assignment.attempt
        known = self.holders.setdefault(attempt, worker)
        never(known != worker, "I3 one attempt, two workers", (attempt, known, worker))
        never(projects and assignment.project not in projects, "I8 a foreign project", attempt)
        row = self._disk.attempt(attempt)
        never(row is None or row.worker != worker, "I2 granted, but not kept", attempt)
        ref, command = assignment.checkpoint, assignment.spec.command
        if ref is None:
            return
        never(ref.key != assignment.spec.checkpoint_key, "I4 a checkpoint of other work", attempt)
        for file in ref.files:
            never(file.sha256 not in self._disk.blobs, "I7 no checkpoint to go on from", attempt)
        limit = command.checkpoint.limit if command and command.checkpoint else None
        never(limit is not None and (ref.step or 0) > limit, "I4 beyond the limit", attempt)

    def sends(self, request: CheckpointRequest) -> None:
        """A holder is about to send a checkpoint."""
        for file in request.files:
            self.sent.setdefault((request.attempt, file.sha256), request.seq)

    def checkpoint_kept(self, request: CheckpointRequest) -> None:
        """A checkpoint was acknowledged."""
        row = self._disk.attempt(request.attempt)
        never(row is None or row.seq < request.seq, "I2 a checkpoint was lost", request)

    def result_kept(self, request: ResultRequest, verdict: str) -> None:
        """A result was acknowledged."""
        if request.outcome != "completed" or verdict == "superseded":
            return
        job = request.attempt.rpartition("#")[0]
        row = self._disk.job(job)
        never(row is None or row.outputs != request.outputs, "I2 a result was lost", (request, row))
        known = self.accepted.setdefault(job, request.outputs)
        never(known != request.outputs, "I1 two results were accepted", job)

    def edit_kept(self, project: str, reply: EditReply) -> None:
        """An edit was acknowledged."""
        kept = self._disk.projects[project].position
        never(kept < reply.position, "I2 an edit was lost", (project, reply, kept))

    def shown(self, project: str, position: int, last: int) -> None:
        """A listener was told an entry of the journal."""
        never(position != last + 1, "I2 the feed has a gap", (project, last, position))
        never(position > self._disk.projects[project].position, "I2 shown, but not kept", position)


def check_project(state: ProjectState, journal: list[ev.Event]) -> None:
    """At rest: the journal is the truth, all is done that can be, and every result is right."""
    check_fold(state, journal)
    rules.nothing_that_could_fire_is_idle(state)
    rules.no_evaluation_is_left_behind(state)
    rules.what_is_current_rests(state)
    for made in state.activations.values():
        if made.outputs and made.job is not None:
            right = compute(made.job.function, made.inputs)
            found = {port: made.outputs.get(port) for port in right}
            never(found != right, "I1 a wrong result", (made.id, found, right))


def _forged(value: Any) -> bool:
    return any(part == FORGED for part in _parts(value))


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _parts(inner)
    else:
        yield value
