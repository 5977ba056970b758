"""Lead updates, and what else a mapping makes of an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from bridge.model.document import Json
from bridge.model.event import Event
from bridge.model.states import State

FIELDS = (
    "first_name",
    "last_name",
    "email",
    "do_not_call",
    "custom_fields",
    "mark_as_unanswered",
)
"""What the bulk endpoint accepts beside ``phone_number``, which names the lead."""


@dataclass(slots=True)
class LeadUpdate:
    """What is to be sent for one lead to one campaign because of one event.

    ``phone`` is E.164. ``fields`` holds only what is to change, keys from ``FIELDS``;
    ``do_not_call: false`` is among them only if the rule says ``allow_opt_in``. ``time_ms``: the
    time that counts, where it is not that of the event but of an opt-out that came before.
    """

    campaign: str
    phone: str
    fields: Mapping[str, Json]
    rules: tuple[str, ...]
    notes: tuple[str, ...] = ()
    time_ms: int | None = None

    def said_at(self, event: Event) -> int:
        """The time that counts for this update of an event (ms)."""
        return event.time_ms if self.time_ms is None else self.time_ms

    @property
    def opts_out(self) -> bool:
        """Whether this asks that the lead never be called again."""
        return self.fields.get("do_not_call") is True


class RuleTrace(Protocol):
    """What one rule, told by its name, did with one event: fired, or why not.

    Most traces are never read, so the words are only put together for those that are.
    """

    @property
    def rule(self) -> str: ...
    @property
    def fired(self) -> bool: ...
    @property
    def why(self) -> str: ...


@dataclass(slots=True)
class Mapped:
    """What a mapping made of one event.

    Either ``updates``, or a final ``state`` (skipped or dead) with its ``reason``.
    ``phones``: every number the event or its look-ups gave for its contacts, to be remembered.
    ``opts_out``: the event is an opt-out of calls, so its contacts are remembered as opted out;
    False when it opts them in by a rule that may; None when it says nothing about it.
    ``emails``: the person's addresses, wherever a rule would take one from, so that the lead can
    be found by them.
    ``erase``: what is kept of the person is to be erased, once this is recorded.
    """

    updates: tuple[LeadUpdate, ...] = ()
    state: State | None = None
    reason: str = ""
    phones: tuple[str, ...] = ()
    opts_out: bool | None = None
    emails: tuple[str, ...] = ()
    trace: tuple[RuleTrace, ...] = ()
    erase: bool = False


@dataclass(frozen=True, slots=True)
class KeptMapping:
    """A source's mapping file as it was in force once, so that it can be used again.

    ``version``: 12 hexadecimal digits. ``text``: the file as written, settings by name only.
    ``region``: the country of phone numbers without ``+``. ``routing``: campaign →
    ``{"groups": […], "configured": bool}``, as ``campaigns.yaml`` had them.
    """

    version: str
    source: str
    text: str = field(repr=False)
    region: str
    routing: Mapping[str, Mapping[str, Json]]
