"""Logins that are tokens of a narrower scope; how often a join token was good, and its end."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; the uses of old join tokens are those left and those that let one in."""
    for name, default in (("scope", "login"), ("name", ""), ("project", "")):
        column = sa.Column(name, sa.String(), nullable=False, server_default=default)
        op.add_column("sessions", column)
    uses = sa.Column("uses", sa.Integer(), nullable=False, server_default="0")
    op.add_column("join_tokens", uses)
    op.add_column("join_tokens", sa.Column("revoked_at", sa.Double(), nullable=True))
    op.execute(
        "UPDATE join_tokens SET uses = uses_left + "
        "(SELECT count(*) FROM workers WHERE workers.token = join_tokens.id)"
    )
