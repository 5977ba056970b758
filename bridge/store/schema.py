"""The tables. Times are integers, milliseconds since 1970-01-01 UTC; JSON is text.

``docs/decisions`` has the reasons; ``migrations/`` makes the tables, and a test holds the two
in step.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

NEVER = 2**62
"""A due time that never comes."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Id = BigInteger().with_variant(Integer, "sqlite")

WHERE = "where"
"""Under which name an index carries its condition, see ``whole``."""

# Conditions of partial indexes. A query has to repeat them word for word, without parameters,
# for SQLite to see that the index serves it.
_AN_OPEN_ONE = "IN ('waiting', 'in_flight', 'standing')"
OPEN = text(f"state {_AN_OPEN_ONE}")
STORED = text("state = 'stored'")
PENDING = text("state = 'pending'")
LEASED = text("lease_until > 0")
REPLAYED = text("replay_id > 0")
UNDONE = text("done_at IS NULL")
OPEN_OPT_OUT = text(f"opts_out AND state {_AN_OPEN_ONE}")
OF_PHONE = text("phone <> ''")
OF_EVENT = text("event_id > 0")

STILL_OPEN = text(f"state || '' {_AN_OPEN_ONE}")
"""``OPEN`` of outcomes whose ids are given: the concatenation keeps SQLite from looking each id up
once for each of the states."""


def whole() -> MetaData:
    """The tables with the conditions of their partial indexes, which nothing but migrations needs.

    SQLAlchemy loads every driver that it knows of an engine as soon as it is told, and a command
    that reads SQLite should not wait for those of PostgreSQL.
    """
    for table in metadata.tables.values():
        for index in table.indexes:
            if (condition := index.info.get(WHERE)) is not None:
                for engine in ("sqlite", "postgresql"):
                    index.dialect_options[engine]["where"] = condition
    return metadata


delivery = Table(
    "delivery",
    metadata,
    Column("id", Id, primary_key=True),
    Column("receipt", String(32), nullable=False, unique=True),
    Column("source", String(100), nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("method", String(16), nullable=False),
    Column("path", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("address", String(64), nullable=False),
    Column("scheme", String(100), nullable=False),
    Column("state", String(16), nullable=False),
    Column("problem", Text),
    Column("version", String(16)),
    Column("erased_at", BigInteger),
    Column("body_hash", String(64)),
    Column("body_size", Integer),
    Index("ix_delivery_stored", "id", info={WHERE: STORED}),
    Index("ix_delivery_source_id", "source", "id"),
    sqlite_autoincrement=True,
)

event = Table(
    "event",
    metadata,
    Column("id", Id, primary_key=True),
    Column("delivery_id", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("source", String(100), nullable=False),
    Column("key", String(32), nullable=False),
    Column("dedupe_key", String(32), unique=True),
    Column("duplicate_of", BigInteger),
    Column("event_time", BigInteger, nullable=False),
    Column("weak_time", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("trouble", Text),
    UniqueConstraint("delivery_id", "ordinal"),
    Index(
        "ix_event_pending",
        "source",
        "lane",
        "due_at",
        info={WHERE: PENDING},
    ),
    sqlite_autoincrement=True,
)

lead = Table(
    "lead",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign", String(200), nullable=False),
    Column("phone", String(40), nullable=False),
    Column("ledger", Text, nullable=False),
    Column("opted_out", Boolean, nullable=False),
    Column("lane", SmallInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("waiting_since", BigInteger),
    Column("fence", BigInteger, nullable=False),
    Column("lease_owner", String(64), nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("standing_tries", Integer, nullable=False),
    Column("bare", Boolean, nullable=False),
    Column("reassert", Boolean, nullable=False),
    UniqueConstraint("campaign", "phone"),
    Index("ix_lead_due", "campaign", "lane", "due_at"),
    Index(
        "ix_lead_leased",
        "lease_until",
        info={WHERE: LEASED},
    ),
    Index("ix_lead_phone", "phone"),
    sqlite_autoincrement=True,
)

outcome = Table(
    "outcome",
    metadata,
    Column("id", Id, primary_key=True),
    Column("event_id", BigInteger, nullable=False),
    Column("delivery_id", BigInteger, nullable=False),
    Column("receipt", String(32), nullable=False),
    Column("source", String(100), nullable=False),
    Column("campaign", String(200), nullable=False),
    Column("phone", String(40), nullable=False),
    Column("lead_id", BigInteger),
    Column("state", String(16), nullable=False),
    Column("fields", Text, nullable=False),
    Column("opts_out", Boolean, nullable=False),
    Column("rules", Text, nullable=False),
    Column("event_time", BigInteger, nullable=False),
    Column("key", String(32), nullable=False),
    Column("version", String(16), nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("decided_at", BigInteger),
    Column("tries", Integer, nullable=False),
    Column("doubtful", Boolean, nullable=False),
    Column("batch_id", BigInteger),
    Column("message", Text, nullable=False),
    Column("replay_id", BigInteger, nullable=False, server_default=text("0")),
    Column("received_at", BigInteger),
    Column("erased_at", BigInteger),
    UniqueConstraint("event_id", "campaign", "phone", "replay_id"),
    Index("ix_outcome_lead_id_state", "lead_id", "state"),
    Index("ix_outcome_state_id", "state", "id"),
    Index("ix_outcome_phone_id", "phone", "id"),
    Index("ix_outcome_delivery_id", "delivery_id"),
    Index(
        "ix_outcome_waiting_opt_outs",
        "state",
        "accepted_at",
        info={WHERE: OPEN_OPT_OUT},
    ),
    Index(
        "ix_outcome_replayed",
        "replay_id",
        "state",
        info={WHERE: REPLAYED},
    ),
    sqlite_autoincrement=True,
)

batch = Table(
    "batch",
    metadata,
    Column("id", Id, primary_key=True),
    Column("campaign", String(200), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("elapsed_ms", BigInteger, nullable=False),
    Column("leads", Integer, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("status", Integer),
    Column("trouble", String(16)),
    Column("detail", Text, nullable=False),
    Index("ix_batch_campaign_id", "campaign", "id"),
    sqlite_autoincrement=True,
)

contact = Table(
    "contact",
    metadata,
    Column("source", String(100), primary_key=True),
    Column("account", String(200), primary_key=True),
    Column("contact_id", String(200), primary_key=True),
    Column("phones", Text, nullable=False),
    Column("opted_out", Boolean, nullable=False),
    Column("consent_time", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("links", Text),
    Index("ix_contact_contact_id", "contact_id"),
)

campaign = Table(
    "campaign",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("api_id", Text, nullable=False),
    Column("api_address", String(32), nullable=False, server_default=""),
    Column("account", String(32), nullable=False, server_default=""),
    Column("condition", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("not_before", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("status", Integer),
    Column("probe_until", BigInteger, nullable=False),
    Column("changes", BigInteger, nullable=False),
    Column("greeted_by", String(64)),
    Column("away_since", BigInteger),
)

campaign_arrival = Table(
    "campaign_arrival",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("arrived_at", BigInteger, nullable=False),
)

campaign_pause = Table(
    "campaign_pause",
    metadata,
    Column("campaign", String(200), primary_key=True),
    Column("since", BigInteger, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("holds_opt_outs", Boolean, nullable=False),
)

lapsed_opt_out = Table(
    "lapsed_opt_out",
    metadata,
    Column("outcome_id", BigInteger, primary_key=True, autoincrement=False),
    Column("campaign", String(200), nullable=False),
    Column("state", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("ix_lapsed_opt_out_at", "at"),
)

operator_action = Table(
    "operator_action",
    metadata,
    Column("id", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(200), nullable=False),
    Column("details", Text, nullable=False),
    Index("ix_operator_action_subject_id", "subject", "id"),
    sqlite_autoincrement=True,
)

refusal = Table(
    "refusal",
    metadata,
    Column("id", Id, primary_key=True),
    Column("receipt", String(32), nullable=False, unique=True),
    Column("source", String(100), nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("address", String(64), nullable=False),
    Column("network", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("method", String(16), nullable=False),
    Column("url", Text, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("size", Integer, nullable=False),
    Column("passed_over", Integer, nullable=False),
    Index("ix_refusal_network_id", "network", "id", "size"),
    Index("ix_refusal_received_at", "received_at"),
    sqlite_autoincrement=True,
)

mapping_version = Table(
    "mapping_version",
    metadata,
    Column("version", String(16), primary_key=True),
    Column("source", String(100), nullable=False),
    Column("text", Text, nullable=False),
    Column("region", String(16), nullable=False),
    Column("routing", Text, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Index("ix_mapping_version_source", "source", "first_seen"),
)

replay = Table(
    "replay",
    metadata,
    Column("id", Id, primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("state", String(16), nullable=False),
    Column("selection", Text, nullable=False),
    Column("mapping", String(16), nullable=False),
    Column("marks", Boolean, nullable=False),
    Column("rate", Float, nullable=False),
    Column("scan", Text, nullable=False),
    Column("deliveries", BigInteger, nullable=False),
    Column("deliveries_done", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("owner", String(64), nullable=False),
    Column("held_until", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("trouble", Text, nullable=False),
    Index("ix_replay_state", "state"),
    sqlite_autoincrement=True,
)

replay_item = Table(
    "replay_item",
    metadata,
    Column("replay_id", BigInteger, primary_key=True),
    Column("receipt", String(32), primary_key=True),
    Column("delivery_id", BigInteger, nullable=False),
    Column("ordinals", Text, nullable=False),
)

worker = Table(
    "worker",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("host", String(200), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("beat_at", BigInteger, nullable=False),
    Column("version", String(64), nullable=False),
)

heartbeat = Table(
    "heartbeat",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("at", BigInteger, nullable=False),
)

tally = Table(
    "tally",
    metadata,
    Column("span", SmallInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, primary_key=True, autoincrement=False),
    Column("campaign", String(200), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("slot", SmallInteger, primary_key=True, autoincrement=False),
    Column("count", BigInteger, nullable=False),
)

clue = Table(
    "clue",
    metadata,
    Column("digest", String(40), primary_key=True),
    Column("phone", String(40), primary_key=True),
    Column("event_id", BigInteger, primary_key=True, autoincrement=False),
    Index("ix_clue_phone", "phone", info={WHERE: OF_PHONE}),
    Index("ix_clue_event_id", "event_id", info={WHERE: OF_EVENT}),
)

attempt = Table(
    "attempt",
    metadata,
    Column("id", Id, primary_key=True),
    Column("outcome_id", BigInteger, nullable=False),
    Column("batch_id", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("message", Text, nullable=False),
    Index("ix_attempt_outcome_id", "outcome_id"),
    sqlite_autoincrement=True,
)

oauth_token = Table(
    "oauth_token",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("sealed", Text, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    Column("held_until", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False),
)

event_contact = Table(
    "event_contact",
    metadata,
    Column("contact", String(40), primary_key=True),
    Column("event_id", BigInteger, primary_key=True),
)

erasure = Table(
    "erasure",
    metadata,
    Column("id", Id, primary_key=True),
    Column("receipt", String(32), nullable=False),
    Column("source", String(100), nullable=False),
    Column("wanted", Text, nullable=False),
    Column("subjects", Text, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("done_at", BigInteger),
    Column("erased", Text, nullable=False),
    Index("ix_erasure_due", "due_at", info={WHERE: UNDONE}),
    sqlite_autoincrement=True,
)

hash_key = Table(
    "hash_key",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", String(64), nullable=False),
)

sweep = Table(
    "sweep",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("up_to", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
)

audit_mark = Table(
    "audit_mark",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("up_to", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
)

audit_sum = Table(
    "audit_sum",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("state", String(16), primary_key=True),
    Column("count", BigInteger, nullable=False),
)

audit_open = Table(
    "audit_open",
    metadata,
    Column("kind", String(16), primary_key=True),
    Column("id", BigInteger, primary_key=True),
)

alert_channel = Table(
    "alert_channel",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("held_until", BigInteger, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("failing_since", BigInteger),
    Column("not_before", BigInteger, nullable=False),
    Column("trouble", Text, nullable=False),
)

alert = Table(
    "alert",
    metadata,
    Column("channel", String(16), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("subject", String(200), primary_key=True),
    Column("text", Text, nullable=False),
    Column("urgent", Boolean, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("owed", Boolean, nullable=False),
    Column("gone_at", BigInteger),
    Column("told_at", BigInteger),
    Column("told_size", BigInteger, nullable=False),
    Column("times", Integer, nullable=False),
)

notice = Table(
    "notice",
    metadata,
    Column("process", String(64), primary_key=True),
    Column("kind", String(32), primary_key=True),
    Column("subject", String(200), primary_key=True),
    Column("text", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
)

silence = Table(
    "silence",
    metadata,
    Column("source", String(100), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("longest_ms", BigInteger, nullable=False),
)

compatibility = Table(
    "compatibility",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("oldest", String(32), nullable=False),
)
