"""What mapping files would make of a body, told step by step; nothing is stored, sent or asked.

Behind the console's playground, where anybody with its token may write a mapping. So a draft sees
no secret: of the settings it gets those alone that the files on disk fill in outside of secrets.
Cases, which a file on disk may name any setting in, see no setting of the process at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bridge import logs
from bridge.clock import now_ms
from bridge.errors import BridgeError, DecodeError, MappingError
from bridge.map import (
    CaseResult,
    MappingSet,
    SourceMapping,
    load_cases,
    load_mappings,
    run_cases,
)
from bridge.map.case_file import Case
from bridge.map.cases import Under, events_of, mapped_for
from bridge.map.draft import draft_mapping
from bridge.map.events import too_many
from bridge.map.load import CaseMappings, load_for_cases
from bridge.map.trace import RuleSteps, trace
from bridge.model import NOBODY, Delivery, Event, Found, Known, Secret
from bridge.receive.decode import decode
from bridge.settings import Settings
from bridge.store import contacts, deliveries
from bridge.store.database import Connection, Database

MOST_EVENTS = 20
"""Events of one body that are told of."""

WIDEST = 100
"""Characters of a value that a condition met."""


@dataclass
class Disclosed:
    """The settings that mapping files fill in, without any that is or holds a secret.

    As an environment for loading it notes what is asked for; as one for a draft it gives
    ``allowed`` alone, and no secret.
    """

    settings: Settings
    allowed: Mapping[str, str] | None = None
    filled: dict[str, str] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def get(self, name: str, default: str | None = None, /) -> str | None:
        """The value of a setting, if it may be seen."""
        if self.allowed is not None:
            return self.allowed.get(name, default)
        value = self.settings.environment.get(name)
        if value is not None:
            self.filled[name] = value
        return default if value is None else value

    def secret(self, name: str) -> Secret | None:
        """None: a draft is given placeholders."""
        if self.allowed is None:
            self.secrets.add(name)
        return None

    def harmless(self) -> dict[str, str]:
        """What was filled in, less what is a secret by its use, its name or its value."""
        hidden = set(self.settings.live_secrets())
        values = (self.settings.environment.get(name) for name in self.secrets)
        hidden |= {value for value in values if value}
        return {
            name: value
            for name, value in self.filled.items()
            if name not in self.secrets and not any(one in value for one in hidden)
        }


class Trials:
    """``current``: the mapping set in force. ``aside`` runs work where it holds up no webhook;
    the database is not asked there, since its connections belong to the threads of the server.
    """

    def __init__(
        self,
        settings: Settings,
        current: Callable[[], MappingSet],
        database: Database,
        aside: Callable[[Callable[[], Any]], Any],
    ) -> None:
        self._settings = settings
        self._folder = Path(settings["BRIDGE_MAPPINGS"])
        self._current = current
        self._database = database
        self._aside = aside
        self._read = partial(decode, max_depth=settings["BRIDGE_MAX_DEPTH"])
        self._of_cases = Settings.declared()
        self._read_case = partial(decode, max_depth=self._of_cases["BRIDGE_MAX_DEPTH"])
        self._shelf: tuple[str, list[dict[str, Any]]] | None = None
        self._allowed: tuple[str, dict[str, str]] | None = None

    # ------------------------------------------------------------------ the files

    def shelf(self) -> list[dict[str, Any]]:
        """Every mapping file with its state, its rules and its cases."""
        current = self._current()
        cases = sorted(self._folder.glob("*.cases.yaml"))
        key = f"{current.version} {[path.stat().st_mtime_ns for path in cases]}"
        if self._shelf is None or self._shelf[0] != key:
            files = self._aside(lambda: self._files(key, current))
        else:
            files = self._shelf[1]
        return [self._with_state(one, current) for one in files]

    def text(self, source: str) -> str | None:
        """A mapping file as it stands on disk."""
        if source not in self._current().mappings:
            return None
        try:
            return (self._folder / f"{source}.yaml").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None

    def _files(self, key: str, current: MappingSet) -> list[dict[str, Any]]:
        """The files with their cases; kept also where nobody waited for the end."""
        under = CaseMappings(self._of_cases.environment).under
        found = self._on_disk()
        if found is None:
            files = [self._in_force(one, under) for _, one in sorted(current.mappings.items())]
        else:
            files = [self._file(one, under) for _, one in sorted(found.mappings.items())]
        self._shelf = key, files
        return files

    def _on_disk(self) -> MappingSet | None:
        """The files as their cases see them; None where one of them has a mistake now."""
        bare = self._of_cases
        try:
            return load_mappings(
                self._folder,
                bare.environment,
                api_url=bare["BRIDGE_API_URL"],
                api_token=None,
                default_region=bare["BRIDGE_DEFAULT_REGION"],
                placeholders=True,
            )
        except MappingError:
            return None

    @staticmethod
    def _with_state(one: dict[str, Any], current: MappingSet) -> dict[str, Any]:
        """A file with what goes by the settings of this process: its version is of outcomes."""
        mapping = current.mappings.get(one["name"])
        if mapping is None:
            return {**one, "missing": [], "state": "not_taken_in"}
        return {
            **one,
            "title": mapping.source.title,
            "version": mapping.version,
            "missing": list(mapping.source.missing),
            "state": "ready" if mapping.source.configured else "not_configured",
        }

    def _in_force(self, mapping: SourceMapping, under: Under) -> dict[str, Any]:
        bare = self._of_cases
        region = bare["BRIDGE_DEFAULT_REGION"]
        try:
            seen = load_for_cases(mapping.kept, bare.environment, region=region)
        except MappingError as error:
            return self._described(mapping, (), set(), str(error))
        return self._file(seen, under)

    def _file(self, mapping: SourceMapping, under: Under) -> dict[str, Any]:
        """A file, loaded as its cases see it, with them."""
        name = mapping.source.name
        path = self._folder / f"{name}.cases.yaml"
        cases: tuple[Case, ...] = ()
        problem = ""
        if path.exists():
            try:
                cases = load_cases(path)
            except (BridgeError, OSError) as error:
                problem = str(error)
        results = run_cases(mapping, cases, decode=self._read_case, under=under)
        reached = {rule for case in cases for rule in self._fired(mapping, case, under)}
        return self._described(mapping, results, reached, problem)

    @staticmethod
    def _described(
        mapping: SourceMapping, results: Sequence[CaseResult], reached: set[str], problem: str
    ) -> dict[str, Any]:
        """``reached``: the rules that some case lets fire."""
        return {
            "name": mapping.source.name,
            "file": f"{mapping.source.name}.yaml",
            "title": mapping.source.title,
            "version": mapping.version,
            "look_ups": sorted(mapping.lookups),
            "rules": [
                {"name": rule.name, "reached": rule.name in reached} for rule in mapping.rules
            ],
            "cases": [
                {
                    "name": result.name,
                    "line": result.line,
                    "passed": result.passed,
                    "differences": list(result.differences),
                }
                for result in results
            ],
            "cases_problem": problem,
        }

    def _fired(self, mapping: SourceMapping, case: Case, under: Under) -> set[str]:
        fired: set[str] = set()
        try:
            mapping = under(mapping, case.settings)
            events = events_of(mapping, case, self._read_case)
        except BridgeError:
            return fired
        for event in events:
            mapped = mapped_for(mapping, event, case)
            fired |= {trace.rule for trace in mapped.trace if trace.fired} if mapped else set()
        return fired

    # ------------------------------------------------------------------ drafts and deliveries

    def draft(
        self, source: str, text: str, body: bytes, records: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        """What a mapping, given as text, would make of a body."""
        current = self._current()
        told: dict[str, Any] = self._aside(
            lambda: self._draft(current, source, text, body, records)
        )
        return told

    def _draft(
        self,
        current: MappingSet,
        source: str,
        text: str,
        body: bytes,
        records: dict[str, dict[str, Any]],
    ) -> dict[str, Any]:
        try:
            mapping = draft_mapping(
                self._folder,
                source,
                text,
                self._environment(current),
                api_url=self._settings["BRIDGE_API_URL"],
                default_region=self._settings["BRIDGE_DEFAULT_REGION"],
            )
        except MappingError as error:
            mistakes = [asdict(mistake) for mistake in error.mistakes]
            return {"mistakes": mistakes, "problem": "", "events": [], "more_events": 0}
        delivery = Delivery(0, "0" * 32, source, now_ms(), "POST", {}, {}, body, "draft")
        events = self._split(mapping, delivery)
        if isinstance(events, str):
            return _unread(events)
        return _told(mapping, [(event, NOBODY) for event in events], records)

    def trace(self, receipt: str) -> dict[str, Any] | None:
        """What the mapping in force makes of a stored delivery, as far as it can be told without
        asking the CRM again; ``version``: that mapping's."""
        with self._database.read() as connection:
            delivery = deliveries.by_receipt(connection, receipt)
        mapping = None if delivery is None else self._current().mappings.get(delivery.source)
        if delivery is None or mapping is None:
            return None

        events: list[Event] | str = self._aside(lambda: self._split(mapping, delivery))
        if isinstance(events, str):
            return {**_unread(events), "version": mapping.version}
        with self._database.read() as connection:
            known = [
                (event, _known(connection, delivery.source, event))
                for event in events[:MOST_EVENTS]
            ]
        known += [(event, NOBODY) for event in events[MOST_EVENTS:]]
        told: dict[str, Any] = self._aside(lambda: _told(mapping, known, {}))
        return {**told, "version": mapping.version}

    def _split(self, mapping: SourceMapping, delivery: Delivery) -> list[Event] | str:
        """The events of a delivery, or why it cannot be read."""
        if delivery.damaged is not None:
            return f"dead: {delivery.damaged}"
        try:
            document = self._read(mapping.source.decode, delivery.body)
        except DecodeError as error:
            return f"dead: the body cannot be read: {error}"
        events = mapping.split(document, delivery)
        overfull = too_many(len(events), self._settings["BRIDGE_MAX_EVENTS"])
        return events if overfull is None else f"dead: {overfull}"

    def _environment(self, current: MappingSet) -> Disclosed:
        """What a draft may see, found out anew when the files have changed."""
        version = current.version
        if self._allowed is None or self._allowed[0] != version:
            self._allowed = version, self._harmless()
        return Disclosed(self._settings, allowed=self._allowed[1])

    def _harmless(self) -> dict[str, str]:
        noted = Disclosed(self._settings)
        for path in sorted(self._folder.glob("*.yaml")):
            if path.name.endswith(".cases.yaml") or path.name == "campaigns.yaml":
                continue
            try:
                text = path.read_text(encoding="utf-8")
                draft_mapping(
                    self._folder,
                    path.stem,
                    text,
                    noted,
                    api_url=self._settings["BRIDGE_API_URL"],
                    default_region=self._settings["BRIDGE_DEFAULT_REGION"],
                )
            except (OSError, UnicodeDecodeError, BridgeError):
                continue
        return noted.harmless()


def _known(connection: Connection, source: str, event: Event) -> Known:
    """What the bridge remembers of the contacts of an event."""
    found = contacts.recall(connection, source, event.contacts).values()
    phones = tuple(dict.fromkeys(phone for one in found for phone in one.phones))
    return Known(phones, any(one.opted_out for one in found))


def _told(
    mapping: SourceMapping,
    events: Sequence[tuple[Event, Known]],
    records: dict[str, dict[str, Any]],
) -> dict[str, Any]:
    told = [
        _event(mapping, event, _found(mapping, event, records), known)
        for event, known in events[:MOST_EVENTS]
    ]
    more = max(0, len(events) - MOST_EVENTS)
    return {"mistakes": [], "problem": "", "events": told, "more_events": more}


def _unread(problem: str) -> dict[str, Any]:
    return {"mistakes": [], "problem": problem, "events": [], "more_events": 0}


def _found(
    mapping: SourceMapping, event: Event, given: dict[str, dict[str, Any]]
) -> dict[str, Found]:
    """What stands in for the look-ups of one event."""
    return {
        wanted.lookup: Found(
            tuple(given[wanted.lookup][i] for i in wanted.ids if i in given.get(wanted.lookup, {})),
            tuple(i for i in wanted.ids if i not in given.get(wanted.lookup, {})),
        )
        for wanted in mapping.wants(event)
    }


def _event(
    mapping: SourceMapping, event: Event, found: Mapping[str, Found], known: Known
) -> dict[str, Any]:
    steps = trace(mapping, event, found, known)
    mapped = steps.mapped
    return {
        "ordinal": event.ordinal,
        "key": event.key,
        "event_time": event.time_ms,
        "weak_time": event.weak_time,
        "notes": list(event.notes),
        "contacts": [ref.id for ref in event.contacts],
        "look_ups": [
            {"look_up": wanted.lookup, "ids": list(wanted.ids)} for wanted in mapping.wants(event)
        ],
        "rules": [_rule(rule) for rule in steps.rules],
        "updates": [
            {
                "campaign": update.campaign,
                "phone": update.phone,
                "fields": json.loads(json.dumps(dict(update.fields))),
                "rules": list(update.rules),
                "notes": list(update.notes),
            }
            for update in mapped.updates
        ],
        "state": mapped.state.value if mapped.state else None,
        "reason": mapped.reason,
    }


def _rule(rule: RuleSteps) -> dict[str, Any]:
    """A rule, and the conditions that decided; of one that applies all that were asked."""
    return {
        "rule": rule.rule,
        "fired": rule.fired,
        "why": rule.why,
        "conditions": [
            {
                "text": logs.without_secrets(one.text),
                "holds": one.holds,
                "values": {path: _shown(value) for path, value in one.values.items()},
            }
            for one in rule.conditions
        ],
    }


def _shown(value: Any) -> str:
    text = logs.without_secrets(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}…"
