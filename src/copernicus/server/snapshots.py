"""Snapshots of projects with long journals, made beside the server, so that it starts quickly.

A process of its own (``python -m copernicus.server.snapshots FOLDER PROJECT``) reads the journal
as a start would, and prints the snapshot: the server neither waits nor grows. It is made of what
is durable, never of what is in memory.
"""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Final

from copernicus.crashpoints import passing
from copernicus.engine.snapshot import dump
from copernicus.errors import CopernicusError
from copernicus.server.batch import Batch
from copernicus.server.database import open_reads
from copernicus.server.folder import settings_of
from copernicus.server.holdings import read_state
from copernicus.server.site import Site
from copernicus.telemetry import get_logger

_LOG = get_logger("snapshots")
_POSITION_BYTES: Final = 8
_NICE: Final = 10
LEAST: Final = 20_000
SHARE: Final = 4


def is_due(position: int, taken: int) -> bool:
    """Whether so much has happened since the last snapshot that another is worth its cost.

    A share of the whole, so that all snapshots together cost as much as a few of the last.
    """
    return position - taken > max(LEAST, position // SHARE)


async def take_due(site: Site) -> None:
    """Take the snapshots that are due, one after another."""
    for project in site.runtime.holdings.projects:
        record = project.record
        taken = await asyncio.to_thread(site.store.snapshot_position, record.id)
        if is_due(record.position, taken):
            try:
                await _take(site, record.id)
            except CopernicusError as error:
                _LOG.warning("a snapshot was not kept", project=record.id, reason=error.message)


async def _take(site: Site, project: str) -> None:
    argv = (sys.executable, "-m", "copernicus.server.snapshots", str(site.store.folder), project)
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE)
    try:
        told, wrong = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        reason = wrong.decode(errors="replace")[-500:]
        _LOG.warning("a snapshot was not made", project=project, reason=reason)
        return
    position = int.from_bytes(told[:_POSITION_BYTES], "big")
    state = told[_POSITION_BYTES:]
    passing("snapshot.made")

    def keep(batch: Batch) -> None:
        if batch.holdings.projects.find(project) is not None:
            batch.write(lambda tx: tx.save_snapshot(project, position, state))

    await site.runtime.do(keep)
    passing("snapshot.kept")
    _LOG.info("took a snapshot", project=project, position=position, size=len(state))


def main(folder: str, project: str) -> None:
    """Print the snapshot of a project: its position, then its state."""
    os.nice(_NICE)
    place = Path(folder)
    with open_reads(place, settings_of(place)) as reads:
        state = read_state(reads, project)
    sys.stdout.buffer.write(state.position.to_bytes(_POSITION_BYTES, "big") + dump(state))


if __name__ == "__main__":
    main(*sys.argv[1:])
