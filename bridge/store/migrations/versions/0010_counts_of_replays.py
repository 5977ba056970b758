"""Replays are counted while they run, since nobody can wait for millions to be counted."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("""
        INSERT INTO tally (span, at, campaign, kind, slot, count)
        SELECT 4, replay_id, '', CASE WHEN state = 'in_flight' THEN 'waiting' ELSE state END, 0,
            count(*)
        FROM outcome
        WHERE replay_id > 0
        GROUP BY replay_id, CASE WHEN state = 'in_flight' THEN 'waiting' ELSE state END
    """)
