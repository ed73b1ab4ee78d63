"""Named places between any two steps of the server that a kill could tear apart; for tests.

``CPC_CRASH_AT=blob.renamed:3`` kills the process, as ``kill -9`` would, when it comes to that place
for the third time. Without the variable a place costs a comparison. Every place is listed here,
and each is tried by a test.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

VARIABLE: Final = "CPC_CRASH_AT"

POINTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "database.made": "a new database is whole, under another name",
        "database.named": "it has its name, which is not on the disk yet",
        "migration.begun": "in the transaction of a migration, before its first statement",
        "migration.done": "its last statement is done, and not committed",
        "start.counted": "the start is counted, and not committed",
        "start.committed": "it is committed; the number beside the database is not written",
        "epoch.written": "that number is written, under another name",
        "server.loaded": "everything is in memory, nothing is taken up again",
        "server.reopened": "open work is taken up again, no port answers",
        "server.announced": "both ports answer",
        "transaction.begun": "a transaction has begun and changed nothing",
        "transaction.written": "everything is written, and not committed",
        "transaction.committed": "it is on the disk; nobody knows yet",
        "batch.applied": "requests are applied in memory, nothing is written",
        "batch.committed": "they are committed, nobody is answered",
        "batch.answered": "all are answered, those who watch know nothing",
        "batch.published": "those who watch know, nothing is begun outside",
        "batch.carried_out": "what was wanted outside is begun",
        "blob.written": "bytes are on the disk, under another name",
        "blob.renamed": "they have their name, which is not on the disk yet",
        "blob.settled": "the name is on the disk; nobody is answered",
        "blob.complete": "all chunks of a blob are there, its list of chunks is not",
        "blob.listed": "the list is there; nobody is answered",
        "collect.decided": "files are not kept any more, and all of them are there",
        "sweep.sorted": "a sweep knows what it will remove",
        "sweep.manifests": "it has removed lists of chunks, and no chunks",
        "removal.manifests": "of files that go, the lists of chunks are gone, and no chunks",
        "cache.removed": "files of peers' jobs are gone; that is not noted",
        "lease.granted": "an attempt is granted and kept; the worker does not know",
        "checkpoint.stored": "the files of a checkpoint are there; it is not noted",
        "result.stored": "the files of a result are there; it is not noted",
        "result.taken": "a result is kept; the worker does not know",
        "snapshot.made": "a snapshot is made, and not kept",
        "snapshot.kept": "it is kept",
        "backup.copied": "a backup has its database, and not the files",
        "backup.whole": "it is whole, under another name",
        "stop.begun": "the server was told to stop; both ports still answer",
        "stop.answered": "everybody was answered, not everything has ended",
    }
)


def _armed() -> tuple[str, int]:
    name, _, count = os.environ.get(VARIABLE, "").partition(":")
    if name and (name not in POINTS or not (count or "1").isdigit()):
        raise ValueError(f"{VARIABLE}={name}:{count}: there are {', '.join(POINTS)}")
    return name, int(count or "1")


_NAME, _COUNT = _armed()
_passed = 0
_guard = threading.Lock()


def passing(point: str) -> None:
    """This place is reached: die here, if that is wanted."""
    if point != _NAME:
        return
    global _passed
    with _guard:
        _passed += 1
        if _passed == _COUNT:
            os.kill(os.getpid(), signal.SIGKILL)
