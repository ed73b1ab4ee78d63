"""All rows of a server from one database to another, whatever both are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Table, func, insert, select

from copernicus.errors import BadSettings
from copernicus.store.database import plain_engine, upsert
from copernicus.store.folder import check_database, sync_folder
from copernicus.store.opening import RESTORED, bring_up_to_date
from copernicus.store.schema import META, METADATA

_AT_ONCE: Final = 1000
Told = Callable[[str, int], None]


def count_rows(connection: Connection) -> dict[str, int]:
    """How many rows each table has."""
    return {
        table.name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for table in METADATA.sorted_tables
    }


def copy_rows(source: Connection, target: Connection, told: Told | None = None) -> None:
    """Copy every row to empty tables; ``told`` hears of a table and how many more rows of it."""
    for table in METADATA.sorted_tables:
        if table is META:
            continue
        for rows in _pages(source, table):
            target.execute(insert(table), rows)
            if told is not None:
                told(table.name, len(rows))
    settings = [dict(row) for row in source.execute(select(META)).mappings()]
    upsert(target, META, settings)


def copy_to_file(
    source: Connection,
    file: Path,
    told: Told | None = None,
    *,
    is_backup: bool = True,
) -> None:
    """Copy every row to a new SQLite file, which says whether it is a backup.

    Raises:
        BadSettings: the file exists, or cannot be written.
    """
    if file.exists():
        raise BadSettings(f"{file} exists already: name another file for the backup")
    temporary = file.with_name(f"{file.name}.new")
    try:
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        engine = plain_engine(temporary)
        try:
            with engine.begin() as target:
                bring_up_to_date(target)
                copy_rows(source, target, told)
                if is_backup:
                    upsert(target, META, [{"key": RESTORED, "value": "1"}])
        finally:
            engine.dispose()
        check_database(temporary)
        temporary.replace(file)
        sync_folder(file.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise BadSettings(f"cannot copy to {file}: {error.strerror}") from error


def _pages(source: Connection, table: Table) -> Iterator[list[dict[str, object]]]:
    found = source.execution_options(yield_per=_AT_ONCE).execute(select(table))
    for page in found.mappings().partitions(_AT_ONCE):
        yield [{str(column): value for column, value in row.items()} for row in page]
