"""A campaign knows which worker has greeted it last, in case that one is gone."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.add_column("campaign", sa.Column("greeted_by", sa.String(64)))
