"""Pauses by hand, what operators did, opt-outs whose period ended, and a condition all share."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("campaign", sa.Column("status", sa.Integer(), nullable=True))
    op.add_column(
        "campaign", sa.Column("probe_until", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.add_column(
        "campaign", sa.Column("changes", sa.BigInteger(), nullable=False, server_default="0")
    )
    op.create_table(
        "campaign_pause",
        sa.Column("campaign", sa.String(length=200), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("holds_opt_outs", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("campaign", name=op.f("pk_campaign_pause")),
    )
    op.create_table(
        "lapsed_opt_out",
        sa.Column("outcome_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("outcome_id", name=op.f("pk_lapsed_opt_out")),
    )
    op.create_index("ix_lapsed_opt_out_at", "lapsed_opt_out", ["at"], unique=False)
    op.create_table(
        "operator_action",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=200), nullable=False),
        sa.Column("details", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_operator_action")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_operator_action_subject_id", "operator_action", ["subject", "id"], unique=False
    )
