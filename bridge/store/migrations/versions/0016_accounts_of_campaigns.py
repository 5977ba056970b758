"""A campaign keeps which account it is of; who knows nothing of it goes on."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.add_column(
        "campaign", sa.Column("account", sa.String(32), nullable=False, server_default="")
    )
