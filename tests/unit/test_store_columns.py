"""Rows go to the driver as they are, so no column may hold what has to be turned into another."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Double, Integer, LargeBinary, String

from copernicus.store.schema import METADATA

TAKEN_AS_THEY_ARE = {BigInteger, Boolean, Double, Integer, LargeBinary, String}


def test_every_column_is_of_a_type_whose_values_the_drivers_take_as_they_are():
    columns = [column for table in METADATA.tables.values() for column in table.columns]
    assert len(columns) > 50
    assert {type(column.type) for column in columns} <= TAKEN_AS_THEY_ARE
    assert not [column for column in columns if column.default or column.onupdate]
