"""Which campaigns came together is noted once for all workers."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.create_table(
        "campaign_arrival",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("arrived_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_campaign_arrival")),
    )
    op.execute(
        "INSERT INTO campaign_arrival (name, arrived_at) "
        "SELECT name, 0 FROM campaign WHERE away_since IS NULL"
    )
