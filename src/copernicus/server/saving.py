"""A project as frames, for another server: journal, work, and which files belong to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from copernicus.errors import NotFound
from copernicus.protocol.saved import (
    END,
    ENTRY,
    FILE,
    HEAD,
    ROW,
    SAVED_FORMAT,
    SavedFile,
    SavedHead,
    framed,
)
from copernicus.scheduling.rows import ENDED, AttemptRow, Row
from copernicus.server.batch import Batch
from copernicus.server.files import dropped_in, hashes_in, named_in
from copernicus.server.holdings import Project
from copernicus.server.site import Site
from copernicus.version import __version__


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A project at one moment: how far its journal is, and its work."""

    head: SavedHead
    rows: tuple[Row, ...]


def snapshot(batch: Batch, project: Project, server: str) -> Snapshot:
    """What belongs together; everything before it is in the journal already."""
    record, scheduler = project.record, batch.holdings.scheduler
    jobs = [row for row in scheduler.jobs_of(record.id) if row.state not in ENDED]
    attempts = [attempt for row in jobs for attempt in scheduler.attempt_rows(row.id)]
    return Snapshot(
        SavedHead(
            format=SAVED_FORMAT,
            version=__version__,
            server=server,
            project=record.id,
            name=record.name,
            owner=record.owner,
            revision=record.revision,
            position=record.position,
            created=record.created,
            at=batch.now,
        ),
        (*jobs, *attempts, *scheduler.checkpoints_of(record.id)),
    )


def saved_frames(site: Site, taken: Snapshot) -> Iterator[bytes]:
    """The frames of a snapshot. Blocking: reads the journal page by page."""
    yield framed(HEAD, taken.head)
    files: set[str] = set()
    since, last = 0, taken.head.position
    while since < last:
        entries = site.store.journal(taken.head.project, since, min(1000, last - since))
        if not entries:
            raise NotFound(f"The journal of {taken.head.name} was deleted while it was saved.")
        for entry in entries:
            files.update(named_in(entry))
            files.difference_update(dropped_in(entry))
        yield b"".join(framed(ENTRY, entry) for entry in entries)
        since = entries[-1].position
    for row in taken.rows:
        files.update(hashes_in(_less_so_far(row)))
        yield framed(ROW, (type(row).__name__, row))
    for sha256 in sorted(files):
        size = _size(site, sha256)
        if size is not None:
            yield framed(FILE, SavedFile(sha256, size))
    yield framed(END, last)


def _less_so_far(row: Row) -> Row:
    """What running jobs had so far is made again where they go on."""
    return msgspec.structs.replace(row, partial={}) if isinstance(row, AttemptRow) else row


def _size(site: Site, sha256: str) -> int | None:
    # A file may be lost, and what a user's JSON says may only look like one.
    try:
        return site.blobs.manifest(sha256).size
    except NotFound:
        return None
