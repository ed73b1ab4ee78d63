"""Making the tables, and bringing those of an older version up to date: all or nothing."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection

_SCRIPTS = Path(__file__).parent / "migrations"


def upgrade(connection: Connection) -> None:
    """Run what is missing, in the transaction that the connection is in."""
    # Imported late: most starts have nothing to migrate, and it takes its time.
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    command.upgrade(config, "head")
