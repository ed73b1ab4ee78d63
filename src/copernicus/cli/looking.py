"""Commands that look at one thing closely."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit
from copernicus.cli.session import project_for

_PAGE = 20


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
    depth: int = 4,
    options: InProject = IN_PROJECT,
) -> None:
    """Show where a value comes from.

    Args:
        path: An output, or an element of it: run.out.xtc[0]
        depth: How many steps back to show.
        options: Common ones.
    """
    from copernicus.cli.render.details import trace_text

    node = project_for(options).trace(path)
    emit(options.json, node, lambda: trace_text(node, depth))


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
