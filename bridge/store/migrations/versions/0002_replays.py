"""Kept mapping versions, and replays: an event has one outcome per campaign, lead and replay."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

REPLAYED = sa.text("replay_id > 0")
OPEN_OPT_OUT = sa.text("opts_out AND state IN ('waiting', 'in_flight', 'standing')")


def upgrade() -> None:
    # SQLite cannot change a unique constraint in place: there the table is copied
    with op.batch_alter_table("outcome", table_kwargs={"sqlite_autoincrement": True}) as outcome:
        outcome.add_column(
            sa.Column("replay_id", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
        )
        outcome.add_column(sa.Column("received_at", sa.BigInteger(), nullable=True))
        outcome.drop_constraint(op.f("uq_outcome_event_id_campaign_phone"), type_="unique")
        outcome.create_unique_constraint(
            op.f("uq_outcome_event_id_campaign_phone_replay_id"),
            ["event_id", "campaign", "phone", "replay_id"],
        )
    # the copy has its indexes in any order, and of two that serve alike SQLite takes the newest
    op.drop_index("ix_outcome_waiting_opt_outs", "outcome")
    op.create_index(
        "ix_outcome_waiting_opt_outs",
        "outcome",
        ["state", "accepted_at"],
        unique=False,
        sqlite_where=OPEN_OPT_OUT,
        postgresql_where=OPEN_OPT_OUT,
    )
    op.create_index(
        "ix_outcome_replayed",
        "outcome",
        ["replay_id", "state"],
        unique=False,
        sqlite_where=REPLAYED,
        postgresql_where=REPLAYED,
    )
    op.create_table(
        "mapping_version",
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("region", sa.String(length=16), nullable=False),
        sa.Column("routing", sa.Text(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_mapping_version")),
    )
    op.create_index(
        "ix_mapping_version_source", "mapping_version", ["source", "first_seen"], unique=False
    )
    op.create_table(
        "replay",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("selection", sa.Text(), nullable=False),
        sa.Column("mapping", sa.String(length=16), nullable=False),
        sa.Column("marks", sa.Boolean(), nullable=False),
        sa.Column("rate", sa.Float(), nullable=False),
        sa.Column("scan", sa.Text(), nullable=False),
        sa.Column("deliveries", sa.BigInteger(), nullable=False),
        sa.Column("deliveries_done", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("held_until", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("trouble", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replay")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_replay_state", "replay", ["state"], unique=False)
    op.create_table(
        "replay_item",
        sa.Column("replay_id", sa.BigInteger(), nullable=False),
        sa.Column("receipt", sa.String(length=32), nullable=False),
        sa.Column("delivery_id", sa.BigInteger(), nullable=False),
        sa.Column("ordinals", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("replay_id", "receipt", name=op.f("pk_replay_item")),
    )
