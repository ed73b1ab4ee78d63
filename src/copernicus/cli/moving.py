"""Commands that take a whole project elsewhere: to another server, or into a research object."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from copernicus.cli.options import AT_SERVER, IN_PROJECT, AtServer, InProject
from copernicus.cli.output import emit
from copernicus.cli.session import client_for, project_for, transfer_bars, transfers


def save(file: Path, /, *, options: InProject = IN_PROJECT) -> None:
    """Save a project.

    Args:
        file: Where to; it must not exist.
        options: Common ones.
    """
    project = project_for(options)
    with transfers(project, "save"):
        made = project.save(file)
    emit(
        options.json,
        made,
        f"{made.name} at revision {made.revision} is in {file}: {made.files} files, "
        f"{made.bytes:,} bytes; it goes on here (cpc project pause stops that)",
    )


def load(
    file: Path,
    /,
    *,
    name: str | None = None,
    resume: Annotated[bool, Parameter(show_default=False)] = False,
    options: AtServer = AT_SERVER,
) -> None:
    """Load a project.

    Args:
        file: What cpc project save wrote.
        name: Name of the new project; default: the one that it had.
        resume: Let it go on at once; otherwise it is paused.
        options: Common ones.
    """
    client = client_for(options)
    with transfer_bars("load") as bars:
        project = client.load_project(file, name, resume=resume, progress=bars)
    client.use_project(project.name)
    view = project.view()
    state = "goes on here" if resume else "is paused (cpc resume)"
    emit(options.json, view, f"{view.name} is loaded, is now the current project, and {state}")


def export(
    *,
    ro_crate: Path,
    with_files: Annotated[bool, Parameter(show_default=False)] = False,
    license: str | None = None,  # noqa: A002 - the name that users know
    options: InProject = IN_PROJECT,
) -> None:
    """Export a project.

    Args:
        ro_crate: Where to: a folder, or a file whose name ends in .zip; it must not exist.
        with_files: Put the files in, too; otherwise they are named by their SHA-256.
        license: Under which others may use it (an address, or a text).
        options: Common ones.
    """
    from copernicus.client.crate import UNSTATED, export_crate

    project = project_for(options)
    with transfer_bars("fetch") as bars:
        count = export_crate(
            project,
            ro_crate,
            with_files=with_files,
            license_text=license or UNSTATED,
            progress=bars,
        )
    data = {"path": str(ro_crate), "activations": count}
    emit(options.json, data, f"{project.name} with {count} activations is in {ro_crate}")
