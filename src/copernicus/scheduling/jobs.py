"""The rows of all jobs, by id; those that only wait, and are like the one before, in short.

A user queues a hundred thousand jobs at once. Of their rows all is equal but the id, the place in
the queue and the spec: as long as nothing happens to a job, no more is kept of it than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec

from copernicus.model.jobs import JobSpec
from copernicus.scheduling.rows import JobRow


class _Short(msgspec.Struct, frozen=True, gc=False):
    """A row that is ``like`` another one, but for these."""

    like: JobRow
    order: int
    spec: JobSpec

    def row(self, job: str) -> JobRow:
        return msgspec.structs.replace(self.like, id=job, order=self.order, spec=self.spec)


class Jobs(Mapping[str, JobRow]):
    """Rows by id, in the order in which the jobs came."""

    def __init__(self) -> None:
        self._rows: dict[str, JobRow | _Short] = {}
        self._like: JobRow | None = None

    def __getitem__(self, job: str) -> JobRow:
        found = self._rows[job]
        return found if isinstance(found, JobRow) else found.row(job)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, job: object) -> bool:
        return job in self._rows

    def put(self, row: JobRow) -> None:
        """Hold a row in place of the one of the same id."""
        kept: JobRow | _Short = row
        if row.state == "queued" and row.spec is not None and not row.attempts:
            like = msgspec.structs.replace(row, id="", order=0, spec=None)
            if like == self._like:
                kept = _Short(self._like, row.order, row.spec)
            else:
                self._like = like
        self._rows[row.id] = kept

    def sort(self) -> None:
        """Put the jobs into the order of their places in the queue."""
        places = [row.order for row in self._rows.values()]
        if any(after < before for before, after in pairwise(places)):
            self._rows = dict(sorted(self._rows.items(), key=lambda pair: pair[1].order))

    def drop(self, job: str) -> None:
        """Hold it no more."""
        del self._rows[job]

    def order(self, job: str) -> int:
        """The place in the queue of a job that is known."""
        return self._rows[job].order

    def of(self, project: str, *, newest_first: bool = False) -> Iterator[JobRow]:
        """The rows of a project, made one after the other as they are asked for."""
        rows = self._rows.items()
        for job, found in reversed(rows) if newest_first else rows:
            if _like(found).project == project:
                yield found if isinstance(found, JobRow) else found.row(job)

    def on_hold(self, project: str) -> list[JobRow]:
        """Those of a project that were submitted while it was paused."""
        return [
            self[job]
            for job, found in self._rows.items()
            if _like(found).on_hold and _like(found).project == project
        ]


def _like(found: JobRow | _Short) -> JobRow:
    """A row that has what is equal in the whole row."""
    return found if isinstance(found, JobRow) else found.like
