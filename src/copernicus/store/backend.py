"""What a store needs of a database; SQLite and PostgreSQL do the same in their own ways."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from copernicus.errors import CopernicusError


class Database(Protocol):
    """One database that one process at a time writes, in one transaction at a time.

    ``label`` names it in messages, without any secret.
    """

    @property
    def label(self) -> str:
        """What people call it."""

    def exists(self) -> bool:
        """Whether the tables of a server are in it."""

    def make(self) -> None:
        """Make the tables: all or nothing.

        Raises:
            BadSettings: it cannot be written.
            ServerBusy: the disk is full.
        """

    def check(self) -> int:
        """Look at it without changing it; its format.

        Raises:
            BadSettings: it is damaged, not one of ours, or of a newer format.
        """

    def started(self, connection: Connection, epoch: int) -> None:
        """From this transaction on, this start alone may write."""

    def writing(self) -> AbstractContextManager[Connection]:
        """A transaction: when the block has ended it is durable, or the block raises."""

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection of any thread that sees the last commit before it began."""

    def failure_of(self, error: DBAPIError) -> CopernicusError:
        """What an error means: ``ServerBusy`` (go on), a bug, or ``StoreFailed`` (exit)."""

    def copy_to(self, file: Path) -> None:
        """Copy it, as of one moment, to a new SQLite file that says that it is a backup.

        Raises:
            BadSettings: the file exists, or cannot be written.
        """

    def close(self) -> None:
        """Let others have it; closing again does nothing."""
