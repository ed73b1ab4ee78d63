"""Commands about jobs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from copernicus.cli.options import AT_SERVER, IN_PROJECT, AtServer, InProject
from copernicus.cli.output import emit, note
from copernicus.cli.session import client_for, project_for
from copernicus.errors import NotFound
from copernicus.protocol import JobView

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from copernicus.client import Project

_ORDER = ("running", "stopping", "queued", "failed", "cancelled", "done")
SHOWN = 1000
_LIVE = ("queued", "running", "stopping")
_PAGE = 50


def jobs(
    *,
    ended: Annotated[bool, Parameter(show_default=False)] = False,
    older: Annotated[str, Parameter(show_default=False)] = "",
    count: int = _PAGE,
    options: InProject = IN_PROJECT,
) -> None:
    """List the project's jobs.

    Args:
        ended: Also those that have ended, newest first.
        older: Only those that had ended before this one was made: the next page.
        count: How many ended ones to show.
        options: Common ones.
    """
    project = project_for(options)
    if not ended and not older:
        found = project.jobs()
        _list(options, found if options.json else _live(found))
        return
    page = project.ended_jobs(older and _full_id(project, older), count)
    live = [] if older else _live(project.jobs())
    _list(options, [*live, *page.jobs])
    if page.older:
        note(f"cpc: there are more: cpc jobs --older {page.older.rpartition('.')[2]}")


def _full_id(project: Project, job: str) -> str:
    return job if "." in job else f"{project.view().id}.{job}"


def queue(*, options: AtServer = AT_SERVER) -> None:
    """List the jobs of all your projects."""
    client = client_for(options)
    names = {project.id: project.name for project in client.projects()}
    _list(options, _live(client.jobs()), names)


def show(job: str, /, *, options: InProject = IN_PROJECT) -> None:
    """Show a job.

    Args:
        job: Its id (cpc jobs), or the path of its element: run[3]
        options: Common ones.
    """
    from copernicus.cli.render.details import job_text

    found = find_job(project_for(options), job)
    emit(options.json, found, lambda: job_text(found))


def why(job: str, /, *, options: InProject = IN_PROJECT) -> None:
    """Say why a job does not run: in a sentence, and for every kind of worker.

    Args:
        job: Its id (cpc jobs), or the path of its element: run[3]
        options: Common ones.
    """
    from copernicus.cli.render.details import why_text
    from copernicus.cli.render.tables import short_job

    found = find_job(project_for(options), job)
    reason = found.why or f"it is {found.state}" + (f" on {found.host}" if found.host else "")
    if found.doubt:
        reason += f". In doubt: {found.doubt}"
    data = {"job": found.id, "path": found.path, "state": found.state, "why": reason}
    head = f"{short_job(found.id)} ({found.path}): {reason}"
    emit(options.json, {**data, "kinds": found.kinds}, lambda: why_text(head, found.kinds))


def _order(job: JobView) -> int:
    return _ORDER.index(job.state) if job.state in _ORDER else 0


def _live(found: Sequence[JobView]) -> list[JobView]:
    return [job for job in found if job.state in _LIVE]


def find_job(project: Project, wanted: str) -> JobView:
    """The job of an id or a path: of several, one that runs, else one that failed or is newest."""
    found = project.jobs()
    matching = [job for job in found if wanted in (job.id, job.id.rpartition(".")[2], job.path)]
    matching = matching or [job for job in found if job.path.partition("[")[0] == wanted]
    if matching:
        matching.sort(key=lambda job: (_order(job), -job.submitted))
        return project.job(matching[0].id)
    if wanted.rpartition(".")[2][:1] == "a" and wanted.rpartition(".")[2][1:].isdigit():
        return project.job(wanted)
    path, _, place = wanted.partition("[")
    start = int(place[:-1]) if place[:-1].isdigit() else 0
    element = project.instance_detail(path, start=start, count=1000)
    for shown in element.elements:
        if shown.job and (f"[{shown.index}]" in wanted or "[" not in wanted):
            return project.job(shown.job)
    raise NotFound(f"{wanted} has no job (it is {element.summary.state}): cpc why {wanted}")


def _list(options: AtServer, found: list[JobView], projects: dict[str, str] | None = None) -> None:
    if not found and not options.json:
        note("No jobs to show: none is queued or running")
        return
    emit(options.json, found, lambda: _table(found, projects))
    if len(found) >= SHOWN:
        note(f"The first {SHOWN:,} of each project, those that run first: cpc status counts all")


def _table(found: list[JobView], projects: dict[str, str] | None) -> Table:
    from copernicus.cli.render.states import progress_text, state_text
    from copernicus.cli.render.tables import ended_text, short_job, table

    live = sorted(_live(found), key=lambda job: (_order(job), job.submitted))
    ordered = [*live, *(job for job in found if job.state not in _LIVE)]
    rows: list[Sequence[str | Text]] = []
    for job in ordered:
        place = f"{job.host} ({job.cores})" if job.state == "running" else ""
        said = ended_text(job) if job.state in ("done", "cancelled") else job.why
        if job.progress and job.state == "running":
            said = progress_text(job.progress)
        first = [projects.get(job.project, job.project)] if projects is not None else []
        rows.append([*first, short_job(job.id), job.path, state_text(job.state), place, said])
    headers = (*(("project",) if projects is not None else ()), "job", "path", "state", "on", "")
    return table(headers, rows, wide="")
