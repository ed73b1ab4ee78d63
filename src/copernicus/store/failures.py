"""Failures of the store, told by what the server must do about them."""

from __future__ import annotations

from copernicus.errors import InternalError


class StoreFailed(InternalError):
    """The database cannot be trusted to keep what it is given: the server must exit at once."""

    code = "store_failed"


class PositionConflict(InternalError):
    """Events do not follow the last one of their project's journal: somebody else wrote it."""

    code = "position_conflict"
