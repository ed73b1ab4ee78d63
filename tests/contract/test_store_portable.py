"""The tables and statements are those of any SQL database, PostgreSQL first."""

from __future__ import annotations

import pytest
from sqlalchemy import create_mock_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from copernicus.store.schema import METADATA


@pytest.mark.parametrize("dialect", [postgresql, sqlite])
def test_all_tables_can_be_made(dialect):
    made = []
    name = dialect.__name__.rpartition(".")[2]
    engine = create_mock_engine(f"{name}://", lambda statement, *_, **__: made.append(statement))
    METADATA.create_all(engine, checkfirst=False)
    texts = [str(statement.compile(dialect=dialect.dialect())) for statement in made]
    assert len(texts) == len(METADATA.tables) + sum(
        len(table.indexes) for table in METADATA.tables.values()
    )
    assert any("WHERE deleted IS NULL" in text for text in texts)


def test_every_table_has_a_key_and_no_counter_of_the_database():
    for table in METADATA.tables.values():
        assert table.primary_key.columns
        text = str(CreateTable(table).compile(dialect=postgresql.dialect()))
        assert "SERIAL" not in text
        assert "IDENTITY" not in text
