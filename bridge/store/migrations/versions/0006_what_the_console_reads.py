"""What the console reads: counts over time, what a lead is found by, tries that ended nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "tally",
        sa.Column("span", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("campaign", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("slot", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("span", "at", "campaign", "kind", "slot", name=op.f("pk_tally")),
    )
    op.create_table(
        "clue",
        sa.Column("digest", sa.String(length=40), nullable=False),
        sa.Column("phone", sa.String(length=40), nullable=False),
        sa.Column("event_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("digest", "phone", "event_id", name=op.f("pk_clue")),
    )
    op.create_index(
        "ix_clue_phone",
        "clue",
        ["phone"],
        unique=False,
        sqlite_where=sa.text("phone <> ''"),
        postgresql_where=sa.text("phone <> ''"),
    )
    op.create_index(
        "ix_clue_event_id",
        "clue",
        ["event_id"],
        unique=False,
        sqlite_where=sa.text("event_id > 0"),
        postgresql_where=sa.text("event_id > 0"),
    )
    op.create_table(
        "attempt",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("outcome_id", sa.BigInteger(), nullable=False),
        sa.Column("batch_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_attempt")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_attempt_outcome_id", "attempt", ["outcome_id"], unique=False)
    op.create_index("ix_contact_contact_id", "contact", ["contact_id"], unique=False)
    _count_what_is_there()


_TOTALS = """
    INSERT INTO tally (span, at, campaign, kind, slot, count)
    SELECT 0, 0, campaign, CASE WHEN state = 'in_flight' THEN 'waiting' ELSE state END, 0, count(*)
    FROM outcome
    GROUP BY campaign, CASE WHEN state = 'in_flight' THEN 'waiting' ELSE state END
"""
_HOURS = """
    INSERT INTO tally (span, at, campaign, kind, slot, count)
    SELECT 2, decided_at / 3600000 * 3600000, '', state, 0, count(*)
    FROM outcome
    WHERE decided_at > (SELECT coalesce(max(decided_at), 0) FROM outcome) - 2764800000
    GROUP BY decided_at / 3600000 * 3600000, state
"""
_ACCEPTED = """
    INSERT INTO tally (span, at, campaign, kind, slot, count)
    SELECT 2, received_at / 3600000 * 3600000, '', 'accepted', 0, count(*)
    FROM delivery
    WHERE state <> 'stored'
        AND received_at > (SELECT coalesce(max(received_at), 0) FROM delivery) - 2764800000
    GROUP BY received_at / 3600000 * 3600000
"""


def _count_what_is_there() -> None:
    """Counts begin with what the tables hold: per state in all, and by hour for 32 days."""
    for statement in (_TOTALS, _HOURS, _ACCEPTED):
        op.execute(statement)
