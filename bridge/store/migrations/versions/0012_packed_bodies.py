"""Large bodies are stored packed, which no version before can read."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.add_column("delivery", sa.Column("body_size", sa.Integer(), nullable=True))
    op.execute("UPDATE compatibility SET oldest = '0012' WHERE name = 'schema'")
