"""Removing files of a project by its rules of retention: decided in a batch, swept afterwards.

That a file is not kept any more is a fact of the journal, committed before anything is removed: a
kill in between leaves files that the next sweep finds.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

import msgspec

from copernicus.engine import retention
from copernicus.errors import NotFound
from copernicus.model.retention import Retention
from copernicus.protocol import CollectReply, GoingFile
from copernicus.scheduling.rows import ENDED
from copernicus.server.batch import Batch
from copernicus.server.files import FileRights, hashes_in
from copernicus.server.holdings import Project
from copernicus.server.site import Site
from copernicus.store.store import Store
from copernicus.telemetry import get_logger

_LOG = get_logger("retention")
_UNUSED = "unused:"


def collect(
    batch: Batch, project: Project, store: Store, files: FileRights, *, dry_run: bool
) -> CollectReply:
    """What goes by the project's rules now; it goes, unless this is a ``dry_run``.

    What was not seen before as unused counts from now on.
    """
    name, state = project.record.id, project.state
    kept = _kept(batch, project, files)
    before = msgspec.json.decode(store.meta(f"{_UNUSED}{name}") or "{}", type=dict[str, float])
    since = {made.id: before.get(made.id, batch.now) for made in retention.unused(state, kept)}
    rules = batch.holdings.decided.retention.get(name, Retention())
    planned = retention.plan(state, rules, since, batch.now, kept)
    if not dry_run:
        text = msgspec.json.encode(since).decode()
        batch.write(lambda tx: tx.set_meta(f"{_UNUSED}{name}", text))
        if planned.going:
            batch.drop_files(project, planned)
    return CollectReply(
        dry_run=dry_run,
        files=tuple(_going(one) for one in planned.going.values()),
        bytes=sum(one.file.size for one in planned.going.values()),
        results=len(planned.activations),
        core_hours=planned.core_seconds / 3600,
        waiting=planned.waiting,
    )


def _going(one: retention.Going) -> GoingFile:
    file = one.file
    return GoingFile(
        file.sha256, file.name, file.size, one.path, one.function, one.port, one.activation
    )


def _kept(batch: Batch, project: Project, files: FileRights) -> retention.Kept:
    """What names files outside the network: jobs, checkpoints, what this batch has changed."""
    name, scheduler = project.record.id, batch.holdings.scheduler
    live = [row for row in scheduler.jobs_of(name) if row.state not in ENDED and row.spec]
    keys = {row.spec.checkpoint_key for row in live if row.spec}
    lines = scheduler.checkpoints_of(name)
    named = set(files.so_far(name))
    named.update(hashes_in([row.spec for row in live]))
    named.update(hashes_in([scheduler.attempt_rows(row.id) for row in live]))
    named.update(hashes_in([line for line in lines if line.key in keys]))
    named.update(hashes_in([entry.event for owner, entry in batch.entries if owner == name]))
    sources = files.in_sources(name)
    return retention.Kept(
        is_named=lambda sha256: sha256 in sources or sha256 in named,
        is_gone=lambda sha256: files.gone(name, sha256) is not None,
        lines={
            line.key: tuple(file for ref in line.refs for file in ref.files)
            for line in lines
            if line.key not in keys
        },
    )


async def collect_all(site: Site) -> None:
    """Have the rules of every project followed that has some."""
    rules = site.runtime.holdings.decided.retention
    for name in [name for name, each in rules.items() if not each.keeps_everything]:
        await asyncio.to_thread(site.files.in_sources, name)
        found = await site.runtime.do(partial(_by_itself, site, name))
        if found is not None and found.files:
            _LOG.info("files removed by rules", project=name, files=len(found.files))


def _by_itself(site: Site, name: str, batch: Batch) -> CollectReply | None:
    project = batch.holdings.projects.find(name)
    if project is None:
        return None
    found = collect(batch, project, site.store, site.files, dry_run=False)
    if found.files:
        amount = f"{len(found.files)} files, {found.bytes} bytes"
        thing = f"{project.record.name}: {amount}, by its rules"
        batch.audit("server", "", "project.collect", thing)
    return found


def gone_file(project: Project, sha256: str, at: float) -> NotFound:
    """The answer for a file that was removed by a rule."""
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
    made = retention.dropped_file(project.state, sha256)
    if made is None:
        return NotFound(f"File {sha256[:80]} was removed on {when} by a retention rule.")
    return NotFound(
        f"The file {made.file.name!r} ({made.file.size} bytes, sha256 {sha256}) was removed on "
        f"{when} by a retention rule of {project.record.name!r}: it was {made.port!r} of "
        f"{made.path} ({made.function}, {made.activation}). cpc trace says from what it was made; "
        "the same inputs make it again (cpc revert, cpc set)."
    )
