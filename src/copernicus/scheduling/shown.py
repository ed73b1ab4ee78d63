"""What the queue tells of itself; asking changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from copernicus.model.jobs import AttemptRecord, CheckpointRef
from copernicus.model.resources import Offer
from copernicus.protocol import Beat, JobView
from copernicus.scheduling import explain, kinds
from copernicus.scheduling.core import Core
from copernicus.scheduling.rows import AttemptRow, CheckpointRow, JobRow
from copernicus.scheduling.workers import WorkerInfo


class Shown:
    """The questions that a ``Scheduler`` answers."""

    _core: Core

    @property
    def arrivals(self) -> int:
        """Grows whenever a job may have become available: wakes requests that wait for work."""
        return self._core.queue.arrivals

    def explain(self, job_id: str, offers: Iterable[tuple[WorkerInfo, Offer]] | None = None) -> str:
        """Why the job does not run now, in one sentence; by default from the offers seen lately.

        Raises:
            NotFound: The job is not known.
        """
        return explain.explain(self._core, job_id, offers)

    def job_view(self, job_id: str) -> JobView:
        """The job as shown; its path is the engine's to add.

        Raises:
            NotFound: The job is not known.
        """
        return explain.view(self._core, job_id)

    def closely(self, shown: JobView) -> JobView:
        """A ``job_view`` with what is shown of one job alone: kinds of workers, measured rates."""
        return kinds.closely(self._core, shown)

    def sign_of(self, job_id: str) -> Beat | None:
        """What the live attempt of a job told last, if there is one."""
        live = self._core.book.live(job_id)
        lease = self._core.leases.get(live.id) if live else None
        if live is None or lease is None:
            return None
        return Beat(live.id, lease.seq, lease.progress, lease.log_tail or None, lease.log_end)

    def newest_checkpoint(self, job_id: str) -> CheckpointRef | None:
        """The checkpoint from which a job would go on now."""
        row = self._core.book.jobs.get(job_id)
        return self._core.newest(row) if row else None

    def parts_of(self, job_id: str) -> int:
        """How many parts of a job's work have been begun."""
        row = self._core.book.jobs.get(job_id)
        return (
            self._core.line(row.project, row.spec.checkpoint_key).started if row and row.spec else 0
        )

    def cores_of(self, worker_id: str) -> int:
        """How many cores a worker's attempts hold."""
        return sum(row.cores for row in self._core.book.held_by.get(worker_id, {}).values())

    def attempt_rows(self, job_id: str) -> list[AttemptRow]:
        """The attempts of a job that is known, by number."""
        attempts = self._core.book.attempts.get(job_id, {})
        return [attempts[number] for number in sorted(attempts)]

    def job_row(self, job_id: str) -> JobRow | None:
        """The row of a job, if it is known."""
        return self._core.book.jobs.get(job_id)

    def attempt_records(self, job_id: str) -> tuple[AttemptRecord, ...]:
        """The attempts of a job of which anything was ever heard, oldest first."""
        return self._core.book.records(job_id)

    def queue_sizes(self) -> dict[str, int]:
        """How many queued jobs are offered, wait for a back-off, or are kept back."""
        return self._core.queue.sizes()

    def lease_count(self) -> int:
        """How many attempts are held by workers."""
        return sum(map(len, self._core.book.held_by.values()))

    def job_ids(self) -> Iterator[str]:
        """The ids of all jobs that are in memory."""
        return iter(self._core.book.jobs)

    def jobs_of(self, project: str) -> list[JobRow]:
        """The jobs of a project that are in memory."""
        return list(self._core.book.jobs.of(project))

    def in_order(self, project: str, *, newest_first: bool = False) -> Iterator[JobRow]:
        """As ``jobs_of``, one after the other, for those who want the first few only."""
        return self._core.book.jobs.of(project, newest_first=newest_first)

    def leased_of(self, project: str) -> list[JobRow]:
        """The jobs of a project that workers hold, in the order of the queue."""
        book = self._core.book
        held = {attempt.job for some in book.held_by.values() for attempt in some.values()}
        rows = filter(None, map(book.jobs.get, held))
        found = (row for row in rows if row.project == project and row.state == "leased")
        return sorted(found, key=lambda row: row.order)

    def checkpoints_of(self, project: str) -> list[CheckpointRow]:
        """What the project's work can continue from."""
        return [row for row in self._core.book.checkpoints.values() if row.project == project]

    def attempts_of(self, worker_id: str) -> list[str]:
        """The attempts that a worker holds."""
        return list(self._core.book.held_by.get(worker_id, ()))
