"""Builders for the scheduler's tests: jobs, workers, requests, in one line each."""

from __future__ import annotations

from itertools import count
from typing import Any

from copernicus.model.jobs import (
    Checkpoint,
    Command,
    Failure,
    JobSpec,
    Line,
    Number,
    StoredFile,
    TaskCall,
)
from copernicus.model.reports import JobEnded, JobStopped, PartialGiven, PartialWithdrawn
from copernicus.model.resources import Offer, ProgramNeed, ProgramOffer, Resources
from copernicus.protocol import (
    Ahead,
    Assignment,
    Beat,
    CheckpointRequest,
    Directive,
    LeaseRequest,
    PartialRequest,
    ResultRequest,
)
from copernicus.scheduling.quarantine import QuarantineRow
from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow, Row
from copernicus.scheduling.scheduler import Scheduler
from copernicus.scheduling.settings import SchedulerSettings
from copernicus.scheduling.workers import WorkerInfo


def spec(
    key: str = "k",
    *,
    program: str = "md",
    versions: str = "",
    checkpoint: bool = True,
    limit: float | None = None,
    job_errors: int = 2,
    worker_losses: int = 5,
    memory_growths: int = 3,
    backoff_s: float = 5.0,
    **resources: Any,
) -> JobSpec:
    files = Checkpoint(("*.cpt",), ("*.cpt",), Number("*.cpt", r"(\d+)"), limit)
    return JobSpec(
        function="test.run",
        function_version="1",
        program=ProgramNeed(program, versions),
        inputs_digest="d",
        checkpoint_key=key,
        command=Command((Line(("{program}",)),), checkpoint=files) if checkpoint else None,
        task=None if checkpoint else TaskCall("m:f", {}),
        resources=Resources(**resources),
        job_errors=job_errors,
        worker_losses=worker_losses,
        memory_growths=memory_growths,
        backoff_s=backoff_s,
    )


def offer(cores: int = 1, *, program: str = "md", version: str = "2022.5", **more: Any) -> Offer:
    return Offer((ProgramOffer(program, version),), cores, **{"memory_mb": 100_000, **more})


class Desk:
    """A scheduler with a clock in the hand of the test, and a store that keeps its rows."""

    def __init__(self, settings: SchedulerSettings | None = None) -> None:
        self.settings = settings or SchedulerSettings()
        self.scheduler = Scheduler(self.settings)
        self.now = 1000.0
        self.stored: dict[tuple[str, ...], Row] = {}
        self.asides: dict[str, QuarantineRow] = {}
        self.ends: dict[str, list[JobEnded]] = {}
        self.stops: dict[str, list[JobStopped]] = {}
        self.partials: list[PartialGiven | PartialWithdrawn] = []
        self._requests = count(1)
        self._seq = count(1)

    def save(self) -> None:
        self.asides.update({row.worker: row for row in self.scheduler.take_quarantine()})
        """What the runtime does after each call."""
        for row in self.scheduler.take_records():
            self.stored[key_of(row)] = row
        for note in self.scheduler.take_notes():
            if isinstance(note.report, JobEnded):
                self.ends.setdefault(note.job, []).append(note.report)
            elif isinstance(note.report, JobStopped):
                self.stops.setdefault(note.job, []).append(note.report)
            else:
                self.partials.append(note.report)
        self.scheduler.check()

    def restart(self) -> None:
        self.scheduler = Scheduler(self.settings)
        rows = self.stored.values()
        self.scheduler.restore(
            [row for row in rows if isinstance(row, JobRow)],
            [row for row in rows if isinstance(row, AttemptRow)],
            [row for row in rows if isinstance(row, CheckpointRow)],
            self.now,
        )
        self.scheduler.restore_quarantine(self.asides.values())
        self.save()

    def submit(
        self,
        job: str = "p.a1",
        job_spec: JobSpec | None = None,
        *,
        version: int = 1,
        parent: str | None = None,
        on_hold: bool = False,
    ) -> str:
        project = job.rpartition(".")[0]
        wanted = job_spec or spec(key=job)
        self.scheduler.submit(job, project, version, wanted, parent, on_hold, self.now)
        self.save()
        return job

    def cancel(self, job: str = "p.a1", *, version: int = 2, checkpoint: bool = True) -> None:
        self.scheduler.cancel(job, version, checkpoint, self.now)
        self.save()

    def lease(
        self,
        worker: str = "w1",
        offered: Offer | None = None,
        *,
        request: str | None = None,
        ahead: tuple[Ahead, ...] = (),
    ) -> list[Assignment]:
        name = request or f"r{next(self._requests)}"
        asked = LeaseRequest(name, offered or offer(), ahead=ahead)
        found = self.scheduler.lease(WorkerInfo(worker, f"host-{worker}"), asked, self.now)
        self.save()
        return found

    def one(self, worker: str = "w1", offered: Offer | None = None) -> Assignment:
        (found,) = self.lease(worker, offered)
        return found

    def beat(self, assignment: Assignment, worker: str = "w1", *, seq: int | None = None) -> str:
        return self.directive(assignment, worker, seq=seq).action

    def directive(
        self, assignment: Assignment, worker: str = "w1", *, seq: int | None = None, log: str = ""
    ) -> Directive:
        number = next(self._seq) if seq is None else seq
        beat = Beat(assignment.attempt, number, None, log or None, len(log))
        (directive,) = self.scheduler.heartbeat(worker, [beat], self.now)
        self.save()
        return directive

    def give(
        self,
        assignment: Assignment,
        worker: str = "w1",
        *,
        seq: int | None = None,
        wish: int = 0,
        **outputs: Any,
    ) -> None:
        number = next(self._seq) if seq is None else seq
        request = PartialRequest(assignment.attempt, number, outputs, 7.0, wish)
        self.scheduler.partial(worker, request, self.now)
        self.save()

    def point(
        self,
        assignment: Assignment,
        step: float | None,
        *,
        seq: int | None = None,
        key: str | None = None,
    ) -> CheckpointRequest:
        number = next(self._seq) if seq is None else seq
        files = (StoredFile("state.cpt", f"{assignment.attempt}-{number}", 10),)
        used = assignment.spec.checkpoint_key if key is None else key
        return CheckpointRequest(assignment.attempt, number, used, files, step)

    def checkpoint(
        self,
        assignment: Assignment,
        step: float | None,
        worker: str = "w1",
        *,
        seq: int | None = None,
        key: str | None = None,
    ) -> None:
        request = self.point(assignment, step, seq=seq, key=key)
        self.scheduler.checkpoint(worker, request, self.now)
        self.save()

    def complete(
        self, assignment: Assignment, value: Any = 1, worker: str = "w1", **more: Any
    ) -> str:
        return self._result(assignment, worker, "completed", outputs={"out": value}, **more)

    def fail(
        self,
        assignment: Assignment,
        cause: Any = "job_error",
        worker: str = "w1",
        exit_code: int | None = 1,
        **more: Any,
    ) -> str:
        failure = Failure("the program failed", cause, exit_code, "last lines", **more)
        return self._result(assignment, worker, "failed", failure=failure)

    def stop(self, assignment: Assignment, worker: str = "w1", step: float | None = None) -> str:
        last = None if step is None else self.point(assignment, step)
        return self._result(assignment, worker, "stopped", checkpoint=last)

    def _result(self, assignment: Assignment, worker: str, outcome: Any, **more: Any) -> str:
        request = ResultRequest(assignment.attempt, next(self._seq), outcome, **more)
        verdict = self.scheduler.result(worker, request, self.now)
        self.save()
        return verdict

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.scheduler.tick(self.now)
        self.save()

    def state(self, job: str = "p.a1") -> str:
        row = self.scheduler.job_row(job)
        assert row is not None
        return row.state


def key_of(row: Row) -> tuple[str, ...]:
    match row:
        case JobRow():
            return ("job", row.id)
        case AttemptRow():
            return ("attempt", row.id)
        case CheckpointRow():
            return ("checkpoint", row.project, row.key)
