"""The rows in memory, and which of them are to be stored: every change goes through ``put``."""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import Any

import msgspec

from copernicus.errors import NotFound
from copernicus.model.jobs import AttemptRecord, CheckpointRef, JobSpec
from copernicus.scheduling.jobs import Jobs
from copernicus.scheduling.rows import (
    ENDED,
    AttemptRow,
    CheckpointRow,
    JobRow,
    Note,
    Row,
    job_of_attempt,
)


class Book:
    """Jobs, attempts and checkpoints by key; what follows from them by index."""

    def __init__(self, keep_ended: int) -> None:
        self.jobs = Jobs()
        self.attempts: dict[str, dict[int, AttemptRow]] = {}
        self.checkpoints: dict[tuple[str, str], CheckpointRow] = {}
        self.held_by: defaultdict[str, dict[str, AttemptRow]] = defaultdict(dict)
        self.load: defaultdict[str, int] = defaultdict(int)
        self.notes: list[Note] = []
        self.dropped: list[CheckpointRef] = []
        self._changed: dict[tuple[str, ...], Row] = {}
        self._ended: dict[str, None] = {}
        self._keep_ended = keep_ended

    def job(self, job: str) -> JobRow:
        """The row of a job.

        Raises:
            NotFound: The queue does not know it (any more).
        """
        row = self.jobs.get(job)
        if row is None:
            raise NotFound(f"there is no job {job} in the queue; it may have ended long ago")
        return row

    def attempt(self, attempt: str) -> AttemptRow | None:
        """The row of an attempt by its id on the wire."""
        found = job_of_attempt(attempt)
        return self.attempts.get(found[0], {}).get(found[1]) if found else None

    def last(self, row: JobRow) -> AttemptRow | None:
        """The newest attempt of a job."""
        return self.attempts.get(row.id, {}).get(row.attempts)

    def live(self, job: str) -> AttemptRow | None:
        """The attempt of a job whose lease runs; there is at most one, the newest."""
        row = self.jobs.get(job)
        last = self.last(row) if row else None
        return last if last and last.state == "live" else None

    def put(self, row: Row, *, store: bool = True) -> None:
        """Replace a row. With ``store`` it is handed out by the next ``take``."""
        match row:
            case JobRow():
                self.jobs.put(row)
                key: tuple[str, ...] = ("job", row.id)
                self._age(row)
            case AttemptRow():
                self._put_attempt(row)
                key = ("attempt", row.id)
            case CheckpointRow():
                self.checkpoints[row.project, row.key] = row
                key = ("checkpoint", row.project, row.key)
        if store:
            self._changed[key] = row

    def change(self, row: JobRow, **fields: Any) -> JobRow:
        """Replace fields of a job; returns the new row."""
        new = msgspec.structs.replace(row, **fields)
        self.put(new)
        return new

    def change_attempt(self, row: AttemptRow, **fields: Any) -> AttemptRow:
        """Replace fields of an attempt; returns the new row."""
        new = msgspec.structs.replace(row, **fields)
        self.put(new)
        return new

    def _put_attempt(self, row: AttemptRow) -> None:
        attempts = self.attempts.setdefault(row.job, {})
        old = attempts.get(row.number)
        attempts[row.number] = row
        project = self.jobs[row.job].project
        self.load[project] += _cores(row) - (_cores(old) if old else 0)
        if not self.load[project]:
            del self.load[project]
        if row.state == "live":
            self.held_by[row.worker][row.id] = row
        elif row.worker in self.held_by:
            self.held_by[row.worker].pop(row.id, None)
            if not self.held_by[row.worker]:
                del self.held_by[row.worker]

    def _age(self, row: JobRow) -> None:
        self._ended.pop(row.id, None)
        if row.state in ENDED:
            self._ended[row.id] = None

    def forget_old(self) -> tuple[str, ...]:
        """Drop the oldest ended jobs beyond the number kept; those still held by a worker stay."""
        surplus = len(self._ended) - self._keep_ended
        if surplus <= 0:
            return ()
        free = (job for job in self._ended if self.live(job) is None)
        dropped = tuple(islice(free, surplus))
        for job in dropped:
            del self._ended[job]
            self.jobs.drop(job)
            self.attempts.pop(job, None)
        return dropped

    def take(self) -> list[Row]:
        """The rows changed since the last call, the newest of each key, in order of change."""
        rows = list(self._changed.values())
        self._changed.clear()
        return rows

    def records(self, job: str) -> tuple[AttemptRecord, ...]:
        """What the trace keeps: the attempts of a job of which anything was ever heard."""
        attempts = sorted(self.attempts.get(job, {}).values(), key=lambda row: row.number)
        return tuple(record_of(row) for row in attempts if row.heard)


def _cores(row: AttemptRow) -> int:
    return row.cores if row.state == "live" else 0


def resumable(spec: JobSpec | None) -> bool:
    """Whether jobs of this kind have checkpoints."""
    return spec is not None and spec.command is not None and spec.command.checkpoint is not None


def record_of(row: AttemptRow) -> AttemptRecord:
    """An attempt as the trace keeps it."""
    return AttemptRecord(
        number=row.number,
        worker=row.worker,
        host=row.host,
        program_version=row.program_version,
        cores=row.cores,
        started=row.started,
        ended=row.ended,
        outcome=row.outcome,
        exit_code=row.exit_code,
        checkpoint=row.checkpoint,
        series=row.series,
        peak_memory_mb=row.peak_memory_mb,
        rate=row.rate,
        rate_unit=row.rate_unit,
    )
