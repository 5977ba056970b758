"""A source's mapping file, compiled: split a delivery, say what to look up, map an event."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from bridge.map.events import EventPlan
from bridge.map.lookups import LookupPlan, fill
from bridge.map.numbers import Numbers, Way
from bridge.map.opt_out_words import opt_out_words
from bridge.map.outcome import errors_of, merge, reason_for_nothing, with_notes
from bridge.map.route import Directory
from bridge.map.rules import Rule, Said, may_opt_out, say, yield_to_opt_in
from bridge.map.unusable import Unusable
from bridge.map.value import Value
from bridge.model import (
    NOBODY,
    Campaign,
    Decoder,
    Delivery,
    Event,
    Found,
    Json,
    KeptMapping,
    Known,
    LeadUpdate,
    Lookup,
    Mapped,
    RuleTrace,
    Source,
    State,
    Wanted,
)


@dataclass(frozen=True)
class SourceMapping:
    """One mapping file, ready to work.

    ``kept``: what was written, and its version. ``ways`` are the distinct ones in which rules find
    phone numbers; those whose places are in ``remembered`` give between them every number there is.
    ``emails`` are the distinct ways in which rules find e-mail addresses. ``any_order``: no opt-out
    is lost if an event that came before it is mapped after it.
    """

    source: Source
    kept: KeptMapping
    directory: Directory
    plan: EventPlan
    lookup_plans: tuple[LookupPlan, ...]
    rules: tuple[Rule, ...]
    ways: tuple[Way, ...]
    remembered: tuple[int, ...]
    emails: tuple[Value, ...] = ()
    any_order: bool = True

    @cached_property
    def _words(self) -> tuple[bytes, ...] | None:
        """The words of ``opt_out_words`` as JSON has them; None if there is no telling."""
        if self.source.decode.decoder is not Decoder.JSON:
            return None
        words = opt_out_words(self.plan, self.rules, self._view({}, {}, NOBODY))
        if words is None:
            return None
        return tuple([word.encode(errors=_NO_CHARACTER) for word in sorted(words)])

    @property
    def version(self) -> str:
        """12 hexadecimal digits over everything that decides what becomes of an event."""
        return self.kept.version

    @property
    def phones(self) -> tuple[Value, ...]:
        """The values that the distinct phone numbers of rules come from."""
        return tuple(way.value for way in self.ways)

    @property
    def lookups(self) -> Mapping[str, Lookup]:
        """The look-ups by name."""
        return {plan.lookup.name: plan.lookup for plan in self.lookup_plans}

    def split(self, document: Json, delivery: Delivery) -> list[Event]:
        """The events of a decoded delivery; an event that cannot be read carries its problem.

        Two with the same key are copies of one event. Never raises for anything in the data.
        """
        return self.plan.split(document, delivery)

    def wants(self, event: Event) -> tuple[Wanted, ...]:
        """The records that the event needs, from each look-up at most one entry."""
        if event.problem is not None or not self.lookup_plans:
            return ()
        wanted = [plan.wanted(event) for plan in self.lookup_plans]
        return tuple([one for one in wanted if one is not None])

    def urgent(self, event: Event) -> bool:
        """Whether the event may be an opt-out, as far as it shows before its look-ups.

        An opt-out's look-up goes ahead of all others.
        """
        return self._may_opt_out(event.view)

    def silent(self, body: bytes) -> bool:
        """Whether a body shows without being decoded that ``glance`` would find nothing in it."""
        if not self.any_order:
            return True
        words = self._words
        if not words:
            return words is not None  # no body at all can tell of one
        return _ESCAPE not in body and not any(word in body for word in words)

    def glance(self, document: Json, delivery: Delivery) -> bool:
        """Whether a decoded delivery may hold an opt-out that may go ahead of what came before it.

        Its events are not told apart. Never raises for anything in the data.
        """
        return self.any_order and any(
            self._may_opt_out(view) for view in self.plan.views(document, delivery)
        )

    def _may_opt_out(self, of_event: Mapping[str, Json]) -> bool:
        view = self._view(of_event, {}, NOBODY)
        return any(may_opt_out(rule, view) for rule in self.rules)

    def patience(self, lookups: Collection[str]) -> float | None:
        """After how many seconds an event may go on without these look-ups; None: never."""
        plans = [plan for plan in self.lookup_plans if plan.lookup.name in lookups]
        given = [plan.optional_s for plan in plans if plan.optional_s is not None]
        return max(given) if given and len(given) == len(lookups) else None

    def undecided(self, event: Event, lookups: Collection[str] | None = None) -> bool:
        """Whether only a look-up shows if the event is an opt-out: it is then never given up on.

        ``lookups``: only these of those that the event wants.
        """
        told = {one.lookup for one in self.wants(event)}
        if lookups is not None:
            told &= set(lookups)
        names = {name for one in told for name in (one, f"{one}_all", f"{one}_missing")}
        return any(
            rule.do_not_call is not None
            and not rule.yields_to_opt_in
            and rule.when is not None
            and bool(rule.when.names & names)
            for rule in self.rules
        )

    def spared(
        self,
        event: Event,
        found: Mapping[str, Found],
        known: Known,
        failed: Collection[str],
    ) -> Mapped | None:
        """What the event means without the look-ups that keep failing; None if it has to wait.

        Never where that could cost an opt-out: not while the event may be one, nor of somebody who
        is opted out, whose further numbers the record may hold. And not where nothing would come
        of it.
        """
        if self.patience(failed) is None:
            return None
        if known.opted_out or self.urgent(event) or self.undecided(event, failed):
            return None
        mapped = self.apply(event, found, known)
        return mapped if mapped.updates and mapped.opts_out is None else None

    def view(self, event: Event, found: Mapping[str, Found], known: Known) -> dict[str, Json]:
        """What the expressions of the rules see. ``found`` is by look-up name."""
        return self._view(event.view, found, known)

    def _view(
        self, of_event: Mapping[str, Json], found: Mapping[str, Found], known: Known
    ) -> dict[str, Json]:
        remembered: Json = {"phones": list(known.phones), "opted_out": known.opted_out}
        view = {**of_event, "_known": remembered}
        if self.lookup_plans:
            fill(view, [plan.lookup.name for plan in self.lookup_plans], found)
        return view

    def apply(self, event: Event, found: Mapping[str, Found], known: Known) -> Mapped:
        """What the event means for its leads. ``found`` is by look-up name.

        Never raises for anything in the data.
        """
        if event.problem is not None:
            return Mapped(state=State.DEAD, reason=event.problem)
        view = self.view(event, found, known)
        numbers = Numbers(self.ways, view)
        said: list[Said] = []
        skips: list[str] = []
        trace: list[RuleTrace] = []
        unsure: list[str] = []
        erase = False
        notes: list[str] = []
        for rule in self.rules:
            if rule.when is not None and not rule.when.holds(view, notes):
                if notes:
                    unsure.extend(f"rule {rule.name}: {note}" for note in notes)
                    trace.append(rule.silent._replace(why="; ".join([rule.silent.why, *notes])))
                    notes = []
                else:
                    trace.append(rule.silent)
                continue
            if rule.erase:
                erase = True
            if rule.skip is not None:
                skips.append(rule.skip)
                trace.append(rule.skipped)
                continue
            one = say(
                rule,
                view,
                numbers.of(rule.phone),
                self.directory,
                weak_time=event.weak_time,
                notes=notes,
            )
            notes = []  # those of before are the rule's own
            said.append(one)
            trace.append(one)
        consents = [one.fields.get("do_not_call") for one in said]
        if False in consents and True in consents:
            newer = not known.opted_out or event.opt_in_ms > known.consent_time
            yield_to_opt_in(said, self.directory, newer=newer)
        opts_out = True in consents and any(one.opts_out for one in said)
        updates = merge(said, known, event.time_ms, opts_out=opts_out)
        updates, state, reason = _decide(updates, said, skips, unsure, found)
        return Mapped(
            updates,
            state,
            reason,
            numbers.all(self.remembered if event.contacts else ()),
            _consent(opts_out, updates),
            _addresses(self.emails, view),
            tuple(trace),
            erase,
        )


_ESCAPE = b"\\"
"""With which texts in JSON may be written otherwise than they are."""

_NO_CHARACTER = "surrogatepass"
"""Half of a pair of surrogates, which a file's text may hold and no body that can be read does."""

LONGEST_ADDRESS = 320
"""Characters of an e-mail address, at most."""


def _addresses(values: Iterable[Value], view: Mapping[str, Json]) -> tuple[str, ...]:
    """What the rules would take for the person's e-mail address, whether or not they fire."""
    found: dict[str, None] = {}
    for value in values:
        try:
            text = value.get(view, [])
        except Unusable:
            continue
        if isinstance(text, str) and "@" in text and len(text) <= LONGEST_ADDRESS:
            found[text] = None
    return tuple(found)


def _decide(
    updates: tuple[LeadUpdate, ...],
    said: list[Said],
    skips: list[str],
    unsure: list[str],
    found: Mapping[str, Found],
) -> tuple[tuple[LeadUpdate, ...], State | None, str]:
    errors = errors_of(said)
    if errors and not any(update.opts_out for update in updates):
        return (), State.DEAD, "; ".join(errors) + _lacking(found)
    if updates:
        # An opt-out is not held up by a mistake elsewhere; the outcome says what is missing.
        return (with_notes(updates, errors) if errors else updates), None, ""
    return (), State.SKIPPED, reason_for_nothing(said, skips, _lacking(found), unsure)


def _consent(opts_out: bool, updates: tuple[LeadUpdate, ...]) -> bool | None:
    if opts_out:
        return True
    return False if False in [update.fields.get("do_not_call") for update in updates] else None


def _lacking(found: Mapping[str, Found]) -> str:
    gone = [
        f"{name} {', '.join(brought.missing[:5])}"
        for name, brought in found.items()
        if brought.missing
    ]
    return f" (the CRM does not know {'; '.join(gone)})" if gone else ""


@dataclass(frozen=True)
class MappingSet:
    """Every mapping file and every campaign, as loaded together.

    ``version``: 12 hexadecimal digits over the content of all files.
    """

    mappings: Mapping[str, SourceMapping]
    campaigns: Mapping[str, Campaign]
    version: str

    @cached_property
    def sources(self) -> Mapping[str, Source]:
        """What the receive stage knows of each source, by name."""
        return {name: mapping.source for name, mapping in self.mappings.items()}
