"""Transactions over several commands: begin, collect edits, look, commit or roll back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from copernicus.cli.committing import show_preview
from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit
from copernicus.cli.session import client_for, confirm
from copernicus.errors import Conflict

if TYPE_CHECKING:
    from copernicus.client import Project
    from copernicus.client.drafts import Draft, Drafts

Flag = Annotated[bool, Parameter(show_default=False)]


def begin(*, options: InProject = IN_PROJECT) -> None:
    """Begin a draft.

    Args:
        options: Common ones.
    """
    from copernicus.client.drafts import Drafts

    client = client_for(options)
    view = client.project(options.project, check=False).view()
    drafts = Drafts(client.profile)
    if drafts.find(view.id) is not None:
        raise Conflict(
            f"A draft of {view.name} is open: cpc draft shows it; cpc commit or rollback"
        )
    drafts.begin(view.id, view.name, view.revision)
    text = f"A draft of {view.name} is begun on revision {view.revision}: edit, then cpc commit"
    emit(options.json, {"project": view.name, "base_revision": view.revision}, text)


def draft(*, options: InProject = IN_PROJECT) -> None:
    """Show what waits.

    Args:
        options: Common ones.
    """
    from copernicus.cli.render.changes import changes_text
    from copernicus.client.diff import differences
    from copernicus.engine.showing import summarise

    project, _, found = _open(options)
    edits = [summarise(edit) for edit in found.edits]
    data: dict[str, Any] = {
        "project": found.name,
        "base_revision": found.base_revision,
        "edits": found.edits,
    }
    told = f"{found.name}: a draft on revision {found.base_revision}"
    if not found.edits:
        emit(options.json, data, f"{told}, empty")
        return
    after = project.check(found.edits).network
    changes = differences(project.network(), after) if after else []
    lines = [f"{told}, {len(edits)} waiting", *(f"  {line}" for line in edits), ""]
    emit(
        options.json,
        {**data, "changes": changes},
        lambda: "\n".join((*lines, "What cpc commit would change:", changes_text(changes))),
    )


def commit(
    *, overwrite: Flag = False, preview: Flag = False, options: InProject = IN_PROJECT
) -> None:
    """Commit the draft.

    Args:
        overwrite: Put these edits in the place of what others changed meanwhile.
        preview: Change nothing: say what would run again, be cancelled or retired.
        options: Common ones.
    """
    project, drafts, found = _open(options)
    if preview and found.edits:
        show_preview(options, project.preview(*found.edits))
        return
    if not found.edits:
        drafts.drop(found)
        emit(options.json, {"edits": 0}, "The draft was empty: nothing was changed")
        return
    reply = project.commit(found.edits, None if overwrite else found.base_revision)
    drafts.drop(found)
    count = f"{len(found.edits)} edit{'s' if len(found.edits) > 1 else ''}"
    text = f"{found.name} is at revision {reply.revision}: {count} committed"
    emit(options.json, {"revision": reply.revision, "position": reply.position}, text)


def rollback(*, yes: Flag = False, options: InProject = IN_PROJECT) -> None:
    """Drop the draft.

    Args:
        yes: Do not ask.
        options: Common ones.
    """
    _, drafts, found = _open(options)
    count = f"{len(found.edits)} edit{'s' if len(found.edits) != 1 else ''}"
    if found.edits:
        confirm(
            f"Drop {count} of {found.name}?",
            yes=yes,
            otherwise=f"This would drop {count} of {found.name}. To do it, add --yes",
        )
    drafts.drop(found)
    emit(options.json, {"dropped": len(found.edits)}, f"{count} dropped; nothing was changed")


def _open(options: InProject) -> tuple[Project, Drafts, Draft]:
    from copernicus.client.drafts import Drafts

    client = client_for(options)
    project = client.project(options.project, check=False)
    drafts = Drafts(client.profile)
    found = drafts.find(project.name)
    if found is None:
        raise Conflict(f"There is no draft of {project.name}: cpc begin begins one")
    return client.project(found.project, check=False), drafts, found
