"""How Alembic runs the migrations: on a connection, and in a transaction, that it is given."""

from alembic import context

from copernicus.store.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    transactional_ddl=True,
    transaction_per_migration=False,
)
context.run_migrations()
