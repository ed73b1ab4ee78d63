"""What ``cpc server check`` looks at: database, audit log, journals against states, files.

With ``--repair`` it mends what can be mended: files come back from a backup, and checkpoints whose
files are gone are forgotten, so that their jobs go on from the ones before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from copernicus.errors import BadSettings

if TYPE_CHECKING:
    from copernicus.blobs import BlobStore
    from copernicus.scheduling.rows import CheckpointRow
    from copernicus.store.store import Store


@dataclass
class Report:
    """What was found fine, and what was not."""

    fine: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    repaired: list[str] = field(default_factory=list)


def check_folder(folder: Path, *, repair: bool = False, backup: Path | None = None) -> Report:
    """Look at everything in a stopped server's folder; nothing is changed without ``repair``.

    Args:
        folder: of the server.
        repair: mend what can be mended.
        backup: a backup's folder, for files that are gone.

    Raises:
        BadSettings: the server runs, or its database cannot be opened at all.
    """
    from copernicus.server.database import open_store
    from copernicus.server.folder import settings_of

    report = Report()
    with open_store(folder, settings_of(folder)) as store:
        report.fine.append("the database opens and is of this version's format")
        broken = store.check_audit().broken
        if broken is None:
            report.fine.append("the audit log is complete")
        else:
            report.problems.append(f"the audit log was changed at entry {broken}")
        for project in store.projects():
            _check_journal(store, project.id, project.name, report)
        _check_files(store, folder, report, repair=repair, backup=backup)
    return report


def _check_journal(store: Store, project: str, name: str, report: Report) -> None:
    """Fold the journal from its start: what the server holds is what comes out of it."""
    from copernicus.engine.core import fold

    try:
        state = fold(list(store.load_project(project)))
    except Exception as error:  # noqa: BLE001  # whatever is wrong with it is the finding
        report.problems.append(f"the journal of {name} does not replay: {error}")
        return
    stored = store.project(project).position
    if state.position == stored:
        report.fine.append(f"the journal of {name} replays: {stored} events")
    else:
        report.problems.append(
            f"the journal of {name} has {state.position} events, but {stored} were recorded"
        )


def _check_files(
    store: Store, folder: Path, report: Report, *, repair: bool, backup: Path | None
) -> None:
    """Every file has its content, and everything that is named is there."""
    from copernicus.server.filestore import BLOBS, open_blobs
    from copernicus.server.folder import settings_of

    blobs = open_blobs(folder, settings_of(folder))
    damages = {damage.sha256: damage.reason for damage in blobs.check()}
    present = set(blobs.blobs()) - set(damages)
    lost = {sha256: who for sha256, who in _named(store).items() if sha256 not in present}
    if repair and backup is not None:
        for sha256 in _put_back(blobs, backup / BLOBS, {*lost, *damages}):
            report.repaired.append(f"file {sha256} was put back from {backup}")
            lost.pop(sha256, None)
            damages.pop(sha256, None)
    checkpoints = _without_files(store, lost)
    if repair and checkpoints:
        with store.transaction() as transaction:
            transaction.save_rows(checkpoints)
        names = ", ".join(sorted({row.project for row in checkpoints}))
        report.repaired.append(f"checkpoints whose files are gone were forgotten, in {names}")
        still = _named(store)
        lost = {sha256: who for sha256, who in lost.items() if sha256 in still}
    for sha256, who in lost.items():
        why = damages.pop(sha256, "is missing")
        report.problems.append(f"file {sha256} of {who}: {why}")
    report.problems += [f"file {sha256} is damaged: {why}" for sha256, why in damages.items()]
    if not lost and not damages:
        report.fine.append(f"{len(present)} files have the content they should; all named are here")


def _named(store: Store) -> dict[str, str]:
    """Every blob that must be there, and what names it."""
    from copernicus.server.files import dropped_in, hashes_in, kept_by

    found: dict[str, str] = {}
    for project in store.projects():
        position, here = 0, dict[str, str]()
        while entries := store.journal(project.id, position):
            for entry in entries:
                for sha256 in kept_by(entry):
                    here.setdefault(sha256, f"{project.name}, event {entry.position}")
                for sha256 in dropped_in(entry):
                    here.pop(sha256, None)
            position = entries[-1].position
        for row in store.checkpoints(project.id):
            for sha256 in hashes_in(row):
                here.setdefault(sha256, f"{project.name}, a checkpoint")
        found = here | found
    return found


def _put_back(blobs: BlobStore, place: Path, wanted: set[str]) -> Iterator[str]:
    from copernicus.blobs import BlobStore
    from copernicus.errors import CopernicusError

    if not place.is_dir():
        raise BadSettings(f"{place.parent} is no backup of a server: it has no folder {place.name}")
    source = BlobStore.in_folder(place)
    for sha256 in sorted(wanted):
        try:
            stored = blobs.put_stream(source.read(sha256))
        except CopernicusError:
            continue  # not there either: it stays in the report
        if stored.sha256 == sha256:
            yield sha256


def _without_files(store: Store, lost: Mapping[str, str]) -> list[CheckpointRow]:
    """The lines of checkpoints that name lost files, less those checkpoints."""
    import msgspec

    changed = []
    for row in store.checkpoints():
        kept = [ref for ref in row.refs if not any(f.sha256 in lost for f in ref.files)]
        if len(kept) < len(row.refs):
            changed.append(msgspec.structs.replace(row, refs=tuple(kept)))
    return changed
