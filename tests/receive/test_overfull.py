"""Which bodies are looked into for too many events, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store.rows import a_delivery

from bridge.map import MappingSet, load_mappings
from bridge.model import Json
from bridge.overfull import OPENINGS, SEPARATORS, may_hold_more, overfull
from bridge.receive.decode import decode
from bridge.settings import Environment

MOST = 3
EVENTS = {"json": "@", "nested_form": "events", "xml": "Events.Event"}
BODIES: dict[str, Callable[[int], bytes]] = {
    "json": lambda count: b"[" + b", ".join([b"{}"] * count) + b"]",
    "nested_form": lambda count: b"&".join(b"events[%d]=1" % number for number in range(count)),
    "xml": lambda count: b"<Events>" + b"<Event/>" * count + b"</Events>",
}


@given(
    marks=st.sampled_from([SEPARATORS, OPENINGS]),
    pieces=st.lists(st.sampled_from([b",", b"{", b"&", b"<", b"a", b"\x00", b"long"]), max_size=40),
    most=st.integers(1, 30),
)
def test_a_body_may_hold_one_event_more_than_it_has_marks(
    marks: tuple[bytes, ...], pieces: list[bytes], most: int
) -> None:
    found = sum(piece in marks for piece in pieces)
    assert may_hold_more(b"".join(pieces), most, marks) is (found + 1 > most)


@pytest.fixture(scope="module")
def mappings(tmp_path_factory: pytest.TempPathFactory) -> MappingSet:
    """One source for each format."""
    folder: Path = tmp_path_factory.mktemp("mappings")
    (folder / "campaigns.yaml").write_text("campaigns: {main: {id: camp_1}}\n")
    for name, events in EVENTS.items():
        (folder / f"{name}.yaml").write_text(
            f"source: {name}\n"
            "receive:\n"
            f"  decode: {name}\n"
            f'  events: "{events}"\n'
            '  verify: [hmac: {secret: "${SECRET}", header: X-Signature}]\n'
            "rules: [{name: all, lead: {phone_number: phone, first_name: name}}]\n"
        )
    return load_mappings(
        folder,
        Environment({"SECRET": "s3cret"}),
        api_url="https://api.example.com/",
        api_token=None,
        default_region="US",
    )


def said(mappings: MappingSet, source: str, body: bytes, document: Json = None) -> str | None:
    asked = a_delivery(source=source)
    return overfull(asked, body, document, current=lambda: mappings, most=MOST, depth=64)


@pytest.mark.parametrize("form", BODIES)
@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
def test_one_event_too_many_is_told_of_in_every_format(
    mappings: MappingSet, form: str, read: bool
) -> None:
    def told(count: int) -> str | None:
        body = BODIES[form](count)
        document = decode(mappings.sources[form].decode, body, max_depth=64) if read else None
        return said(mappings, form, body, document)

    assert told(MOST) is None
    assert (told(MOST + 1) or "").startswith("the delivery holds 4 events, and 3 are the most")


def test_for_its_commas_alone_no_large_body_is_read(mappings: MappingSet) -> None:
    assert said(mappings, "json", b"[1, 2, 3, 4]", [1, 2, 3, 4])
    assert said(mappings, "json", b"[1, 2, 3, 4]") is None


def test_nothing_is_said_of_what_cannot_be_read(mappings: MappingSet) -> None:
    assert said(mappings, "json", b"[{}, {}, {}, {}") is None
    assert said(mappings, "of nobody", b"[{}, {}, {}, {}]") is None
