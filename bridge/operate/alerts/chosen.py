"""Which channels the settings name, and how they are told of concerns."""

from __future__ import annotations

import re

from bridge.errors import SettingError
from bridge.operate.alerts.book import Policy
from bridge.operate.alerts.caller import Caller, checked
from bridge.operate.alerts.channel import Channel
from bridge.operate.alerts.mail import Mail, Server, Tls
from bridge.operate.alerts.slack import Slack
from bridge.operate.alerts.webhook import Webhook
from bridge.settings import Settings

_ADDRESS = re.compile(r"[^\s@,;<>\"]+@[^\s@,;<>\"]+")


def channels(settings: Settings) -> list[Channel]:
    """New channels, each for one thread. Errors: ``SettingError``."""
    timeout_s: float = settings["BRIDGE_ALERT_TIMEOUT"]
    found: list[Channel] = []
    url = settings["BRIDGE_ALERT_SLACK_URL"]
    if url is not None:
        found.append(Slack(checked("BRIDGE_ALERT_SLACK_URL", url), timeout_s))
    url = settings["BRIDGE_ALERT_WEBHOOK_URL"]
    if url is not None:
        token = settings["BRIDGE_ALERT_WEBHOOK_TOKEN"]
        found.append(Webhook(checked("BRIDGE_ALERT_WEBHOOK_URL", url), token, timeout_s))
    if settings["BRIDGE_ALERT_MAIL_TO"] is not None:
        found.append(_mail(settings, timeout_s))
    return found


def monitor(settings: Settings) -> Caller | None:
    """Whom the heartbeat calls, if anybody. Errors: ``SettingError``."""
    url = settings["BRIDGE_HEARTBEAT_URL"]
    if url is None:
        return None
    return Caller(checked("BRIDGE_HEARTBEAT_URL", url), settings["BRIDGE_ALERT_TIMEOUT"])


def policy(settings: Settings) -> Policy:
    """When concerns are told. Errors: ``SettingError``."""
    return Policy(
        wait=round(settings["BRIDGE_ALERT_WAIT"] * 1000),
        pause=round(settings["BRIDGE_ALERT_PAUSE"] * 1000),
        repeat=tuple(round(step * 1000) for step in settings.alert_schedule),
        clear=round(settings["BRIDGE_ALERT_CLEAR"] * 1000),
    )


def console(settings: Settings) -> str:
    """The address of the console; blank if there is none, or nobody knows how it is reached."""
    url = settings["BRIDGE_PUBLIC_URL"]
    if url is None or settings["BRIDGE_CONSOLE_TOKEN"] is None:
        return ""
    return f"{url.rstrip('/')}/console/"


def _mail(settings: Settings, timeout_s: float) -> Mail:
    to = tuple(re.split(r"[\s,;]+", settings["BRIDGE_ALERT_MAIL_TO"].strip(" ,;")))
    sender, host = settings["BRIDGE_ALERT_MAIL_FROM"], settings["BRIDGE_SMTP_HOST"]
    for name, value in (("BRIDGE_ALERT_MAIL_FROM", sender), ("BRIDGE_SMTP_HOST", host)):
        if value is None:
            raise SettingError(f"BRIDGE_ALERT_MAIL_TO is set, so {name} has to be set as well.")
    for name, address in (("TO", to), ("FROM", (sender,))):
        if not all(_ADDRESS.fullmatch(one) and one.isascii() for one in address):
            raise SettingError(
                f"BRIDGE_ALERT_MAIL_{name} is not usable. Write addresses such as "
                "ops@example.com, without names."
            )
    server = Server(
        host,
        settings["BRIDGE_SMTP_PORT"],
        Tls(settings["BRIDGE_SMTP_TLS"]),
        settings["BRIDGE_SMTP_USER"],
        settings["BRIDGE_SMTP_PASSWORD"],
    )
    return Mail(server, sender, to, timeout_s)


def name(settings: Settings) -> str:
    """What messages call this bridge: one line."""
    return " ".join(settings["BRIDGE_ALERT_NAME"].split())[:100]
