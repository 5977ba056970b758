"""A contact keeps which others are the same person; who knows nothing of it goes on without."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("contact", sa.Column("links", sa.Text(), nullable=True))
