"""Commands that steer what runs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit
from copernicus.cli.session import project_for
from copernicus.model import edits
from copernicus.model.edits import Edit


def do(options: InProject, edit: Edit, text: str) -> None:
    """Commit one edit, and say so."""
    project = project_for(options)
    with project.transaction() as transaction:
        project.edit(edit)
    reply = transaction.reply
    emit(
        options.json,
        {"revision": reply.revision, "position": reply.position} if reply else {},
        text,
    )


def retry(
    path: str,
    /,
    *,
    failed: Annotated[bool, Parameter(show_default=False)] = False,
    options: InProject = IN_PROJECT,
) -> None:
    """Retry.

    Args:
        path: An instance, or one element: run[3]
        failed: Only what failed, in it and below it.
        options: Common ones.
    """
    do(options, edits.Retry(path, failed), f"{path} runs again")


def skip(path: str, /, *, options: InProject = IN_PROJECT) -> None:
    """Skip.

    Args:
        path: An instance, or one element: run[3]
        options: Common ones.
    """
    do(options, edits.Skip(path), f"{path} is skipped")


def cancel(path: str, /, *, options: InProject = IN_PROJECT) -> None:
    """Cancel.

    Args:
        path: An instance, or one element: run[3]
        options: Common ones.
    """
    do(options, edits.Cancel(path), f"{path} is cancelled (cpc retry {path} takes it up again)")


def pause(*, options: InProject = IN_PROJECT) -> None:
    """Pause the project."""
    do(options, edits.Pause(), "The project is paused: cpc resume")


def resume(*, options: InProject = IN_PROJECT) -> None:
    """Resume the project."""
    do(options, edits.Resume(), "The project goes on")
