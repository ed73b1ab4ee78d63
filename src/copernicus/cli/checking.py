"""What ``cpc server check`` looks at: database, audit log, journals against states, files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from copernicus.store.store import Store


@dataclass
class Report:
    """What was found fine, and what was not."""

    fine: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check_folder(folder: Path) -> Report:
    """Look at everything in a stopped server's folder; nothing is changed.

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
    _check_blobs(folder, report)
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


def _check_blobs(folder: Path, report: Report) -> None:
    from copernicus.blobs import BlobStore
    from copernicus.server.folder import BLOBS

    blobs = BlobStore.in_folder(folder / BLOBS)
    damages = blobs.check()
    report.problems += [f"file {damage.sha256} is damaged: {damage.reason}" for damage in damages]
    if not damages:
        report.fine.append(f"{sum(1 for _ in blobs.blobs())} files have the content they should")
