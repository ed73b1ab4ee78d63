"""The files that jobs need, and which of them a worker has fetched already."""

from __future__ import annotations

from collections.abc import Iterable

from copernicus.model.values import files_in
from copernicus.scheduling.rows import JobRow

Inputs = dict[str, int]
"""Sizes by SHA-256."""

LARGE = 64 << 10
"""Smaller files come with the assignment: it does not matter who has them."""

_MOST_OF_A_JOB = 64
_MOST_OF_A_WORKER = 64


def inputs_of(row: JobRow) -> Inputs:
    """The large files that a job needs, or as many of them as are worth a look."""
    spec = row.spec
    if spec is None:
        return {}
    given: list[object] = [spec.task.inputs] if spec.task else []
    given += [placed.file for placed in (spec.command.files if spec.command else ())]
    found: Inputs = {}
    for file in files_in(given):
        if file.size > LARGE:
            found[file.sha256] = file.size
            if len(found) == _MOST_OF_A_JOB:
                break
    return found


class Held:
    """Which files each worker was given work with lately: they are in its cache."""

    def __init__(self) -> None:
        self._files: dict[str, dict[str, None]] = {}

    def note(self, worker: str, files: Iterable[str]) -> None:
        """A worker fetches these now."""
        for file in files:
            held = self._files.setdefault(worker, {})
            held.pop(file, None)
            held[file] = None
            if len(held) > _MOST_OF_A_WORKER:
                del held[next(iter(held))]

    def has_any(self, worker: str) -> bool:
        """Whether anything is known of a worker."""
        return worker in self._files

    def of(self, worker: str, inputs: Inputs) -> int:
        """How many bytes of a job's files a worker has."""
        held = self._files.get(worker, {})
        return sum(size for file, size in inputs.items() if file in held)

    def forget(self, worker: str) -> None:
        """A worker that is gone."""
        self._files.pop(worker, None)
