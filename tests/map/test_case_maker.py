"""A case made of a delivery holds nobody's data, and goes the way the delivery went."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from bridge.map import load_cases, run_cases
from bridge.map.anonymous import Anonymous
from bridge.map.case_maker import NewCase, make_case
from bridge.map.document import read_document
from bridge.model import Decoder, Delivery, Json, Known
from bridge.receive.decode import decode

from .conftest import HEAD, SHIPPED, Load
from .test_shipped_cases import shipped

read = partial(decode, max_depth=50)


def delivery(source: str, body: bytes) -> Delivery:
    return Delivery(1, "r", source, 1_900_000_000_000, "POST", {}, {"x-id": "a"}, body, "x")


def made(source: str, payload: Json, found: Json = None, known: Known | None = None) -> NewCase:
    return make_case(
        "made",
        shipped().mappings[source],
        read_document(SHIPPED / f"{source}.yaml"),
        delivery(source, json.dumps(payload).encode()),
        given=found or {},
        known=known or Known(),
        settings={},
        decode=read,
    )


PERSON = {
    "phone": "+49 30 901820",
    "phone_number": "+4930901820",
    "first_name": "Wilhelmine",
    "last_name": "Sauerbruch",
    "email": "w.sauerbruch@charite.de",
    "do_not_call": True,
    "contact_id": "42",
    "custom_fields": {"note": "ask Wilhelmine Sauerbruch, 030 901820", "seats": 3},
}


def test_nothing_personal_is_left_and_ids_stay() -> None:
    text = made("generic", PERSON).text()
    for word in ("901820", "Wilhelmine", "Sauerbruch", "charite"):
        assert word not in text
    assert '"contact_id": "42"' in text
    assert '"seats": 3' in text
    assert "example.com" in text


def test_one_number_has_one_stand_in_wherever_and_however_it_is_written() -> None:
    case = made("generic", PERSON, known=Known(("+4930901820", "+14155559999")))
    payload = case.fields["payload"]
    assert payload["phone"] == payload["phone_number"] == "+14155550100"
    assert case.fields["known"]["phones"] == ["+14155550100", "+14155550101"]


JSON_SOURCES = [
    source
    for source, mapping in shipped().mappings.items()
    if mapping.source.decode.decoder is Decoder.JSON
]


@pytest.mark.parametrize("source", JSON_SOURCES)
def test_a_case_made_of_any_shipped_payload_passes(source: str, tmp_path: Path) -> None:
    cases = load_cases(SHIPPED / f"{source}.cases.yaml")
    mapping = shipped().mappings[source]
    texts = []
    for case in cases:
        if case.body is not None or case.settings:
            continue
        new = make_case(
            case.name,
            mapping,
            read_document(SHIPPED / f"{source}.yaml"),
            Delivery(
                1,
                "r",
                source,
                case.received_at,
                "POST",
                case.query,
                case.headers,
                json.dumps(case.payload).encode(),
                "x",
            ),
            given=case.found,
            known=case.known,
            settings={},
            decode=read,
        )
        texts.append(new.text())
    path = tmp_path / f"{source}.cases.yaml"
    path.write_text("".join(texts))
    results = run_cases(mapping, load_cases(path), decode=read)
    assert [(r.name, r.differences) for r in results if not r.passed] == []
    assert len(results) >= 5


def test_forms_and_xml_keep_their_form(load: Load, tmp_path: Path) -> None:
    rules = "rules:\n  - name: n\n    lead: {phone_number: phone, first_name: name}\n"
    bodies = {
        "form": b"phone=%2B4930901820&name=Wilhelmine&id=7",
        "xml": b"<lead><phone>+4930901820</phone><name>Wilhelmine</name><id>7</id></lead>",
    }
    for decoder, body in bodies.items():
        events = "\n  events: lead" if decoder == "xml" else ""
        head = HEAD.replace("receive:", f"receive:\n  decode: {decoder}{events}")
        mapping = load({"crm.yaml": head + rules}, placeholders=True).mappings["crm"]
        case = make_case(
            "n",
            mapping,
            read_document(tmp_path / "crm.yaml"),
            delivery("crm", body),
            given={},
            known=Known(),
            settings={},
            decode=read,
        )
        assert "Wilhelmine" not in case.text()
        assert "901820" not in case.text()
        assert case.differs == ()
        path = tmp_path / "crm.cases.yaml"
        path.write_text(case.text())
        (result,) = run_cases(mapping, load_cases(path), decode=read)
        assert result.differences == ()


def test_words_that_decide_and_numbers_that_are_ids_stay() -> None:
    hidden = Anonymous("US", frozenset({"STOP"}))
    payload = {"message": "STOP", "objectId": 4155550123, "phone": 4155550123, "ok": True}
    assert hidden.document(payload) == {
        "message": "STOP",
        "objectId": 4155550123,
        "phone": 14155550100,
        "ok": True,
    }


def test_a_change_of_a_property_is_read_by_the_propertys_name() -> None:
    hidden = Anonymous("US")
    change = {"propertyName": "lastname", "propertyValue": "Sauerbruch"}
    assert hidden.document(change)["propertyValue"] != "Sauerbruch"
    other = {"propertyName": "hs_lead_status", "propertyValue": "OPEN"}
    assert hidden.document(other) == other
