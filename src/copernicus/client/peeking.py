"""Looking at jobs while they run: outputs so far, series as tables, the log as it grows."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from copernicus.client.files import BlobPort
from copernicus.client.values import RemoteFile, revive
from copernicus.errors import NotFound
from copernicus.protocol import JobView, PartialView

if TYPE_CHECKING:
    from copernicus.client.transport import Transport

LIVE = ("queued", "running", "stopping")
WAIT_S = 30.0
LOOK_S = 1.0
_KNOWN = 200


@dataclass(frozen=True)
class Peek:
    """What a running job has made so far.

    Attributes:
        path: the output, of one job.
        value: as of ``Project.get``; None: there is nothing yet.
        age_s: how long ago it was taken, in seconds.
        step: certainly reached then, of ``total``, where the job says it.
        attempt: number of the attempt that made it; what it gave goes when it ends.
        host: where that runs.
    """

    path: str
    value: Any
    age_s: float
    step: float | None
    total: float | None
    attempt: int
    host: str


@dataclass(frozen=True)
class Series:
    """A table that grows while a job runs; ``rows`` by line, None where a number is missing.

    Attributes:
        name: of the series.
        columns: names, with units in parentheses.
        rows: the numbers.
        view: whose it is, how old, whether its job still runs.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[float | None, ...], ...]
    view: PartialView

    def __getitem__(self, column: str) -> list[float | None]:
        """The numbers of one column, by its name with or without the unit.

        Raises:
            NotFound: There is no such column.
        """
        index = self.columns.index(self.find(column))
        return [row[index] for row in self.rows]

    def find(self, column: str) -> str:
        """The full name of a column.

        Raises:
            NotFound: There is none of this name.
        """
        for name in self.columns:
            if column.lower() in (name.lower(), name.partition(" (")[0].lower()):
                return name
        raise NotFound(
            f"series {self.name} has no column {column!r}; it has: {', '.join(self.columns)}"
        )

    def to_pandas(self) -> Any:
        """The table as a ``pandas.DataFrame`` (pandas must be installed)."""
        import pandas as pd  # type: ignore[import-not-found,import-untyped,unused-ignore]

        return pd.DataFrame(list(self.rows), columns=list(self.columns))


class Peeking:
    """The part of ``Project`` that looks at jobs while they run."""

    _transport: Transport
    _base: str
    files: BlobPort

    def partial(self, path: str, wait_s: float = WAIT_S) -> list[Peek]:
        """What running jobs have made so far of an output; of a mapped one, of all that run.

        Their workers are asked, which takes a heartbeat; after ``wait_s`` seconds there is what
        the server has, which ``age_s`` tells.

        Raises:
            NotFound: There is no such output.
            BadValue: It means nothing before its job has ended.
            Conflict: No job of it runs; says why.
        """
        views = self._transport.get(
            f"{self._base}/partial", list[PartialView], path=path, wait_s=wait_s
        )
        return [
            Peek(
                view.path,
                revive(view.value, self.files),
                view.age_s,
                view.step,
                view.total,
                view.attempt,
                view.host,
            )
            for view in views
        ]

    def peek(self, path: str, wait_s: float = WAIT_S) -> Any:
        """What a running job has made so far of an output; errors as ``partial``.

        Raises:
            NotFound: There is nothing of it yet, or it is of several jobs that run.
        """
        found = self.partial(path, wait_s)
        if len(found) != 1:
            raise NotFound(f"{len(found)} jobs of {path} run: name one, or use partial")
        if found[0].value is None:
            raise NotFound(f"{path} has nothing yet: its job has not written any of it")
        return found[0].value

    def series(self, path: str, wait_s: float = WAIT_S) -> list[Series]:
        """The series of a job, running or ended, as tables.

        Raises:
            NotFound: There is no such instance or element, or its function declares no series.
            Conflict: It neither runs nor has ended; says why.
        """
        views = self._transport.get(
            f"{self._base}/series", list[PartialView], path=path, wait_s=wait_s
        )
        return [_table(view, revive(view.value, self.files)) for view in views]

    def watched(self, job: str) -> JobView:
        """A job whose log is to come often for a while."""
        return self._transport.get(
            f"{self._base}/jobs/{quote(job, safe='')}", JobView, watch="true"
        )

    def follow_log(self, job: str) -> Iterator[str]:
        """What a job prints, as it comes, from the lines known now until the job has ended."""
        reader = LogReader()
        while True:
            view = self.watched(job)
            yield from reader.new(view)
            if view.state not in LIVE:
                return
            time.sleep(LOOK_S)


class LogReader:
    """Finds what is new in the end of a log that is looked at again and again."""

    def __init__(self) -> None:
        self._attempt = 0
        self._end = 0
        self._last = ""

    def new(self, view: JobView) -> Iterator[str]:
        """The text that was not there at the last look; says where some was missed."""
        if view.attempts != self._attempt:
            if self._attempt:
                yield f"\n--- attempt {view.attempts} on {view.host}\n"
            self._attempt, self._end, self._last = view.attempts, 0, ""
        if view.log_end:
            yield from self._of_running(view)
        elif view.log_tail and view.state not in LIVE:
            known = self._last[-_KNOWN:]
            before, found, rest = view.log_tail.rpartition(known) if known.strip() else ("", "", "")
            text = rest if found else before or view.log_tail
            self._last = view.log_tail
            yield text

    def _of_running(self, view: JobView) -> Iterator[str]:
        tail = view.log_tail.encode()
        start = view.log_end - len(tail)
        if view.log_end <= self._end:
            return
        if self._end and start > self._end:
            yield f"\n--- {start - self._end} bytes are not shown\n"
        text = tail[max(0, self._end - start) :].decode("utf-8", "replace")
        self._end = view.log_end
        self._last += text
        self._last = self._last[-_KNOWN:]
        yield text


def _table(view: PartialView, file: Any) -> Series:
    if not isinstance(file, RemoteFile):
        return Series(view.name, (), (), view)
    lines = list(csv.reader(io.StringIO(file.read_text())))
    rows = tuple(tuple(_number(cell) for cell in line) for line in lines[1:])
    return Series(view.name, tuple(lines[0]) if lines else (), rows, view)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def thinned(numbers: Sequence[float | None], width: int) -> list[float]:
    """At most ``width`` means of neighbours, missing numbers left out."""
    known = [number for number in numbers if number is not None]
    if len(known) <= width:
        return known
    edges = [round(index * len(known) / width) for index in range(width + 1)]
    return [sum(known[a:b]) / (b - a) for a, b in pairwise(edges) if b > a]
