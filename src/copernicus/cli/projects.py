"""Commands about projects and the functions that can be placed in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from copernicus.cli.options import AT_SERVER, IN_PROJECT, AtServer, InProject
from copernicus.cli.output import emit, note
from copernicus.cli.session import client_for, confirm
from copernicus.errors import BadValue
from copernicus.model import edits

if TYPE_CHECKING:
    from rich.text import Text

    from copernicus.protocol import ProjectView

Flag = Annotated[bool, Parameter(show_default=False)]
Limit = Annotated[str | None, Parameter(show_default=False)]

_BYTES = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "KB": 1e3, "B": 1.0}
_BUDGET = ("limit of", "used", "limit")


def create(name: str, /, *, seed: int | None = None, options: AtServer = AT_SERVER) -> None:
    """Make a project.

    Args:
        name: Its name.
        seed: From which its random numbers follow; default: a random one.
        options: Common ones.
    """
    client = client_for(options)
    view = client.create_project(name, seed).view()
    client.use_project(name)
    emit(options.json, view, f"{name} is made, and is now the current project")


def list_all(*, options: AtServer = AT_SERVER) -> None:
    """List projects."""
    from copernicus.cli.render.tables import moment, table

    client = client_for(options)
    projects = client.projects()
    if not projects and not options.json:
        note("No projects yet: cpc project create NAME")
        return
    current = client.profile.project
    rows = [
        (
            "*" if current in (p.name, p.id) else "",
            p.name,
            _state(p),
            _states(p),
            p.owner,
            moment(p.changed),
        )
        for p in projects
    ]
    headers = ("", "project", "state", "elements", "owner", "changed")
    emit(options.json, projects, lambda: table(headers, rows, wide="elements"))


def use(name: str, /, *, options: AtServer = AT_SERVER) -> None:
    """Choose the current project.

    Args:
        name: Its name, or its id.
        options: Common ones.
    """
    client = client_for(options)
    view = client.project(name).view()
    client.use_project(view.name)
    emit(options.json, view, f"{view.name} is now the current project")


def info(name: str | None = None, /, *, options: InProject = IN_PROJECT) -> None:
    """Show a project.

    Args:
        name: Its name, or its id; default: the current one.
        options: Common ones.
    """
    from copernicus.cli.render.tables import facts, moment
    from copernicus.cli.verifying import told

    view = client_for(options).project(name or options.project, check=False).view()
    rows: list[tuple[str, str | Text]] = [
        ("project", view.name),
        ("id", view.id),
        ("state", _state(view)),
        *([("paused for", view.paused_for)] if view.paused_for else []),
        *([("notice", view.notice)] if view.notice else []),
        ("elements", _states(view)),
        ("owner", view.owner),
        ("members", ", ".join(f"{m.user} ({m.role})" for m in view.members) or "-"),
        ("share", f"weight {view.weight:g}, priority {view.priority}"),
        ("pools", ", ".join(view.pools) or "all"),
        ("verified", told(view.verification)),
        *(("in doubt", doubt) for doubt in view.doubts),
        ("revision", str(view.revision)),
        ("created", moment(view.created)),
        ("changed", moment(view.changed)),
    ]
    emit(options.json, view, lambda: facts(rows))


def budget(
    *,
    instances: Limit = None,
    queued: Limit = None,
    core_hours: Limit = None,
    bytes: Limit = None,  # noqa: A002 - the option is called so
    options: InProject = IN_PROJECT,
) -> None:
    """Show or change what a project may use.

    A project that has used up its instances, core-hours or bytes is paused; jobs beyond the
    limit of queued ones wait. ``none`` is no limit.

    Args:
        instances: How many instances there may be, those inside workflows included.
        queued: How many jobs may be queued or running at a time.
        core_hours: Core-hours of all jobs, failed attempts included.
        bytes: Size of the files that jobs have given: 500GB, 2e12.
        options: Common ones.
    """
    from copernicus.cli.render.tables import table

    project = client_for(options).project(options.project, check=False)
    given = {"instances": instances, "queued": queued, "core_hours": core_hours, "bytes": bytes}
    limits = {name: limit_of(name, text) for name, text in given.items() if text is not None}
    if limits:
        project.edit(edits.SetBudget(limits))
    view = project.view()
    rows = [
        (name.replace("_", "-"), f"{getattr(view.use, name):,.6g}", _limit(view, name))
        for name in given
    ]
    emit(options.json, {"use": view.use, "limits": view.budget}, lambda: table(_BUDGET, rows))
    if view.paused_for:
        note(f"The project is paused: {view.paused_for}, then cpc resume")


def limit_of(name: str, text: str) -> float | None:
    """A limit as a person writes it: a number, with a unit for bytes, or ``none``.

    Raises:
        BadValue: It is none of these.
    """
    if text.lower() in ("none", "unlimited"):
        return None
    number = text.strip()
    scale = 1.0
    for unit, factor in _BYTES.items() if name == "bytes" else ():
        if number.upper().endswith(unit):
            number, scale = number[: -len(unit)], factor
            break
    try:
        return float(number) * scale
    except ValueError:
        raise BadValue(
            f"{text!r} is no limit of {name.replace('_', '-')}: write a number, or none"
        ) from None


def _limit(view: ProjectView, name: str) -> str:
    limit = getattr(view.budget, name)
    return "unlimited" if limit is None else f"{limit:,.12g}"


def grant(
    user: str,
    role: Literal["owner", "editor", "viewer"],
    /,
    *,
    options: InProject = IN_PROJECT,
) -> None:
    """Give a user a role in a project.

    Args:
        user: Whom to let in.
        role: What they may do: see it, change it, or share and delete it.
        options: Common ones.
    """
    view = client_for(options).project(options.project, check=False).share(user, role)
    emit(options.json, view, f"{user} is {role} of {view.name}")


def revoke(user: str, /, *, options: InProject = IN_PROJECT) -> None:
    """Take a user's role in a project away.

    Args:
        user: Whom to let in no more.
        options: Common ones.
    """
    project = client_for(options).project(options.project, check=False)
    project.unshare(user)
    emit(options.json, {"user": user}, f"{user} is no member of {project.name} any more")


def share(
    user: str,
    /,
    *,
    role: Literal["owner", "editor", "viewer"] = "editor",
    remove: Flag = False,
    options: InProject = IN_PROJECT,
) -> None:
    """Share a project.

    Args:
        user: Whom to let in.
        role: What they may do: see it, change it, or share and delete it.
        remove: Let them in no more.
        options: Common ones.
    """
    if remove:
        revoke(user, options=options)
    else:
        grant(user, role, options=options)


def delete(
    name: str,
    /,
    *,
    yes: Flag = False,
    dry_run: Flag = False,
    options: AtServer = AT_SERVER,
) -> None:
    """Delete a project.

    Args:
        name: Its name, or its id.
        yes: Do not ask.
        dry_run: Only say what would be deleted.
        options: Common ones.
    """
    client = client_for(options)
    project = client.project(name, check=False)
    view, instances = project.status()
    working = [one.counts for one in instances if one.kind != "workflow"]
    running = sum(counts.get(state, 0) for counts in working for state in ("running", "queued"))
    what = (
        f"{view.name} of {view.owner}: {len(instances)} instances ({_states(view)}), "
        f"{running} jobs queued or running, {view.revision} revisions"
    )
    if dry_run:
        emit(options.json, view, f"Would delete {what}")
        return
    confirm(
        f"Delete {what}? It cannot be brought back.",
        yes=yes,
        otherwise=f"This would delete {what}. To do it, add --yes",
    )
    project.delete()
    if client.profile.project in (view.name, view.id):
        client.use_project("")
    emit(options.json, view, f"{view.name} is deleted")


def functions(*, options: AtServer = AT_SERVER) -> None:
    """List functions."""
    from copernicus.cli.render.details import paragraphs
    from copernicus.cli.render.tables import table

    client = client_for(options)
    found = client.project_functions() + client.functions()
    rows = [
        (f.spec.name, f.spec.kind, f.spec.version, paragraphs(f.spec.doc)[0])
        for f in found
        if not f.problem
    ]
    headers = ("function", "kind", "version", "does")
    emit(options.json, found, lambda: table(headers, rows, wide="does"))
    if not options.json:
        for broken in (f for f in found if f.problem):
            note(f"cpc: module {broken.spec.name} cannot be used: {broken.problem}")


def function_info(name: str, /, *, options: AtServer = AT_SERVER) -> None:
    """Show a function.

    Args:
        name: As module.name.
        options: Common ones.
    """
    from copernicus.cli.render.details import function_text

    view = client_for(options).function(name)
    emit(options.json, view, lambda: function_text(view.spec))


def _state(view: ProjectView) -> Text:
    from copernicus.cli.render.states import state_text

    return state_text(view.state)


def _states(view: ProjectView) -> str:
    return ", ".join(f"{n} {state}" for state, n in view.states.items() if n) or "empty"
