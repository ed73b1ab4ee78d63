"""The series of a function that is described in TOML: tables that its jobs write as they go."""

from __future__ import annotations

import re
from typing import Any

from copernicus.errors import BadDefinition
from copernicus.model.jobs import Series
from copernicus.sdk.toml_tables import struct


def read_series(tables: Any) -> tuple[Series, ...]:
    """All tables ``[[series]]``: ``name``, ``file``, and ``regex`` if the file is no CSV.

    Raises:
        BadDefinition: One is none, or two have the same name; the message says which.
    """
    if not isinstance(tables, list):
        raise BadDefinition("write every series as a table [[series]] with name and file")
    found = tuple(_series(table, f"series {number}") for number, table in enumerate(tables, 1))
    names = [series.name for series in found]
    for name in names:
        if names.count(name) > 1:
            raise BadDefinition(f"two series are called {name!r}")
    return found


def _series(table: Any, where: str) -> Series:
    if isinstance(table, dict) and "file" in table:
        table = {("pattern" if key == "file" else key): value for key, value in table.items()}
    series = struct(Series, table, where)
    if not series.name.isidentifier():
        raise BadDefinition(f"{where}: its name {series.name!r} must be letters, digits and _")
    if series.regex is None:
        return series
    try:
        groups = re.compile(series.regex).groupindex
    except re.error as error:
        raise BadDefinition(
            f"{where}: {series.regex!r} is no regular expression: {error}"
        ) from None
    if not groups:
        raise BadDefinition(f"{where}: name the columns in {series.regex!r}, as in (?P<step>\\d+)")
    return series
