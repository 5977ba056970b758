"""Every setting, declared once: name, type, default, help.

``crm-bridge settings`` prints this table; ``docs/settings.md`` is made from it. What stands in the
environment is read and checked against it by ``bridge.settings``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. ``kind`` is its type; each number has a smallest and a largest value, and a text
    with ``choices`` is one of these. ``address``: the whole of one, with http or https."""

    name: str
    kind: type
    default: Any
    help: str
    secret: bool = False
    least: float = 0
    most: float = math.inf
    choices: tuple[str, ...] = ()
    address: bool = False


YEAR_S = 31_536_000
"""The longest time that is waited for anything, in seconds; what is far longer fits no due time."""

SETTINGS: tuple[Setting, ...] = (
    Setting(
        "BRIDGE_API_URL", str, "https://api.voiceaiwrapper.app", "base URL of the campaign API"
    ),
    Setting(
        "BRIDGE_API_TOKEN",
        str,
        None,
        "bearer token of the campaign API; a campaign or tenant may name its own",
        secret=True,
    ),
    Setting(
        "DATABASE_URL",
        str,
        "sqlite:///bridge.db",
        "SQLite file or PostgreSQL (postgres://… and postgresql://… both work)",
        secret=True,
    ),
    Setting("BRIDGE_MAPPINGS", str, "mappings", "folder of mapping files"),
    Setting(
        "BRIDGE_PUBLIC_URL",
        str,
        None,
        "the bridge's address as the CRM calls it, such as https://bridge.example.com; "
        "signatures that cover the URL use it, never the request's own",
        address=True,
    ),
    Setting(
        "BRIDGE_CONSOLE_TOKEN",
        str,
        None,
        "opens the console, the API and the details of /healthz; without it nobody sees them",
        secret=True,
    ),
    Setting(
        "BRIDGE_METRICS_TOKEN",
        str,
        None,
        "opens /metrics and nothing else, so that a Prometheus needs no more; "
        "BRIDGE_CONSOLE_TOKEN opens it as well",
        secret=True,
    ),
    Setting(
        "BRIDGE_METRICS",
        str,
        "token",
        "who may read /metrics: token (404 where none is set), or open to everybody who reaches it",
        choices=("token", "open"),
    ),
    Setting(
        "BRIDGE_CONSOLE_HOURS",
        float,
        12.0,
        "hours after which a session of the console ends",
        least=0.01,
        most=744,
    ),
    Setting(
        "BRIDGE_CONSOLE_TIMEOUT",
        float,
        5.0,
        "seconds that a page of the console or a call of the API may work",
        least=0.5,
        most=60,
    ),
    Setting(
        "BRIDGE_EVIDENCE_KEY",
        str,
        None,
        "long random text that seals exported evidence: who edits a file cannot seal it anew, and "
        "nobody can verify it, without the key",
        secret=True,
    ),
    Setting(
        "BRIDGE_EXPORT_MOST",
        int,
        100_000,
        "deliveries of a period that console or API export, at most; crm-bridge export has no "
        "such bound",
        least=1,
        most=10_000_000,
    ),
    Setting("HOST", str, "127.0.0.1", "address that the web process listens on"),
    Setting("PORT", int, 8000, "port that the web process listens on", least=0, most=65535),
    Setting(
        "WEB_CONCURRENCY",
        int,
        1,
        "web processes; keep 1 on SQLite, where two fight for the write lock",
        least=1,
        most=64,
    ),
    Setting("BRIDGE_DEFAULT_REGION", str, "US", "country of phone numbers written without +"),
    Setting(
        "BRIDGE_MAX_BODY",
        int,
        2_000_000,
        "largest webhook body, in bytes; of a larger one only a refusal without the body is kept",
        least=1,
        most=100_000_000,
    ),
    Setting(
        "BRIDGE_MAX_UNVERIFIED",
        int,
        262_144,
        "largest body, in bytes, that is opened before anything about its request is verified: "
        "for secrets that stand in the body, and for what is to be dropped from refused requests",
        least=1,
        most=100_000_000,
    ),
    Setting(
        "BRIDGE_CHECK_BODY",
        int,
        8_192,
        "largest body, in bytes, that is read before the answer, which then says what is wrong "
        "with it; a larger one is stored unread, unless something of it must not be stored, and "
        "its outcome says what is wrong",
        most=100_000_000,
    ),
    Setting("BRIDGE_MAX_DEPTH", int, 64, "deepest nesting of a decoded body", least=2, most=200),
    Setting(
        "BRIDGE_MAX_EVENTS",
        int,
        1000,
        "most events that one delivery may hold; one with more is kept whole as one dead letter",
        least=1,
        most=1_000_000,
    ),
    Setting(
        "BRIDGE_COMMIT_TIMEOUT",
        float,
        0.8,
        "seconds a webhook waits for the database before it is answered 503",
        least=0.05,
        most=30,
    ),
    Setting(
        "BRIDGE_READ_TIMEOUT",
        float,
        10.0,
        "seconds a sender may take for a request's head, and again for its body",
        least=0.1,
        most=600,
    ),
    Setting(
        "BRIDGE_KEEPALIVE", int, 75, "seconds a connection may be idle between requests", most=3600
    ),
    Setting(
        "BRIDGE_BODIES_IN_FLIGHT",
        int,
        64_000_000,
        "bytes of bodies that a web process holds at a time; who comes above it is told to come "
        "again, with a body of more than 64 KiB (counts as at least BRIDGE_MAX_BODY)",
        least=1,
        most=1_000_000_000_000,
    ),
    Setting(
        "BRIDGE_REFUSALS_KEPT",
        int,
        10_000,
        "refused requests kept for a second look",
        most=10_000_000,
    ),
    Setting(
        "BRIDGE_REFUSALS_PER_ADDRESS",
        int,
        1000,
        "of those, at most from one address",
        most=10_000_000,
    ),
    Setting(
        "BRIDGE_REFUSALS_BYTES",
        int,
        64_000_000,
        "bytes of refused requests kept in all",
        most=1_000_000_000_000,
    ),
    Setting(
        "BRIDGE_REFUSALS_ADDRESS_BYTES",
        int,
        16_000_000,
        "of those, at most from one address",
        most=1_000_000_000_000,
    ),
    Setting(
        "BRIDGE_REFUSALS_DAYS",
        float,
        30.0,
        "days after which a refused request is deleted",
        least=0,
        most=36_500,
    ),
    Setting(
        "BRIDGE_FORWARDED_HOPS",
        int,
        0,
        "proxies in front of the bridge whose X-Forwarded-For is to be believed",
        most=10,
    ),
    Setting("BRIDGE_LEASE", float, 30.0, "seconds a worker may hold a lead", least=1, most=3600),
    Setting(
        "BRIDGE_POLL",
        float,
        1.0,
        "seconds between looks for work that nobody signalled",
        least=0.01,
        most=60,
    ),
    Setting(
        "BRIDGE_WORKER_CONNECTIONS",
        int,
        20,
        "database connections that a worker opens at most; a web process opens 8; "
        "alerts, where they are set up, 4 more in each",
        least=4,
        most=500,
    ),
    Setting(
        "BRIDGE_WORKER_SHARE",
        float,
        0.1,
        "the part of the time that a worker has at least while webhooks flood in on the same "
        "machine, since both use its cores and, on SQLite, one lock; opt-outs go on all the "
        "same; 1: it never stands back",
        least=0.01,
        most=1,
    ),
    Setting(
        "BRIDGE_CAMPAIGN_RATE",
        float,
        10.0,
        "calls of the campaign API per second, campaign and worker, unless campaigns.yaml says "
        "otherwise; after a 429 fewer for a while",
        least=0.01,
        most=10_000,
    ),
    Setting(
        "BRIDGE_CAMPAIGN_CONCURRENCY",
        int,
        2,
        "calls at a time per campaign and worker, unless campaigns.yaml says otherwise; one more "
        "is kept for opt-outs",
        least=1,
        most=100,
    ),
    Setting(
        "BRIDGE_TOKEN_RATE",
        float,
        0.0,
        "calls per second and worker of all campaigns with one token together, unless its tenant "
        "in campaigns.yaml says otherwise; 0: no limit beside those of the campaigns",
        most=10_000,
    ),
    Setting(
        "BRIDGE_TOKEN_CONCURRENCY",
        int,
        0,
        "the same for calls at a time; an opt-out may be one more. One campaign takes at most half",
        most=1000,
    ),
    Setting(
        "BRIDGE_UNKNOWN_TRIES",
        int,
        5,
        "tries of an update without a trustworthy answer before it ends as unconfirmed",
        least=1,
        most=100,
    ),
    Setting(
        "BRIDGE_GIVE_UP",
        float,
        259_200.0,
        "seconds after which an update other than an opt-out, sent again and again without an "
        "answer, ends as unconfirmed",
        least=1,
        most=YEAR_S,
    ),
    Setting(
        "BRIDGE_BACKOFF",
        float,
        1.0,
        "seconds of the first pause after a failed call",
        least=0.001,
        most=86_400,
    ),
    Setting(
        "BRIDGE_BACKOFF_MAX",
        float,
        300.0,
        "seconds of the longest such pause",
        least=0.001,
        most=86_400,
    ),
    Setting(
        "BRIDGE_PAUSE_PROBE",
        float,
        300.0,
        "seconds between single probes of a campaign paused by 401, 403 or 404; 0: never",
        most=604_800,
    ),
    Setting(
        "BRIDGE_STANDING",
        str,
        "60 300 900 3600 21600 86400",
        "seconds between tries of an opt-out that is not confirmed; the last one repeats",
    ),
    Setting(
        "BRIDGE_STANDING_DAYS",
        float,
        1826.0,
        "days after which an unconfirmed opt-out is given up (five years by US rules)",
        least=0,
        most=36_500,
    ),
    Setting(
        "BRIDGE_LOOKUP_GIVE_UP",
        float,
        259_200.0,
        "seconds after which an event whose look-up keeps failing ends as dead",
        least=1,
        most=YEAR_S,
    ),
    Setting(
        "BRIDGE_LOOKUP_SETTLE",
        float,
        60.0,
        "seconds during which a record that the CRM does not know may still appear there",
        most=604_800,
    ),
    Setting(
        "BRIDGE_BODY_DAYS",
        float,
        30.0,
        "days after which the raw request of a finished delivery is erased (one with a dead "
        "outcome: after BRIDGE_PERSON_DAYS); it cannot be replayed then; 0: never",
        most=36_500,
    ),
    Setting(
        "BRIDGE_PERSON_DAYS",
        float,
        400.0,
        "days after which names, values and phone numbers of finished outcomes are erased, but for "
        "opt-outs in force; a keyed hash of the number stays; 0: never",
        most=36_500,
    ),
    Setting(
        "BRIDGE_BATCH",
        int,
        500,
        "deliveries or events that a worker takes at a time; on SQLite twice as many while no "
        "webhooks come in quickly; a quarter of them while they do",
        least=1,
        most=10_000,
    ),
    Setting(
        "BRIDGE_REPLAY_RATE",
        float,
        50.0,
        "events a second of a replay that does not name its own rate",
        least=0.01,
        most=10_000,
    ),
    Setting(
        "BRIDGE_REPLAY_OPEN",
        int,
        500,
        "updates of one replay that may be on their way before it goes on",
        least=1,
        most=100_000,
    ),
    Setting(
        "BRIDGE_WORKER_SILENT",
        float,
        15.0,
        "seconds without a sign of life after which a worker counts as gone",
        least=5,
        most=3600,
    ),
    Setting(
        "BRIDGE_OPT_OUT_LATE",
        float,
        60.0,
        "seconds after which an opt-out that waits for its confirmation is a concern",
        least=0.1,
        most=86_400,
    ),
    Setting(
        "BRIDGE_BACKLOG_LATE",
        float,
        300.0,
        "seconds after which deliveries, look-ups and other updates that wait are a concern",
        least=0.1,
        most=604_800,
    ),
    Setting(
        "BRIDGE_STANDING_LATE_DAYS",
        float,
        0.0,
        "days after which an opt-out that stands unconfirmed is a concern (a campaign that never "
        "gets the lead lets it stand for years); 0: never",
        most=36_500,
    ),
    Setting(
        "BRIDGE_DISK_LOW",
        int,
        500_000_000,
        "free bytes beside an SQLite file below which the disk is a concern",
        most=1_000_000_000_000_000,
    ),
    Setting(
        "BRIDGE_SILENCE_FACTOR",
        float,
        2.0,
        "a source is a concern when it is silent for so many times its longest silence of the "
        "last four weeks; 0: never",
        most=1000,
    ),
    Setting(
        "BRIDGE_SILENCE_LEAST",
        float,
        3600.0,
        "seconds that a source may be silent in any case",
        most=YEAR_S,
    ),
    Setting(
        "BRIDGE_SILENCE_DAYS",
        float,
        7.0,
        "days for which a source is watched before its longest silence counts as known",
        most=28,
    ),
    Setting(
        "BRIDGE_ALERT_SLACK_URL",
        str,
        None,
        "incoming webhook of Slack, or of anything that takes the same (Mattermost, Rocket.Chat, "
        "Discord with /slack), for alerts",
        secret=True,
    ),
    Setting(
        "BRIDGE_ALERT_WEBHOOK_URL",
        str,
        None,
        "where alerts are posted as JSON",
        secret=True,
    ),
    Setting(
        "BRIDGE_ALERT_WEBHOOK_TOKEN",
        str,
        None,
        "sent with that JSON as a bearer token",
        secret=True,
    ),
    Setting(
        "BRIDGE_ALERT_MAIL_TO",
        str,
        None,
        "e-mail addresses for alerts, with blanks or commas between them; needs "
        "BRIDGE_ALERT_MAIL_FROM and BRIDGE_SMTP_HOST",
    ),
    Setting("BRIDGE_ALERT_MAIL_FROM", str, None, "the sender's address of such e-mail"),
    Setting("BRIDGE_SMTP_HOST", str, None, "mail server that takes such e-mail"),
    Setting("BRIDGE_SMTP_PORT", int, 587, "its port", least=1, most=65535),
    Setting(
        "BRIDGE_SMTP_TLS",
        str,
        "starttls",
        "how it is spoken to: starttls, tls (from the first byte, often port 465), or none",
        choices=("starttls", "tls", "none"),
    ),
    Setting("BRIDGE_SMTP_USER", str, None, "name to log in with, if the mail server wants one"),
    Setting("BRIDGE_SMTP_PASSWORD", str, None, "and its password", secret=True),
    Setting(
        "BRIDGE_ALERT_NAME",
        str,
        "crm-bridge",
        "what alerts call this bridge; give each its own where there are several",
    ),
    Setting(
        "BRIDGE_ALERT_EVERY",
        float,
        10.0,
        "seconds between looks for what is to be told",
        least=0.1,
        most=600,
    ),
    Setting(
        "BRIDGE_ALERT_WAIT",
        float,
        30.0,
        "seconds that an alert waits for others, to be told in one message; what is over before "
        "that is not told",
        most=3600,
    ),
    Setting(
        "BRIDGE_ALERT_PAUSE",
        float,
        300.0,
        "seconds between two messages; something new that is urgent does not wait for it",
        most=86_400,
    ),
    Setting(
        "BRIDGE_ALERT_REPEAT",
        str,
        "3600 14400 86400",
        "seconds after which an alert that lasts is told again; the last one repeats; 0: never",
    ),
    Setting(
        "BRIDGE_ALERT_CLEAR",
        float,
        120.0,
        "seconds that all must be well again before an alert is told to be over",
        most=86_400,
    ),
    Setting(
        "BRIDGE_ALERT_TIMEOUT",
        float,
        10.0,
        "seconds that a receiver of alerts or of the heartbeat may take in all",
        least=0.1,
        most=60,
    ),
    Setting(
        "BRIDGE_HEARTBEAT_URL",
        str,
        None,
        "called by GET as long as all that can be sent is sent, for a monitor that alarms when "
        "nobody calls it any more",
        secret=True,
    ),
    Setting(
        "BRIDGE_HEARTBEAT_EVERY",
        float,
        60.0,
        "seconds between two of these calls at least",
        least=0.1,
        most=86_400,
    ),
    Setting(
        "BRIDGE_LOG",
        str,
        "auto",
        "log lines: json (by ECS field names), text, or auto (text on a terminal, else json)",
        choices=("json", "text", "auto"),
    ),
    Setting(
        "BRIDGE_LOG_LEVEL",
        str,
        "info",
        "debug, info, warning or error",
        choices=("debug", "info", "warning", "error"),
    ),
)

BY_NAME: Mapping[str, Setting] = {setting.name: setting for setting in SETTINGS}
