"""Copies of a running job's state that are whole: its state files first, then its data."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import msgspec

from copernicus.model.jobs import Checkpoint, CheckpointRef, StoredFile
from copernicus.worker.folder import JobFolder, fits
from copernicus.worker.growing import GrowingFiles
from copernicus.worker.numbers import read_number
from copernicus.worker.outputs import pending
from copernicus.worker.transfer import Pending

_TRIES = 5
_MOMENT_S = 0.5
Facts = tuple[tuple[str, int, int, int], ...]


class Snapshot(msgspec.Struct, frozen=True):
    """A checkpoint on this machine: files by their path in the job's folder, and its step.

    ``is_given``: its state is still the one that the attempt went on from.
    """

    files: tuple[StoredFile, ...]
    pending: tuple[Pending, ...]
    step: float | None
    facts: Facts
    is_given: bool = False


class Snapshots:
    """Takes the checkpoints of one job; blocking, for a thread of their own."""

    def __init__(
        self, folder: JobFolder, rule: Checkpoint, copies: Path, given: CheckpointRef | None = None
    ) -> None:
        self._given = given
        self._folder = folder
        self._rule = rule
        self._copies = copies
        self._count = 0
        self._growing = GrowingFiles(folder)

    def facts(self) -> Facts | None:
        """What tells one state of the required files from another; None if one is missing."""
        required = self._required()
        if required is None:
            return None
        try:
            return tuple((path, *self._folder.facts(path)) for path in required)
        except OSError:
            return None

    def take(self, *, running: bool = True) -> Snapshot | None:
        """A checkpoint of now, or None if the job has none (or writes it all the time).

        A program says that it writes its state before the new one is there: while it is
        ``running``, the step that was read is believed when the state stays as it is for a moment.
        """
        found = None
        for _ in range(_TRIES):
            facts = self.facts()
            if facts is None:
                return found
            step = read_number(self._folder, self._rule.step) if self._rule.step else None
            copied = self._copy_required([path for path, *_ in facts])
            if copied is None or self.facts() != facts:
                continue
            files = [*copied, *self._others({file.path for file in copied})]
            stored = tuple(StoredFile(f.path, f.sha256, f.size) for f in files)
            if self._given and set(stored[: len(copied)]) <= set(self._given.files):
                # Its logs may go beyond it, and so would the step that they tell.
                return Snapshot(stored, tuple(files), self._given.step, facts, is_given=True)
            found = Snapshot(stored, tuple(files), step, facts)
            if step is None or not running or self._stays(facts):
                return found
        return found

    def _stays(self, facts: Facts) -> bool:
        end = time.monotonic() + _MOMENT_S
        while time.monotonic() < end:
            if self.facts() != facts:
                return False
            time.sleep(_MOMENT_S / 10)
        return True

    def _required(self) -> list[str] | None:
        found: list[str] = []
        for pattern in self._rule.required:
            matching = self._folder.matching(pattern)
            if not matching:
                return None
            found += matching
        return list(dict.fromkeys(found)) or None

    def _copy_required(self, paths: list[str]) -> list[Pending] | None:
        self._count += 1
        target = JobFolder(self._copies / str(self._count % 2))
        shutil.rmtree(target.path, ignore_errors=True)
        os.makedirs(target.path, mode=0o700)  # noqa: PTH103 - with the mode for every level
        try:
            for path in paths:
                with self._folder.reading(path) as source, target.writing(path) as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
            return [pending(target, path) for path in paths]
        except FileNotFoundError:
            return None

    def forget(self) -> None:
        """Files were not what they seemed: read all of them from their beginning the next time."""
        self._growing = GrowingFiles(self._folder)

    def _pending(self, path: str) -> Pending:
        if any(fits(path, pattern) for pattern in self._rule.growing):
            return self._growing.pending(path)
        return pending(self._folder, path)

    def _others(self, taken: set[str]) -> list[Pending]:
        found = []
        for path in self._folder.matching_any(self._rule.files):
            if path in taken:
                continue
            try:
                found.append(self._pending(path))
            except FileNotFoundError:
                continue
        return found
