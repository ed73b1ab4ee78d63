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


def jobs(
    *,
    ended: Annotated[bool, Parameter(show_default=False)] = False,
    options: InProject = IN_PROJECT,
) -> None:
    """List the project's jobs.

    Args:
        ended: Also those that ended of late.
        options: Common ones.
    """
    found = project_for(options).jobs()
    _list(options, found if ended or options.json else _live(found))


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

    found = _find(project_for(options), job)
    emit(options.json, found, lambda: job_text(found))


def why(job: str, /, *, options: InProject = IN_PROJECT) -> None:
    """Say why a job does not run.

    Args:
        job: Its id (cpc jobs), or the path of its element: run[3]
        options: Common ones.
    """
    from copernicus.cli.render.tables import short_job

    found = _find(project_for(options), job)
    reason = found.why or f"it is {found.state}" + (f" on {found.host}" if found.host else "")
    data = {"job": found.id, "path": found.path, "state": found.state, "why": reason}
    emit(options.json, data, f"{short_job(found.id)} ({found.path}): {reason}")


def log(path: str, /, *, options: InProject = IN_PROJECT) -> None:
    """Show the end of a job's log.

    Args:
        path: The instance, one element (run[3]), or a job's id.
        options: Common ones.
    """
    found = _find(project_for(options), path)
    data = {"job": found.id, "path": found.path, "state": found.state, "log": found.log_tail}
    if not found.log_tail and not options.json:
        known = "yet" if found.state in _LIVE else "any more: its outputs may hold one"
        note(f"cpc: there is no log of {path} {known} (its job is {found.state})")
        return
    emit(options.json, data, found.log_tail.rstrip("\n"))


def _order(job: JobView) -> int:
    return _ORDER.index(job.state) if job.state in _ORDER else 0


def _live(found: Sequence[JobView]) -> list[JobView]:
    return [job for job in found if job.state in _LIVE]


def _find(project: Project, wanted: str) -> JobView:
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
    from copernicus.cli.render.tables import short_job, table

    ordered = sorted(
        found,
        key=lambda job: (_order(job), job.submitted),
    )
    rows: list[Sequence[str | Text]] = []
    for job in ordered:
        place = f"{job.host} ({job.cores})" if job.state == "running" else ""
        said = "" if job.state in ("done", "cancelled") else job.why
        if job.progress and job.state == "running":
            said = progress_text(job.progress)
        first = [projects.get(job.project, job.project)] if projects is not None else []
        rows.append([*first, short_job(job.id), job.path, state_text(job.state), place, said])
    headers = (*(("project",) if projects is not None else ()), "job", "path", "state", "on", "")
    return table(headers, rows, wide="")
