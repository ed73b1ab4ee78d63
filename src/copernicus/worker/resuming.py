"""The checkpoint that an attempt goes on from: checked before, replaced or blamed after.

Programs trust what they are given: GROMACS runs on from the state of another window, or from one
with a flipped byte, without a word, and starts from the beginning if there is no state at all. So
that nothing of this happens, a checkpoint is used only if it is of this very work (its key), whole
(its hashes) and complete (its required files).
"""

from __future__ import annotations

import shutil

import msgspec

from copernicus.blobs import DamagedBlob
from copernicus.errors import CopernicusError, NotFound
from copernicus.model.jobs import Checkpoint, CheckpointRef, Failure
from copernicus.worker.bench import Bench
from copernicus.worker.folder import fits
from copernicus.worker.outcome import AttemptFailed
from copernicus.worker.patterns import find


class Resuming:
    """What one attempt goes on from, if anything."""

    def __init__(self, bench: Bench, rule: Checkpoint | None) -> None:
        self._bench = bench
        self._rule = rule
        self._ref: CheckpointRef | None = bench.assignment.checkpoint
        self._spares = dict(rule.spares) if rule else {}

    def check(self) -> None:
        """See that the checkpoint is of this work, and has all that it must have.

        Raises:
            AttemptFailed: It is not, or has not.
        """
        ref, rule = self._ref, self._rule
        if ref is None:
            return
        if ref.key != self._bench.assignment.spec.checkpoint_key:
            raise _unusable("it is of other work")
        paths = [file.path for file in ref.files]
        for pattern in rule.required if rule else ():
            if not any(fits(path, pattern) for path in paths):
                raise _unusable(f"it lacks {pattern!r}")

    def cannot_be_had(self, path: str, error: CopernicusError) -> AttemptFailed | None:
        """The failure of an attempt that does not get this file of its checkpoint.

        None if the file may still be had: the trouble is another.
        """
        if isinstance(error, DamagedBlob | NotFound):
            return _unusable(f"{path} is damaged or missing at the server: {error.message}")
        return None

    def put_spares(self, log: str) -> bool:
        """Put older copies of its files in their places, if the log says that it is damaged."""
        if not self._is_damaged(log):
            return False
        folder, found = self._bench.folder, False
        for path, spare in self._spares.items():
            if folder.matching(spare):
                with folder.reading(spare) as source, folder.writing(path) as target:
                    shutil.copyfileobj(source, target)
                self._bench.log.note(f"[copernicus] {path} cannot be used: {spare} is taken")
                found = True
        self._spares.clear()
        return found

    def blamed(self, failure: Failure, log: str) -> Failure:
        """The failure, held against the checkpoint if the log says so."""
        if not self._is_damaged(log):
            return failure
        return msgspec.structs.replace(failure, bad_checkpoint=True)

    def _is_damaged(self, log: str) -> bool:
        damaged = self._rule.damaged if self._rule and self._ref else ()
        return any(find(expression, log) for expression in damaged)


def _unusable(why: str) -> AttemptFailed:
    reason = f"the checkpoint that the job was to go on from cannot be used: {why}"
    return AttemptFailed(Failure(reason, "infrastructure", bad_checkpoint=True))
