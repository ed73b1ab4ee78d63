"""Commands that look at one thing closely."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit
from copernicus.cli.session import project_for
from copernicus.errors import BadValue

_PAGE = 20
_DEPTH = 6


def show(
    path: str,
    /,
    *,
    start: Annotated[int, Parameter(show_default=False)] = 0,
    count: int = _PAGE,
    docs: Annotated[bool, Parameter(show_default=False)] = False,
    options: InProject = IN_PROJECT,
) -> None:
    """Show an instance.

    Args:
        path: The instance.
        start: First element to show.
        count: Elements to show.
        docs: Say what every input and output means, and what records are made of.
        options: Common ones.
    """
    from copernicus.cli.render.details import instance_text

    detail = project_for(options).instance_detail(path, start, count)
    emit(options.json, detail, lambda: instance_text(detail, docs=docs))


def why(path: str = "", /, *, options: InProject = IN_PROJECT) -> None:
    """Say why something is not done.

    Args:
        path: An instance, or one element: run[3]; default: whatever is not done.
        options: Common ones.
    """
    from copernicus.cli.render.why import why_text

    view = project_for(options).why(path)
    emit(options.json, view, lambda: why_text(view))


def trace(
    path: str,
    /,
    *,
    depth: int | None = None,
    options: InProject = IN_PROJECT,
) -> None:
    """Show where something comes from.

    Args:
        path: A value (run.out.xtc[0]), what ran last (run, run[3]), or an activation (a12).
        depth: How many steps back (16 at most in text); 0: all. Default: 6, or all with --json.
        options: Common ones.
    """
    from copernicus.cli.render.traces import trace_text

    wanted = depth if depth is not None else 0 if options.json else _DEPTH
    if wanted < 0:
        raise BadValue(f"--depth must be 0 or more, not {wanted}")
    found = project_for(options).trace(path, wanted)
    emit(options.json, found, lambda: trace_text(found, wanted))


def history(
    *,
    count: int = _PAGE,
    options: InProject = IN_PROJECT,
) -> None:
    """Show the revisions, newest last.

    Args:
        count: How many; 0 shows all.
        options: Common ones.
    """
    from copernicus.cli.render.tables import moment, table

    revisions = project_for(options).history()[-count:]
    rows = [(str(r.number), r.author, moment(r.at), "\n".join(r.summary)) for r in revisions]
    headers = ("revision", "by", "at", "what")
    emit(options.json, revisions, lambda: table(headers, rows, right=("revision",), wide="what"))
