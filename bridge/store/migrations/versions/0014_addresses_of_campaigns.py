"""A campaign keeps at which address of an API it was called; who knows nothing of it goes on."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.add_column(
        "campaign", sa.Column("api_address", sa.String(32), nullable=False, server_default="")
    )
