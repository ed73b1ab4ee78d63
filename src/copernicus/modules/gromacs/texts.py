"""Tasks on the texts of GROMACS: parameters (mdp) and plots (xvg)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from copernicus.errors import BadValue
from copernicus.sdk import File, current_task, task

_LEGEND = re.compile(r'@\s+s(\d{1,6})\s+legend\s+"(.*)"')
_SETTING = re.compile(r"\s*([\w-]+)\s*=")


@dataclass(frozen=True)
class Parameters:
    """Parameters of a simulation.

    Attributes:
        mdp: The new file.
    """

    mdp: File


@dataclass(frozen=True)
class Plot:
    """An xvg file.

    Attributes:
        xvg: The new file.
    """

    xvg: File


@dataclass(frozen=True)
class Table:
    """Columns of numbers over a first column, mostly the time.

    Attributes:
        x: The first column.
        names: What the other columns are.
        columns: The other columns.
    """

    x: list[float]
    names: list[str]
    columns: list[list[float]]


@task
def edit_mdp(mdp: File, settings: dict[str, str]) -> Parameters:
    """Change parameters of an mdp file; those that it does not have are added.

    Args:
        mdp: What is changed.
        settings: New values by name; dashes and underscores in names are the same.
    """
    changed = change_settings(mdp.path.read_text(encoding="utf-8"), settings)
    return Parameters(_new(mdp.name, changed))


def change_settings(text: str, settings: dict[str, str]) -> str:
    """The text of an mdp file with other values.

    Raises:
        BadValue: A name or a value is none that an mdp file can have.
    """
    wanted = {}
    for name, value in settings.items():
        if not re.fullmatch(r"[\w-]+", name) or re.search(r"[\n\r;]", value):
            raise BadValue(f"settings: {name!r} = {value!r} cannot stand in an mdp file")
        wanted[_key(name)] = f"{name} = {value}"
    kept = []
    for line in text.splitlines():
        found = _SETTING.match(line)
        if not found or _key(found[1]) not in wanted:
            kept.append(line)
    return "\n".join([*kept, *wanted.values()]) + "\n"


def _key(name: str) -> str:
    return name.lower().replace("_", "-")


@task
def join_xvg(parts: list[File]) -> Plot:
    """Join the xvg files of several parts by time (dhdl of mdrun); the later part counts.

    Args:
        parts: What is joined, in the order in which it was written.
    """
    if not parts:
        raise BadValue("parts is empty: the simulation wrote no such files")
    text = join_parts([part.path.read_text(encoding="utf-8") for part in parts])
    return Plot(_new("dhdl.xvg", text))


def join_parts(parts: list[str]) -> str:
    """The text of one xvg file with the rows of all; a part ends where the next one begins."""
    heading: list[str] = []
    rows: list[tuple[float, str]] = []
    for part in parts:
        lines = part.splitlines(keepends=True)
        if not heading:
            heading = [line for line in lines if line.startswith(("#", "@"))]
        new = list(_rows(lines))
        if new:
            first = new[0][0]
            rows = [row for row in rows if row[0] < first] + new
    return "".join([*heading, *(line for _, line in rows)])


def _rows(lines: list[str]) -> Iterator[tuple[float, str]]:
    """Rows with their first number; the last line of a killed run may be cut off."""
    width = 0
    for line in lines:
        if line.startswith(("#", "@", "&")) or not line.endswith("\n"):
            continue
        numbers = _numbers(line)
        if numbers and len(numbers) >= width:
            width = len(numbers)
            yield numbers[0], line


def _numbers(line: str) -> list[float]:
    try:
        return [float(word) for word in line.split()]
    except ValueError:
        return []


@task
def read_xvg(xvg: File) -> Table:
    """Read the numbers of an xvg file.

    Args:
        xvg: What is read, for example from gromacs.energy.
    """
    return table_of(xvg.path.read_text(encoding="utf-8"), xvg.name)


def table_of(text: str, name: str) -> Table:
    """The numbers of an xvg file.

    Raises:
        BadValue: It has no rows, rows of different lengths, or a number that is not finite.
    """
    rows = [row for row in (_numbers(line) for _, line in _rows(text.splitlines(True))) if row]
    if not rows or len({len(row) for row in rows}) > 1:
        raise BadValue(f"{name} is no xvg file with rows of numbers")
    if not all(math.isfinite(number) for row in rows for number in row):
        raise BadValue(f"{name} has numbers that are not finite: did the simulation blow up?")
    columns = [list(column) for column in zip(*rows, strict=True)]
    legends = {int(i): legend for i, legend in _LEGEND.findall(text)}
    names = [legends.get(i, f"column {i + 1}") for i in range(len(columns) - 1)]
    return Table(columns[0], names, columns[1:])


def _new(name: str, text: str) -> File:
    path: Path = current_task().folder / Path(name).name
    path.write_text(text, encoding="utf-8")
    return File.new(path)
