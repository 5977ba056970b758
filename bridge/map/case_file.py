"""``<source>.cases.yaml``: how a case is written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.errors import MappingError
from bridge.map.document import Document, read_document
from bridge.map.kinds import Definitions, Fault, Flag, Kind, Template, Text, about, faulty
from bridge.map.parts import Many, Named, Part, load_part
from bridge.map.times import FormatError, time_format
from bridge.map.unusable import Unusable
from bridge.model import FIELDS, Json, Known

RECEIVED = "2030-01-01T00:00:00Z"
"""When a case counts as received if it does not say: later than any event in it."""
REGION = "BRIDGE_DEFAULT_REGION"
"""The setting that a case may bring though no mapping file names it."""


WAITS = "waits"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of one event: updates, or a state with a part of its reason.

    ``state`` is skipped, dead, or ``WAITS``: the event waits for a look-up that fails.

    ``updates``: campaigns (None for all), phone number, fields. ``erase``: whether what is kept
    of the person is erased.
    """

    updates: tuple[tuple[tuple[str, ...] | None, str, Mapping[str, Json]], ...] = ()
    state: str = ""
    reason: str = ""
    erase: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """One case. ``body`` is what the sender posted; ``payload`` stands for it, decoded already.

    ``settings``: values for settings of the mapping file that hold for this case alone.

    ``received_at`` in milliseconds since 1970 UTC. ``found`` is by look-up and id; ``fails`` names
    the look-ups that the CRM does not answer, for as long as an event would wait for them.
    """

    name: str
    line: int
    payload: Json
    body: bytes | None
    received_at: int
    headers: Mapping[str, str]
    query: Mapping[str, str]
    found: Mapping[str, Mapping[str, Json]]
    known: Known
    settings: Mapping[str, str]
    expect: tuple[Expected, ...] = field(default=())
    fails: tuple[str, ...] = ()


class _Received(Text):
    def read(self, value: Json) -> Any:
        try:
            return time_format("iso").milliseconds(super().read(value))
        except (FormatError, Unusable):
            raise faulty(
                "bad-time", "is no time with an offset.", 'Write "2026-06-25T07:19:30Z".'
            ) from None


class _Campaigns(Kind):
    what = "all or a list of campaigns"

    def read(self, value: Json) -> Any:
        if value == "all":
            return None
        if isinstance(value, str):
            return (value,)
        return Many(Text()).read(value)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        return {"anyOf": [Text().below(definitions), Many(Text()).below(definitions)]}


_UPDATE = Part(
    {
        "campaigns": _Campaigns(
            metadata=about("all (also when left out), or a list of campaign names.", "all")
        ),
        "phone_number": Text(
            required=True,
            example='phone_number: "+14155550123"',
            metadata=about("The lead's number in E.164.", "+14155550123"),
        ),
        **{name: Template(metadata=about(f"What `{name}` is to be.")) for name in FIELDS},
    }
)


def _one_outcome(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    if loaded.get("waits") is not None and loaded.get("erase"):
        yield (
            "erase",
            Fault(
                "erase-and-waits",
                "cannot be true: nothing is erased while the event waits.",
                "Delete it.",
            ),
        )
    if len(written.keys() - {"erase"}) != 1:
        yield (
            None,
            Fault(
                "one-outcome",
                "must say one thing.",
                "Write updates:, skipped:, dead: or waits:, one each.",
            ),
        )


_EXPECTED = Part(
    {
        "updates": Many(_UPDATE, metadata=about("The lead updates, no more and no fewer.")),
        "skipped": Text(
            metadata=about("The event is skipped; its reason contains this.", "no rule applies")
        ),
        "dead": Text(
            metadata=about("The event is dead; its reason contains this.", "is not a phone number")
        ),
        "waits": Text(
            metadata=about(
                "The event waits for this look-up, which is among those under `fails`.", "contact"
            )
        ),
        "erase": Flag(
            default=False,
            metadata=about("true: what is kept of the person is erased with this event."),
        ),
    },
    _one_outcome,
    one_of=("updates", "skipped", "dead", "waits"),
)


def _sound(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    fails = set(loaded.get("fails") or ())
    for name in sorted(fails & set(loaded.get("found") or ())):
        yield (
            "fails",
            Fault(
                "found-and-fails",
                f"names {name[:60]}, for which `found` has records.",
                "Keep it in one of the two.",
            ),
        )
    for place, one in enumerate(loaded.get("expect") or ()):
        if one.get("waits") is not None and one["waits"] not in fails:
            yield (
                "expect",
                Fault(
                    "waits-for-nothing",
                    f"says of event {place + 1} that it waits for {one['waits'][:60]}, which does "
                    "not fail here.",
                    f"Write fails: [{one['waits'][:60]}] beside `expect`.",
                ),
            )
    if len({"payload", "payload_file", "body"} & set(written)) != 1:
        yield (
            None,
            Fault(
                "one-payload",
                "must have one of payload, payload_file and body.",
                "Write payload: and below it what the CRM sends.",
            ),
        )


_CASE = Part(
    {
        "name": Text(
            required=True,
            example="name: what the case shows",
            metadata=about("What the case shows.", "the opt-out box is ticked"),
        ),
        "payload": Template(nullable=True, metadata=about("The body, decoded already.")),
        "payload_file": Text(
            metadata=about("A file with the body, from the case file's folder.", "payloads/a.json")
        ),
        "body": Text(metadata=about("The body as text, to be decoded.", "phone=%2B14155550123")),
        "received_at": _Received(
            metadata=about(
                f"When it came in, with an offset; left out: {RECEIVED}.", "2026-06-25T07:19:30Z"
            )
        ),
        "headers": Named(
            Text(), least=0, default={}, metadata=about("Headers that expressions see.")
        ),
        "query": Named(
            Text(), least=0, default={}, metadata=about("Query parameters that expressions see.")
        ),
        "settings": Named(
            Text(),
            least=0,
            default={},
            metadata=about(
                "Values of settings that the mapping file names, for this case, and of "
                f"{REGION}; every other is at its default, whatever is set where it is run.",
                {"HUBSPOT_DELETION_OPTS_OUT": "yes"},
            ),
        ),
        "found": Named(
            Named(Template(), least=0),
            least=0,
            default={},
            metadata=about(
                "Stands in for the look-ups: look-up → id → record; ids left out are missing.",
                {"contact": {"123": {"phone": "+14155550123"}}},
            ),
        ),
        "fails": Many(
            Text(),
            least=0,
            default=(),
            metadata=about(
                "Look-ups that the CRM does not answer, however often it is asked.", ["contact"]
            ),
        ),
        "known": Part(
            {
                "phones": Many(
                    Text(),
                    least=0,
                    default=(),
                    metadata=about("Numbers in E.164, the newest first.", ["+14155550123"]),
                ),
                "opted_out": Flag(
                    default=False,
                    metadata=about("Whether a contact of the event is remembered as opted out."),
                ),
            },
            metadata=about("What the bridge remembers of the event's contacts."),
        ),
        "expect": Many(
            _EXPECTED,
            required=True,
            least=0,
            example="expect: and below it - updates: …",
            metadata=about("What each event of the delivery leads to, in order."),
        ),
    },
    _sound,
    one_of=("payload", "payload_file", "body"),
)
CASES = Many(_CASE, required=True, example="a list of cases, each after `- `")
_FILE = Part({"cases": CASES})


def load_cases(path: Path) -> tuple[Case, ...]:
    """The cases of a file. Errors: ``MappingError`` with every mistake."""
    document = read_document(path)
    cases = () if document.mistakes else _read(document, path.parent)
    if document.mistakes:
        raise MappingError(document.finished())
    return cases


def _read(document: Document, folder: Path) -> tuple[Case, ...]:
    if not isinstance(document.data, list):
        document.add(
            (), "wrong-type", "the file must be a list.", "Start each case with `- name:`."
        )
        return ()
    # The file is a bare list; its shape is checked as if it stood below a key.
    document.data = {"cases": document.data}
    document.keys = {("cases", *path): place for path, place in document.keys.items()}
    document.values = {("cases", *path): place for path, place in document.values.items()}
    loaded = load_part(_FILE, document.data, document)
    if loaded is None:
        return ()
    default = time_format("iso").milliseconds(RECEIVED)
    cases = []
    for place, given in enumerate(loaded["cases"]):
        path = ("cases", place)
        known = given["known"] or {"phones": (), "opted_out": False}
        cases.append(
            Case(
                given["name"],
                document.place(path)[0],
                given["payload"],
                _body(document, given, folder, place),
                given["received_at"] or default,
                {name.lower(): text for name, text in given["headers"].items()},
                given["query"],
                given["found"],
                Known(known["phones"], known["opted_out"]),
                {name: str(text) for name, text in given["settings"].items()},
                tuple(_expected(one) for one in given["expect"]),
                given["fails"],
            )
        )
    return tuple(cases)


def _body(document: Document, given: Mapping[str, Any], folder: Path, place: int) -> bytes | None:
    if given["body"] is not None:
        return str(given["body"]).encode("utf-8", "surrogatepass")
    if given["payload_file"] is None:
        return None
    try:
        return (folder / str(given["payload_file"])).read_bytes()
    except (OSError, ValueError):
        document.add(
            ("cases", place, "payload_file"),
            "no-file",
            f"there is no file {given['payload_file'][:200]}.",
            "Write its path as seen from the case file.",
        )
        return None


def _expected(given: Mapping[str, Any]) -> Expected:
    if given["skipped"] is not None:
        return Expected(state="skipped", reason=given["skipped"], erase=given["erase"])
    if given["dead"] is not None:
        return Expected(state="dead", reason=given["dead"], erase=given["erase"])
    if given["waits"] is not None:
        return Expected(state=WAITS, reason=given["waits"], erase=given["erase"])
    updates = [
        (
            one["campaigns"],
            one["phone_number"],
            {name: one[name] for name in FIELDS if one[name] is not None},
        )
        for one in given["updates"]
    ]
    return Expected(tuple(updates), erase=given["erase"])


def body_of(case: Case) -> bytes:
    """The body of a case as a sender would write it."""
    if case.body is not None:
        return case.body
    return json.dumps(case.payload, ensure_ascii=True).encode("ascii")
