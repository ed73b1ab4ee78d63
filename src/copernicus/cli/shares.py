"""Commands about who works for whom: priorities, weights, the pools of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit, note
from copernicus.cli.session import client_for, project_for
from copernicus.errors import BadValue

if TYPE_CHECKING:
    from copernicus.protocol import ProjectView

Flag = Annotated[bool, Parameter(show_default=False)]


def job_priority(
    job: str,
    priority: int | None = None,
    /,
    *,
    reset: Flag = False,
    options: InProject = IN_PROJECT,
) -> None:
    """Change a queued job's priority. The higher goes first.

    Args:
        job: Its id (cpc jobs), or the path of its element: run[3]
        priority: The priority from now on.
        reset: Take back what was set: the function's own priority counts again.
        options: Common ones.
    """
    from copernicus.cli.jobs import find_job
    from copernicus.cli.render.tables import short_job

    if (priority is None) != reset:
        raise BadValue("give a priority, such as cpc job priority a12 5, or --reset")
    project = project_for(options)
    found = project.set_priority(find_job(project, job).id, priority)
    said = f"{short_job(found.id)} ({found.path}) has priority {found.priority}"
    data = {"job": found.id, "path": found.path, "priority": found.priority}
    emit(options.json, data, said)


def project_priority(priority: int | None = None, /, *, options: InProject = IN_PROJECT) -> None:
    """Show or change what is added to the priority of each of a project's jobs.

    Args:
        priority: 0 is usual; jobs of a higher one go first, whatever the weights.
        options: Common ones.
    """
    project = client_for(options).project(options.project, check=False)
    view = project.view() if priority is None else project.set_share(priority=priority)
    _show(options, view)


def project_weight(weight: float | None = None, /, *, options: InProject = IN_PROJECT) -> None:
    """Show or change a project's weight. Administrators only may change it.

    Args:
        weight: Projects with work get cores in proportion to their weights; 1 is usual.
        options: Common ones.
    """
    project = client_for(options).project(options.project, check=False)
    view = project.view() if weight is None else project.set_share(weight=weight)
    _show(options, view)


def project_pools(
    *pools: str,
    all: Flag = False,  # noqa: A002 - the option is called so
    options: InProject = IN_PROJECT,
) -> None:
    """Show or change the pools whose workers a project uses.

    Args:
        pools: The only ones (cpc pool list).
        all: All pools again.
        options: Common ones.
    """
    if pools and all:
        raise BadValue("name pools, or give --all: not both")
    client = client_for(options)
    known = {pool.name for pool in client.pools()} if pools else set()
    for name in sorted(set(pools) - known):
        note(f"cpc: there is no worker in pool {name} yet")
    project = client.project(options.project, check=False)
    view = project.set_share(pools=pools) if pools or all else project.view()
    _show(options, view)


def _show(options: InProject, view: ProjectView) -> None:
    pools = f"pool {', '.join(view.pools)}" if view.pools else "all pools"
    said = f"{view.name}: weight {view.weight:g}, priority {view.priority}, {pools}"
    data = {"weight": view.weight, "priority": view.priority, "pools": view.pools}
    emit(options.json, {"project": view.name, **data}, said)
