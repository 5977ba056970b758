"""Campaigns that are not in campaigns.yaml for a while miss opt-outs, which they hear of later."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("campaign", sa.Column("away_since", sa.BigInteger(), nullable=True))
