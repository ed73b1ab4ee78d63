"""Values as pandas tables (``pip install 'copernicus[pandas]'``)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from copernicus.errors import BadValue, UserError
from copernicus.model.values import File

if TYPE_CHECKING:
    import pandas as pd

_SEPARATED = {".csv": ",", ".tsv": "\t"}


def table_of(value: Any, path: str = "the value") -> pd.DataFrame:
    """A value as a ``DataFrame``.

    A list of records has a row for each, a column for each member (``a.b`` for those inside). A
    list of anything else has the column ``value``. A dict of lists has a column for each, a record
    is one row, and a ``.csv`` or ``.tsv`` file is read.

    Raises:
        BadValue: It is no table: a single number or text, lists of unequal lengths.
        UserError: pandas is not installed.
    """
    pandas = _pandas()
    if isinstance(value, File):
        return _read(pandas, value, path)
    try:
        made = _made(pandas, value)
    except ValueError as error:
        raise BadValue(f"{path} is no table: {error}") from None
    if made is None:
        raise BadValue(f"{path} is no table, but a single {type(value).__name__}")
    return made


def _made(pandas: Any, value: Any) -> Any:
    if isinstance(value, list):
        if value and all(isinstance(row, Mapping) for row in value):
            made = pandas.json_normalize([dict(row) for row in value])
        else:
            made = pandas.DataFrame({"value": value})
        made.index.name = "element"
        return made
    if isinstance(value, Mapping):
        columns = value and all(isinstance(column, list) for column in value.values())
        return pandas.DataFrame(dict(value)) if columns else pandas.json_normalize(dict(value))
    return None


def _read(pandas: Any, file: Any, path: str) -> Any:
    separator = _SEPARATED.get(PurePath(file.name).suffix.lower())
    if separator is None:
        raise BadValue(f"{path} is the file {file.name}: only .csv and .tsv are read as tables")
    with file.open() as stream:
        return pandas.read_csv(stream, sep=separator)


def _pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise UserError("Tables need pandas: pip install 'copernicus[pandas]'") from None
    return pandas
