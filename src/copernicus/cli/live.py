"""Commands that look at a project as it goes: once, live, or until it is done."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import console, emit, printable
from copernicus.cli.session import project_for
from copernicus.errors import NotFound, ServerBusy, ServerUnreachable

if TYPE_CHECKING:
    from rich.console import RenderableType

    from copernicus.client import Project
    from copernicus.protocol import FeedEntry, InstanceView, JobView, ProjectView

    Picture = tuple[ProjectView, list[InstanceView], list[JobView]]

_REDRAW_S = 0.5
_REFRESH_S = 10.0


def status(
    path: str = "",
    /,
    *,
    watch: Annotated[bool, Parameter(name=["--watch", "-w"], show_default=False)] = False,
    all: Annotated[bool, Parameter(name=["--all", "-a"], show_default=False)] = False,  # noqa: A002
    options: InProject = IN_PROJECT,
) -> None:
    """Show the project.

    Args:
        path: Only this instance and what is inside it.
        watch: Stay, and show every change, until Ctrl-C.
        all: All instances that workflows made, however many.
        options: Common ones.
    """
    project = project_for(options)
    if watch:
        _watch(project, path, everything=all, as_json=options.json)
        return
    found = _look(project, path)
    view, instances, jobs = found
    data = {"project": view, "instances": instances, "jobs": jobs}
    emit(options.json, data, lambda: _drawn(found, path, everything=all))


def watch(
    path: str = "",
    /,
    *,
    all: Annotated[bool, Parameter(name=["--all", "-a"], show_default=False)] = False,  # noqa: A002
    options: InProject = IN_PROJECT,
) -> None:
    """Show the project, live; where there is no terminal, one line per event.

    Args:
        path: Only this instance and what is inside it.
        all: All instances that workflows made, however many.
        options: Common ones.
    """
    _watch(project_for(options), path, everything=all, as_json=options.json)


def wait(
    path: str = "",
    /,
    *,
    timeout: float | None = None,
    options: InProject = IN_PROJECT,
) -> None:
    """Wait.

    Args:
        path: The instance; default: all that are active.
        timeout: Seconds; then the exit code is 1, and the project goes on.
        options: Common ones.
    """
    project = project_for(options)
    project.wait(path, timeout, show=sys.stderr.isatty() and not options.json)
    emit(options.json, {"path": path, "state": "done"}, f"{path or 'everything active'} is done")


def _look(project: Project, path: str) -> Picture:
    found = project.view(), project.instances(), project.jobs()
    if path and all(view.path != path for view in found[1]):
        raise NotFound(f"{project.name} has no instance {path!r}: cpc status --all")
    return found


def _drawn(found: Picture, path: str, *, everything: bool, problem: str = "") -> RenderableType:
    from copernicus.cli.render.status import status_text

    return status_text(*found, inside=path, everything=everything, problem=problem)


def _watch(project: Project, path: str, *, everything: bool, as_json: bool) -> None:
    try:
        if as_json or not sys.stdout.isatty():
            _lines(project, path, as_json=as_json)
        else:
            _screen(project, path, everything=everything)
    except KeyboardInterrupt:
        return


def _lines(project: Project, path: str, *, as_json: bool) -> None:
    import msgspec

    from copernicus.cli.render.events import event_line

    position = _look(project, path)[0].position
    for entry in project.events(position):
        line = msgspec.json.encode(entry).decode() if as_json else event_line(entry)
        if line and (not path or concerns(entry, path)):
            print(printable(line), flush=True)


def concerns(entry: FeedEntry, path: str) -> bool:
    """Whether an event is about an instance or what is inside it."""
    event: dict[str, Any] = entry.event if isinstance(entry.event, dict) else {}
    about = str(event.get("path", path))
    return about == path or about.startswith((f"{path}/", f"{path}@", f"{path}["))


def _screen(project: Project, path: str, *, everything: bool) -> None:
    from rich.live import Live

    from copernicus.client.live import Watcher

    found = _look(project, path)
    watcher = Watcher(project, found[0].position)
    with Live(
        _drawn(found, path, everything=everything),
        console=console(),
        auto_refresh=False,
        vertical_overflow="ellipsis",
    ) as live:
        looked = time.monotonic()
        while True:
            entries = watcher.take(_REDRAW_S)
            problem = watcher.problem
            if entries or time.monotonic() - looked > _REFRESH_S:
                try:
                    found = _merged(project, path, found, entries)
                except (ServerUnreachable, ServerBusy) as error:
                    problem = error.message
                looked = time.monotonic()
            shown = _drawn(found, path, everything=everything, problem=problem)
            live.update(shown, refresh=True)
            time.sleep(_REDRAW_S / 2)


def _merged(project: Project, path: str, found: Picture, entries: Sequence[FeedEntry]) -> Picture:
    """A new look; or, where only progress was told, the old one with that."""
    if not entries or any(entry.position for entry in entries):
        return _look(project, path)
    import msgspec

    from copernicus.protocol import ProgressReport

    news: dict[str, ProgressReport] = {}
    for entry in entries:
        event = dict(entry.event)
        news[str(event.pop("job", ""))] = msgspec.convert(event, ProgressReport)
    view, instances, jobs = found
    told = [
        msgspec.structs.replace(job, progress=news[job.id]) if job.id in news else job
        for job in jobs
    ]
    if set(news) - {job.id for job in jobs if job.state == "running"}:
        return _look(project, path)
    return view, instances, told
