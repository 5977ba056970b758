"""The states of a lead update, the lanes it waits in, and the channels of consent."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class State(StrEnum):
    """What has become of one lead update, or of an event that led to none."""

    WAITING = "waiting"
    IN_FLIGHT = "in_flight"
    STANDING = "standing"
    UPDATED = "updated"
    NOT_FOUND = "not_found"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    DUPLICATE = "duplicate"
    SKIPPED = "skipped"
    UNCONFIRMED = "unconfirmed"
    DEAD = "dead"

    final: bool
    """Whether nothing more will happen by itself."""

    def __init__(self, name: str) -> None:
        self.final = name not in ("waiting", "in_flight", "standing")


OPEN_STATES = tuple(state for state in State if not state.final)
"""Those in which something is still to be done."""


class Lane(IntEnum):
    """Who goes first. A smaller number is served before a larger one."""

    OPT_OUT = 0
    FIRST = 1
    RETRY = 2
    REPLAY = 3
    STANDING = 4
    IDLE = 9


class Channel(StrEnum):
    """Which way of reaching a person a consent signal speaks about."""

    VOICE = "voice"
    SMS = "sms"
    EMAIL = "email"
    ALL = "all"
    NONE = "none"
