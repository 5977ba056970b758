"""Opt-outs that wait for what their CRM says of somebody, which is a real server here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from enrich.rest import Api, Asked, Says

from bridge.store.database import Database

from .asking import Asking
from .replaying import HEAD

AT = 1_700_000_000_000
FILE = (
    HEAD
    + """\
  contacts: {ids: [contact]}
enrich:
  person:
    url: "${CRM_URL}/people/{id}"
    token: "${CRM_TOKEN}"
    ids: contact
    result: person
rules:
  - name: opt-out
    when: dnc
    channel: voice
    lead: {phone_number: {all: ["person_all[].phone", _known.phones]}, do_not_call: {value: true}}
  - name: details
    when: name
    lead: {phone_number: person.phone, first_name: name}
"""
)


def number(of: str) -> str:
    return f"+1415555{int(of):04d}"


def person(asked: Asked) -> Says:
    """What the CRM says of somebody by whose id it is asked."""
    one = asked.path.rpartition("/")[2]
    return Says(200, {"person": {"id": one, "phone": number(one)}})


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[Asking]:
    folder = tmp_path / "mappings"
    folder.mkdir()
    api = Api(person)
    made = Asking(database, folder, api, FILE)
    yield made
    made.lookups.close()
    api.stop()


def opt_out(*ids: str, **more: Any) -> dict[str, Any]:
    return {"id": f"{ids}", "at": AT, "contact": list(ids), "dnc": True, **more}


def test_an_edit_of_a_look_up_and_of_what_reads_it_counts_as_a_whole(world: Asking) -> None:
    """Also where it comes while the worker stands back, with the look-ups of before in hand."""
    (receipt,) = world.take_in(opt_out("7"))
    whole = FILE.replace("    result: person\n", "").replace(
        "person_all[].", "person_all[].person."
    )
    world.write(whole, ("one",))
    assert world.worker().look_up("crm", world.lookups) == 1
    assert [row["message"] for row in world.outcomes(receipt=receipt)] == [""]
    assert world.opted_out() == [number("7")]


def test_of_many_opt_outs_the_first_go_out_before_the_last_are_asked_for(world: Asking) -> None:
    """Where each takes a call, to ask for all of them takes a minute and more."""
    ids = [str(n) for n in range(1, 41)]
    world.take_in(*(opt_out(one) for one in ids))
    world.look_up()
    assert 1 <= len(world.opted_out()) <= 20, "nine a second, and so many in about two"
    while world.look_up():
        pass
    assert sorted(world.opted_out()) == [number(one) for one in ids]


def test_one_contact_of_an_opt_out_that_cannot_be_read_keeps_no_other_waiting(
    world: Asking,
) -> None:
    """Such as a tag that was put on many: those whose records came are opted out at once."""
    world.api.answer = lambda asked: Says(500) if asked.path.endswith("/8") else person(asked)
    world.take_in(opt_out("7", "8", "9"))
    for _ in range(2):
        assert world.look_up() == 1
        assert world.opted_out() == [number("7"), number("9")]
    world.api.answer = person
    world.look_up()
    assert world.opted_out() == [number("7"), number("9"), number("8")]
    assert world.look_up() == 0


def test_one_contact_of_an_opt_out_that_is_not_known_yet_is_waited_for(world: Asking) -> None:
    """The others are opted out meanwhile."""
    world.api.answer = lambda asked: Says(404, {}) if asked.path.endswith("/8") else person(asked)
    world.take_in(opt_out("7", "8"))
    for _ in range(2):
        assert world.look_up() == 1
        assert world.opted_out() == [number("7")]
    world.api.answer = person
    assert world.look_up() == 1
    assert world.opted_out() == [number("7"), number("8")]
    assert world.look_up() == 0
