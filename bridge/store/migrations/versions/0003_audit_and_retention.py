"""Where the audit stands, what was erased, and which versions may go on with this schema."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("delivery", sa.Column("erased_at", sa.BigInteger(), nullable=True))
    op.add_column("delivery", sa.Column("body_hash", sa.String(length=64), nullable=True))
    op.add_column("outcome", sa.Column("erased_at", sa.BigInteger(), nullable=True))
    op.create_table(
        "event_contact",
        sa.Column("contact", sa.String(length=40), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("contact", "event_id", name=op.f("pk_event_contact")),
    )
    op.create_table(
        "erasure",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("receipt", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("wanted", sa.Text(), nullable=False),
        sa.Column("subjects", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("erased", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_erasure")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_erasure_due",
        "erasure",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    keys = op.create_table(
        "hash_key",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_hash_key")),
    )
    op.bulk_insert(keys, [{"name": "person", "value": secrets.token_hex(32)}])
    op.create_table(
        "sweep",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("up_to", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sweep")),
    )
    op.create_table(
        "audit_mark",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("up_to", sa.BigInteger(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", name=op.f("pk_audit_mark")),
    )
    op.create_table(
        "audit_sum",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "state", name=op.f("pk_audit_sum")),
    )
    op.create_table(
        "audit_open",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "id", name=op.f("pk_audit_open")),
    )
    noted = op.create_table(
        "compatibility",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("oldest", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_compatibility")),
    )
    op.bulk_insert(noted, [{"name": "schema", "oldest": "0001"}])
