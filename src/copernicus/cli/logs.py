"""``cpc log``: what jobs print, while they run and afterwards."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from copernicus.cli.jobs import find_job
from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit, note, printable
from copernicus.cli.session import project_for
from copernicus.errors import BadValue, NotFound
from copernicus.protocol import JobView

_LIVE = ("queued", "running", "stopping")


def log(
    path: str,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"], show_default=False)] = False,
    attempt: Annotated[int | None, Parameter(show_default=False)] = None,
    options: InProject = IN_PROJECT,
) -> None:
    """Show the end of a job's log.

    Args:
        path: The instance, one element (run[3]), or a job's id.
        follow: Print what comes until the job has ended.
        attempt: That of this attempt (cpc job show); default: the newest.
        options: Common ones.
    """
    project = project_for(options)
    found = find_job(project, path)
    if follow:
        if options.json or attempt is not None:
            raise BadValue("--follow goes neither with --json nor with --attempt")
        if found.state == "queued":
            note(f"cpc: {path} does not run yet: {found.why}")
        for text in project.follow_log(found.id):
            sys.stdout.write(printable(text, keep="\n\t"))
            sys.stdout.flush()
        return
    text = _log_of(found, attempt)
    data = {
        "job": found.id,
        "path": found.path,
        "state": found.state,
        "attempt": attempt or found.attempts,
        "log": text,
    }
    if not text and not options.json:
        note(f"cpc: {path} has printed nothing{_so_far(found, attempt)}")
        return
    emit(options.json, data, text.rstrip("\n"))


def _so_far(found: JobView, attempt: int | None) -> str:
    if attempt is not None:
        return f" in attempt {attempt}"
    return f" yet (its job is {found.state})" if found.state in _LIVE else ""


def _log_of(found: JobView, attempt: int | None) -> str:
    if attempt is None:
        return found.log_tail
    for one in found.tries:
        if one.number == attempt:
            live = attempt == found.attempts and found.state in _LIVE
            return one.log or (found.log_tail if live else "")
    known = ", ".join(str(one.number) for one in found.tries) or "none"
    raise NotFound(f"There is no attempt {attempt} of {found.path}; there are: {known}")
