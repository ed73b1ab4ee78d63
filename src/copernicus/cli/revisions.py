"""Commands that compare revisions, go back to one, and keep networks in files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from copernicus.cli.committing import show_preview
from copernicus.cli.options import IN_EDIT, IN_PROJECT, InEdit, InProject
from copernicus.cli.output import emit, note
from copernicus.cli.session import confirm, editing_project, project_for, transfers
from copernicus.errors import BadValue, NotFound

if TYPE_CHECKING:
    from copernicus.client import Project
    from copernicus.client.diff import Change
    from copernicus.model.document import NetworkDocument
    from copernicus.model.edits import Edit
    from copernicus.model.values import File

Flag = Annotated[bool, Parameter(show_default=False)]


def diff(first: int, second: int | None = None, /, *, options: InProject = IN_PROJECT) -> None:
    """Compare two revisions.

    Args:
        first: A revision (cpc history).
        second: Another; default: now.
        options: Common ones.
    """
    from copernicus.cli.render.changes import changes_text

    changes = project_for(options).diff(first, second)
    emit(options.json, changes, lambda: changes_text(changes))


def revert(
    revision: int, /, *, dry_run: Flag = False, yes: Flag = False, options: InProject = IN_PROJECT
) -> None:
    """Go back to the network of a revision, by one new revision.

    Args:
        revision: Whose network is to be made again (cpc history).
        dry_run: Only say what would change.
        yes: Do not ask.
        options: Common ones.
    """
    from copernicus.cli.render.changes import changes_text

    project = project_for(options)
    edits, base = project.revert_edits(revision)
    if not edits:
        emit(options.json, [], f"The network is that of revision {revision} already")
        return
    changes = _changes(project, edits, base)
    if dry_run:
        emit(options.json, changes, lambda: changes_text(changes))
        return
    if not yes and not options.json:
        print(changes_text(changes))
    confirm(
        f"Go back to revision {revision}?",
        yes=yes,
        otherwise=f"This would go back to revision {revision}. To do it, add --yes",
    )
    reply = project.revert(revision)
    made = reply.revision if reply else base
    text = f"Revision {made} is the network of revision {revision} again"
    emit(options.json, {"revision": made, "changes": changes}, text)


def copy(
    *paths: str,
    suffix: str = "",
    active: Flag = False,
    options: InEdit = IN_EDIT,
) -> None:
    """Copy instances.

    Args:
        paths: The instance and the name of its copy; with --suffix, all instances to copy.
        suffix: What the names of the copies end with, if several are copied.
        active: Let the copies fire at once, without cpc activate.
        options: Common ones.
    """
    if suffix and paths:
        names = {path: f"{path.rpartition('/')[2]}{suffix}" for path in paths}
    elif len(paths) == 2:
        names = {paths[0]: paths[1]}
    else:
        raise BadValue("Name an instance and its copy (cpc copy run run2), or several and --suffix")
    project = editing_project(options)
    with project.transaction(preview=options.preview) as transaction:
        project.copy(names, active=active)
    if transaction.preview is not None:
        show_preview(options, transaction.preview)
        return
    reply = transaction.reply
    data = {"names": names, "revision": reply.revision if reply else 0}
    state = "active" if active else "held until: cpc activate"
    lines = [f"{name} is a copy of {path} ({state})" for path, name in names.items()]
    emit(options.json, data, "\n".join(lines))


def export_network(
    file: Path | None = None,
    /,
    *,
    revision: int | None = None,
    with_files: Path | None = None,
    options: InProject = IN_PROJECT,
) -> None:
    """Write the network as TOML.

    Args:
        file: Where to; default: the terminal.
        revision: As it was at this revision; default: now.
        with_files: Put the files that its inputs hold into this folder, too.
        options: Common ones.
    """
    from copernicus.client.network_text import files_of, write_network

    project = project_for(options)
    network = project.network(revision)
    text = write_network(network, project.name)
    files = files_of(network)
    if with_files is not None:
        with transfers(project, "fetching"):
            _fetch(project, files, with_files)
    elif files:
        note(f"cpc: it names {len(files)} files of the server: --with-files FOLDER fetches them")
    if file is None:
        emit(options.json, network, text.rstrip("\n"))
        return
    file.write_text(text, encoding="utf-8")
    data = {"file": str(file), "instances": len(network.instances), "files": len(files)}
    emit(options.json, data, f"{file}: {len(network.instances)} instances, {len(files)} files")


def import_network(
    file: Path,
    /,
    *,
    files: Path | None = None,
    any_version: Flag = False,
    dry_run: Flag = False,
    yes: Flag = False,
    options: InProject = IN_PROJECT,
) -> None:
    """Make the network of a file: what it lacks is removed.

    Args:
        file: As cpc network export wrote it.
        files: The folder with the files that it names; what the server has is not sent.
        any_version: Take functions in the versions that this server has.
        dry_run: Only say what would change.
        yes: Do not ask before instances are removed.
        options: Common ones.
    """
    from copernicus.cli.render.changes import changes_text
    from copernicus.client.network_text import files_of, read_network
    from copernicus.engine.document import edits_between

    project = project_for(options)
    wanted = read_network(_text_of(file), file.name)
    if any_version:
        wanted = _without_versions(wanted)
    now = project.network()
    edits = _possible(project, edits_between(now, wanted))
    if not edits:
        emit(options.json, [], f"{project.name} is as {file} says already")
        return
    if files is not None:
        with transfers(project, "sending"):
            _send(project, files_of(wanted), files)
    changes = _changes(project, edits, now.revision)
    if dry_run:
        emit(options.json, changes, lambda: changes_text(changes))
        return
    gone = [change.path for change in changes if change.kind == "-" and ".in." not in change.path]
    if gone:
        what = f"{', '.join(gone)} of {project.name}"
        confirm(
            f"Remove {what}?",
            yes=yes,
            otherwise=f"This would remove {what}. To do it, add --yes",
        )
    reply = project.commit(edits, now.revision, f"import {file.name}")
    text = f"{changes_text(changes)}\n{project.name} is at revision {reply.revision}"
    emit(options.json, {"revision": reply.revision, "changes": changes}, text)


def _changes(project: Project, edits: list[Edit], base: int) -> list[Change]:
    from copernicus.client.diff import differences

    after = project.check(edits, base).network
    return differences(project.network(), after) if after else []


def _possible(project: Project, edits: list[Edit]) -> list[Edit]:
    """Without what is inside a workflow that has not declared it here (yet)."""
    inside = {path for edit in edits if "/" in (path := str(getattr(edit, "path", "")))}
    if not inside:
        return edits
    absent = inside - {view.path for view in project.instances()}
    for path in sorted(absent):
        note(f"cpc: left out: {path} is not declared here yet; import again when it is")
    return [edit for edit in edits if getattr(edit, "path", "") not in absent]


def _without_versions(network: NetworkDocument) -> NetworkDocument:
    import msgspec

    instances = {
        path: msgspec.structs.replace(one, version="") for path, one in network.instances.items()
    }
    return msgspec.structs.replace(network, instances=instances)


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"There is no file {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadValue(f"Cannot read {file}: {error}") from None


def _name(file: File) -> str:
    return f"{file.sha256[:12]}-{Path(file.name).name}"


def _fetch(project: Project, files: list[File], folder: Path) -> None:
    from copernicus.client.values import revive

    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = folder / _name(file)
        if not target.exists():
            revive(file.plain(), project.files).download(target, project.progress)


def _send(project: Project, files: list[File], folder: Path) -> None:
    found = [(file, folder / _name(file)) for file in files]
    there = [(file, path) for file, path in found if path.exists()]
    sent = project.files.upload([path for _, path in there], project.progress)
    for (file, path), stored in zip(there, sent, strict=True):
        if stored.sha256 != file.sha256:
            raise BadValue(f"{path} is not the file that was exported: its content differs")
