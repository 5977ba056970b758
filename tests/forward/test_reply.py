"""Nothing but an untouched row at its own place confirms a lead."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import jsontext
from bridge.forward.reply import MESSAGE_LENGTH, read_reply
from bridge.model import Result, Verdict

PHONES = [f"+1415555{n:04}" for n in range(6)]
ORDERS = st.sampled_from(["in_order", "any_order"])


def correct(phones: list[str]) -> dict[str, Any]:
    rows = [
        {"index": i, "phone_number": phone, "success": True, "message": "Updated"}
        for i, phone in enumerate(phones)
    ]
    return {"status": "success", "message": "done", "results": rows}


def read(document: Any, phones: list[str] = PHONES, order: Any = "in_order") -> list[Verdict]:
    results = read_reply(phones, json.dumps(document).encode(), order=order)
    assert len(results) == len(phones)
    # however it is written: without spaces it is read in the quicker way
    for compact in (json.dumps(document, separators=(",", ":")), jsontext.dumps(document)):
        assert read_reply(phones, compact.encode(), order=order) == results
    return [result.verdict for result in results]


def one(row: dict[str, Any], order: Any = "in_order") -> Result:
    document = {"status": "success", "results": [row]}
    return read_reply(PHONES[:1], json.dumps(document).encode(), order=order)[0]


ROW = {"index": 0, "phone_number": PHONES[0], "success": True, "message": "Updated"}


def test_a_correct_reply_confirms_every_lead() -> None:
    assert read(correct(PHONES)) == [Verdict.CONFIRMED] * 6
    assert read(correct(PHONES), order="any_order") == [Verdict.CONFIRMED] * 6


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({}, Verdict.CONFIRMED),
        ({"message": None}, Verdict.CONFIRMED),
        ({"extra": 1}, Verdict.CONFIRMED),
        ({"success": False, "message": "Lead not found"}, Verdict.NOT_FOUND),
        ({"success": False, "message": "LEAD NOT FOUND in campaign"}, Verdict.NOT_FOUND),
        ({"success": False, "message": "email is invalid"}, Verdict.REJECTED),
        ({"success": False, "message": ""}, Verdict.REJECTED),
        ({"success": False, "message": {"not found": 1}}, Verdict.REJECTED),
        ({"success": "true"}, Verdict.UNKNOWN),
        ({"success": 1}, Verdict.UNKNOWN),
        ({"success": None}, Verdict.UNKNOWN),
        ({"success": "false"}, Verdict.UNKNOWN),
        ({"success": 0}, Verdict.UNKNOWN),
        ({"success": []}, Verdict.UNKNOWN),
        ({"index": False}, Verdict.UNKNOWN),
        ({"index": 0.0}, Verdict.UNKNOWN),
        ({"index": "0"}, Verdict.UNKNOWN),
        ({"index": None}, Verdict.UNKNOWN),
        ({"index": -1}, Verdict.UNKNOWN),
        ({"index": 1}, Verdict.UNKNOWN),
        ({"index": 10**30}, Verdict.UNKNOWN),
        ({"phone_number": PHONES[1]}, Verdict.UNKNOWN),
        ({"phone_number": PHONES[0].removeprefix("+")}, Verdict.UNKNOWN),
        ({"phone_number": int(PHONES[0])}, Verdict.UNKNOWN),
        ({"phone_number": f" {PHONES[0]}"}, Verdict.UNKNOWN),
        ({"phone_number": None}, Verdict.UNKNOWN),
    ],
)
@pytest.mark.parametrize("order", ["in_order", "any_order"])
def test_what_a_row_means(changes: dict[str, Any], verdict: Verdict, order: str) -> None:
    assert one({**ROW, **changes}, order).verdict is verdict


@pytest.mark.parametrize("name", ["index", "phone_number", "success"])
def test_a_row_that_lacks_a_part_confirms_nothing(name: str) -> None:
    assert one({k: v for k, v in ROW.items() if k != name}).verdict is Verdict.UNKNOWN


@pytest.mark.parametrize("status", ["error", "Success", "partial", None, True, 1, ["success"]])
def test_an_overall_status_other_than_success_confirms_nothing(status: object) -> None:
    assert set(read({**correct(PHONES), "status": status})) == {Verdict.UNKNOWN}


def test_a_missing_overall_status_confirms_nothing() -> None:
    document = correct(PHONES)
    del document["status"]
    assert set(read(document)) == {Verdict.UNKNOWN}


@pytest.mark.parametrize("results", [None, {}, "x", 5, {"0": ROW}])
def test_results_that_are_no_list_confirm_nothing(results: object) -> None:
    assert set(read({**correct(PHONES), "results": results})) == {Verdict.UNKNOWN}


def test_success_beside_failed_rows_is_read_row_by_row() -> None:
    document = correct(PHONES[:3])
    document["results"][1] |= {"success": False, "message": "Lead not found"}
    assert read(document, PHONES[:3]) == [
        Verdict.CONFIRMED,
        Verdict.NOT_FOUND,
        Verdict.CONFIRMED,
    ]


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(
            ["drop", "repeat", "swap", "phone", "index", "success", "foreign", "rubbish", "move"]
        ),
        st.integers(0, 5),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=4,
)


def mutate(rows: list[Any], kind: str, a: int, b: int) -> None:
    """Spoil a list of rows in one way."""
    if not rows:
        return
    a, b = a % len(rows), b % len(rows)
    row = rows[a]
    if kind == "drop":
        del rows[a]
    elif kind == "repeat":
        rows.insert(b, deepcopy(row))
    elif kind == "swap":
        rows[a], rows[b] = rows[b], rows[a]
    elif kind == "move":
        rows.insert(b, rows.pop(a))
    elif kind == "foreign":
        rows.insert(b, {**ROW, "index": 99, "phone_number": "+19995550000"})
    elif kind == "rubbish":
        rows[a] = None
    elif isinstance(row, dict):
        wrong: dict[str, dict[str, Any]] = {
            "phone": {"phone_number": f"{row.get('phone_number')}9"},
            "index": {"index": [True, float(a), str(a)][b % 3]},
            "success": {"success": ["true", 1, None][b % 3]},
        }
        row |= wrong[kind]


def names(row: Any, place: int) -> bool:
    """Whether a row speaks of this lead, by its index or by its number."""
    if not isinstance(row, dict):
        return False
    by_index = type(row["index"]) is int and row["index"] == place
    return by_index or row["phone_number"] == PHONES[place]


@given(MUTATIONS, ORDERS)
def test_a_spoilt_reply_confirms_only_leads_that_it_names_untouched_and_once(
    mutations: list[tuple[str, int, int]], order: str
) -> None:
    document = correct(PHONES)
    rows = document["results"]
    for kind, a, b in mutations:
        mutate(rows, kind, a, b)
    untouched = [json.dumps(row) for row in correct(PHONES)["results"]]
    texts = [json.dumps(row) for row in rows]
    for i, verdict in enumerate(read(document, order=order)):
        once = sum(names(row, i) for row in rows) == 1
        in_place = texts[i : i + 1] == [untouched[i]]
        fit = once and (in_place if order == "in_order" else untouched[i] in texts)
        assert (verdict is Verdict.CONFIRMED) == fit


@given(st.integers(0, 10_000))
def test_a_truncated_reply_confirms_nothing(cut: int) -> None:
    whole = json.dumps(correct(PHONES)).encode()
    part = whole[: cut % len(whole)]
    assert {result.verdict for result in read_reply(PHONES, part)} == {Verdict.UNKNOWN}


@given(st.binary(max_size=200))
def test_any_bytes_give_one_result_per_lead_and_confirm_nothing(body: bytes) -> None:
    results = read_reply(PHONES, body)
    assert [result.verdict for result in results] == [Verdict.UNKNOWN] * 6


@given(st.permutations(range(6)))
def test_any_order_finds_each_row_wherever_it_stands(order: list[int]) -> None:
    document = correct(PHONES)
    document["results"] = [document["results"][i] for i in order]
    assert read(document, order="any_order") == [Verdict.CONFIRMED] * 6
    expected = [Verdict.CONFIRMED if order[i] == i else Verdict.UNKNOWN for i in range(6)]
    assert read(document) == expected


def test_the_text_of_the_api_is_cut_and_may_be_stored() -> None:
    message = one({**ROW, "message": "a\x00b\n" + "x" * 1_000}).message
    assert message.startswith("a b x")
    assert len(message) == MESSAGE_LENGTH


@pytest.mark.parametrize("space", ["", " "])
@pytest.mark.parametrize("name", ["success", r"succ\u0065ss"])
@pytest.mark.parametrize("values", [("false", "true"), ("true", "true")])
def test_a_reply_that_names_a_key_twice_confirms_nothing(
    space: str, name: str, values: tuple[str, str]
) -> None:
    body = (
        '{"status": "success", "results": ['
        '{"index": 0, "phone_number": "+14155550123", "NAME": FIRST, "success": SECOND}]}'
    )
    body = body.replace(" ", space).replace("NAME", name)
    body = body.replace("FIRST", values[0]).replace("SECOND", values[1])
    assert read_reply(["+14155550123"], body.encode())[0].verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    "other",
    [
        {"index": 9, "phone_number": "+14155550123", "success": False},
        {"index": "0", "phone_number": "+14155550123", "success": False},
        {"index": 1, "phone_number": "+14155550123", "success": False},
        {"index": 0, "phone_number": "+19995550000", "success": False},
    ],
)
def test_a_second_row_about_a_lead_takes_its_confirmation_away(other: dict[str, object]) -> None:
    first = {"index": 0, "phone_number": "+14155550123", "success": True, "message": "ok"}
    body = json.dumps({"status": "success", "results": [first, other]}).encode()
    results = read_reply(["+14155550123", "+14155550124"], body)
    assert results[0].verdict is Verdict.UNKNOWN
