"""Looking at running jobs: outputs before their end (``cpc get --partial``), and ``cpc series``."""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from copernicus.cli.options import IN_PROJECT, InProject
from copernicus.cli.output import emit, note
from copernicus.cli.session import project_for
from copernicus.errors import NotFound

if TYPE_CHECKING:
    from rich.console import RenderableType

    from copernicus.client import Project
    from copernicus.client.peeking import Peek, Series

_ROWS = 20
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 40


def get_partial(project: Project, path: str, output: Path | None, options: InProject) -> None:
    """What running jobs have made so far of an output: print it, or fetch its files."""
    from copernicus.cli.values import fetch, files_in, text_of

    found = project.partial(path)
    for peek in found:
        note(f"cpc: {_said(peek)}")
    found = [peek for peek in found if peek.value is not None]
    if not found:
        raise NotFound(f"{path} has nothing yet: its job has not written any of it")
    value: Any = found[0].value if len(found) == 1 else [peek.value for peek in found]
    files = files_in(value)
    if options.json and output is None:
        emit(True, found, "")
    elif files:
        written = fetch(value, files, path, output, project)
        emit(options.json, {"files": written}, "\n".join(map(str, written)))
    else:
        emit(options.json, value, lambda: text_of(value))


def _said(peek: Peek) -> str:
    from copernicus.cli.render.states import number
    from copernicus.cli.render.tables import duration

    if peek.value is None:
        return f"{peek.path}: nothing yet"
    step = "" if peek.step is None else f", at step {number(peek.step)} or beyond"
    of = f" of {number(peek.total)}" if step and peek.total else ""
    age = "just now" if peek.age_s < 2 else f"{duration(peek.age_s)} ago"
    return f"{peek.path}: so far, taken {age} on {peek.host}{step}{of}"


def series(
    path: str,
    name: str = "",
    /,
    *,
    column: Annotated[tuple[str, ...], Parameter(name=["--column", "-c"])] = (),
    rows: int = _ROWS,
    csv_rows: Annotated[bool, Parameter(name="--csv", show_default=False)] = False,
    options: InProject = IN_PROJECT,
) -> None:
    """Show numbers that a job writes as it goes: energies, temperature, ...

    Args:
        path: The instance, or one element: run[0]
        name: Of the series, if the job has several.
        column: Only these columns, besides the first; may be repeated.
        rows: How many rows to show, the last ones; 0 shows all.
        csv_rows: Print all rows as CSV.
        options: Common ones.
    """
    table = _chosen(project_for(options).series(path), path, name)
    if not table.rows:
        raise NotFound(f"{path} has written no row of {table.name} yet")
    picked = _picked(table, column)
    numbers = [[row[index] for index in picked] for row in table.rows]
    columns = [table.columns[index] for index in picked]
    if csv_rows:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([["" if cell is None else f"{cell:.10g}" for cell in r] for r in numbers])
        return
    data = {
        "path": path,
        "series": table.name,
        "running": table.view.running,
        "attempt": table.view.attempt,
        "age_s": table.view.age_s,
        "columns": columns,
        "rows": numbers,
    }
    if not options.json:
        _tell(table)
    emit(options.json, data, lambda: _shown(columns, numbers, rows))


def _chosen(found: list[Series], path: str, name: str) -> Series:
    named = [one for one in found if not name or one.name == name]
    if len(named) == 1:
        return named[0]
    known = ", ".join(one.name for one in found)
    raise NotFound(
        f"{path} has no series {name!r}; it has: {known}"
        if name
        else f"{path} has several series: cpc series {path} NAME, one of {known}"
    )


def _picked(table: Series, wanted: Sequence[str]) -> list[int]:
    if not wanted:
        return list(range(len(table.columns)))
    names = [table.columns[0], *(table.find(column) for column in wanted)]
    return [table.columns.index(name) for name in dict.fromkeys(names)]


def _tell(table: Series) -> None:
    from copernicus.cli.render.tables import ago

    state = "still runs" if table.view.running else "has ended"
    note(f"cpc: {table.name}: {len(table.rows)} rows, {ago(table.view.age_s)}; its job {state}")


def _shown(columns: list[str], numbers: list[list[float | None]], rows: int) -> RenderableType:
    """The last rows, where they fit; and over all rows, what each column did."""
    from rich.console import Group

    from copernicus.cli.output import console
    from copernicus.cli.render.tables import table

    summary = table(
        ("column", "last", "mean", "least", "most", "course"),
        [_course(name, [row[i] for row in numbers]) for i, name in enumerate(columns)],
        right=("last", "mean", "least", "most"),
    )
    needed = sum(max(len(name), 10) + 1 for name in columns)
    if needed > console().width:
        return summary
    shown = [[_cell(cell) for cell in row] for row in numbers[-rows:]]
    return Group(table(columns, shown, right=columns, capitals=False), "", summary)


def _course(name: str, numbers: list[float | None]) -> list[str]:
    known = [number for number in numbers if number is not None]
    if not known:
        return [name, "", "", "", "", ""]
    cells = (known[-1], math.fsum(known) / len(known), min(known), max(known))
    return [name, *(_cell(cell) for cell in cells), sparkline(known)]


def _cell(number: float | None) -> str:
    return "" if number is None else f"{number:.6g}"


def sparkline(numbers: Sequence[float | None], width: int = _WIDTH) -> str:
    """The course of numbers as a row of bars, the lowest for the least of them."""
    from copernicus.client.peeking import thinned

    known = thinned(numbers, width)
    low, high = min(known), max(known)
    steps = len(_BARS) - 1
    if high == low:
        return _BARS[0] * len(known)
    return "".join(_BARS[round((number - low) / (high - low) * steps)] for number in known)
