"""What each transform does, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from bridge.map.phone import e164, every_e164
from bridge.map.text import clean, storable
from bridge.map.times import FormatError, time_format
from bridge.map.transform_kind import NAMES, TransformKind
from bridge.map.transforms import PLAIN
from bridge.map.unusable import Unusable, shown
from bridge.model import Json

KIND = TransformKind("US")


def transform(written: Json, value: Json) -> Json:
    return KIND.read(written)(value)


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        ("boolean", "TRUE", True),
        ("boolean", " Yes ", True),
        ("boolean", 1, True),
        ("boolean", "checked", True),
        ("boolean", "off", False),
        ("boolean", 0, False),
        ("boolean", 0.0, False),
        ("boolean", "", None),
        ("boolean", ["Yes"], True),
        ("boolean", ["Newsletter", {}, "yes"], True),
        ("boolean", ["no", "", None], False),
        ("boolean", ["", None], None),
        ({"boolean": {"true": ["Do not call"], "false": []}}, ["No SMS", "do not call"], True),
        ({"boolean": {"true": ["Do not call", 57], "false": ["Call me"]}}, "do NOT call", True),
        ({"boolean": {"true": ["Do not call", 57], "false": ["Call me"]}}, 57, True),
        ({"boolean": {"true": ["Do not call"], "false": ["Call me"]}}, "Call me", False),
        ("not", "yes", False),
        ("not", ["yes", "no"], True),
        ("not", False, True),
        ("text", 5, "5"),
        ("text", True, "true"),
        ("text", 5.0, "5"),
        ("trim", "  a ", "a"),
        ("lower", "AB", "ab"),
        ("upper", "ab", "AB"),
        ("integer", "42", 42),
        ("integer", 42.0, 42),
        ("integer", " ", None),
        ("number", "4.5", 4.5),
        ("number", 3, 3),
        ("email", " Jane@Example.COM ", "Jane@example.com"),
        ("first_name", "Doe, Jane", "Jane"),
        ("last_name", "Doe, Jane", "Doe"),
        ("first_name", "Jane van Doe", "Jane"),
        ("last_name", "Jane van Doe", "van Doe"),
        ("first_name", "Jane", "Jane"),
        ("last_name", "Jane", None),
        ({"table": {"A": "x", "57": "y", "true": "z"}}, "A", "x"),
        ({"table": {"A": "x", "57": "y", "true": "z"}}, 57, "y"),
        ({"table": {"A": "x", "57": "y", "true": "z"}}, True, "z"),
        ({"table": {"A": "x"}, "otherwise": "o"}, "B", "o"),
        ({"table": {"A": "x"}, "otherwise": None}, "B", None),
        ({"default": "d"}, None, "d"),
        ({"default": "d"}, False, False),
        ({"null_if": ["", "n/a"]}, "n/a", None),
        ({"null_if": [False]}, False, None),
        ({"contains": "do not call"}, ["a", " Do Not Call"], True),
        ({"contains": "do not call"}, "a, do not call", True),
        ({"contains": "do not call"}, "do not call list", False),
        ({"contains": "do not call"}, [], False),
        (
            {"pick": {"where": {"primary": True}, "value": "value"}},
            [{"primary": False, "value": 1}, {"primary": True, "value": 2}],
            2,
        ),
        ({"pick": {"where": {"id": "x"}}}, [{"id": "y"}], None),
        ({"join": ", "}, ["a", None, 3], "a, 3"),
        ("json", '{"a": [1]}', {"a": [1]}),
        ({"truncate": 3}, "abcdef", "abc"),
        ("e164", "(415) 555-0123 ext. 9", "+14155550123"),
        ({"e164": {"region": "DE"}}, "030 901820", "+4930901820"),
        ({"date": {"from": "unix_ms"}}, 1782371969536, "2026-06-25"),
        (
            {"date": {"from": "unix_s", "to": "datetime"}},
            "1782371969",
            "2026-06-25T07:19:29Z",
        ),
        ({"date": {"from": "%d.%m.%Y", "zone": "Asia/Tokyo"}}, "31.01.2026", "2026-01-31"),
        ({"date": {"from": "unix_ms", "zone": "Asia/Tokyo"}}, 1782399600000, "2026-06-26"),
        ({"date": {"from": "iso"}}, "2026-01-31", "2026-01-31"),
    ],
)
def test_a_transform_converts(written: Json, value: Json, expected: Json) -> None:
    found = transform(written, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("boolean", "maybe"),
        ("boolean", 2),
        ("boolean", []),
        ("boolean", ["no", "maybe"]),
        ("boolean", [{}, "no"]),
        ("boolean", "нет"),
        ({"boolean": {"true": ["a"], "false": ["b"]}}, "true"),
        ("text", {}),
        ("lower", []),
        ("integer", "4.5"),
        ("integer", True),
        ("number", "1,5"),
        ("number", "nan"),
        ("number", float("inf")),
        ("email", "a@b"),
        ("email", "a b@c.de"),
        ({"table": {"A": "x"}}, "B"),
        ({"table": {"A": "x"}}, {}),
        ({"contains": "x"}, 5),
        ({"pick": {"where": {"a": 1}}}, "text"),
        ({"join": ","}, {"a": 1}),
        ("json", "{"),
        ("json", "NaN"),
        ("json", "[" * 100_000),
        ("e164", "12"),
        ("e164", True),
        ("e164", ["+14155550123"]),
        ({"date": {"from": "iso", "to": "datetime"}}, "2026-01-31"),
        ({"date": {"from": "unix_ms"}}, 10**30),
    ],
)
def test_a_transform_refuses(written: Json, value: Json) -> None:
    with pytest.raises(Unusable):
        transform(written, value)


ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted([*PLAIN, "e164"])), value=ANYTHING)
def test_a_transform_gives_a_value_or_refuses(name: str, value: Json) -> None:
    try:
        found = transform(name, value)
    except Unusable:
        return
    if name in ("boolean", "not"):
        assert found in (True, False, None)
    if name == "e164" and found is not None:
        assert found.startswith("+")
        assert found[1:].isdigit()


def test_absent_stays_absent_through_every_transform() -> None:
    for name in PLAIN:
        assert transform(name, None) is None
    assert "default" in NAMES


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("+14155550123", "US", "+14155550123"),
        ("415.555.0123", "US", "+14155550123"),
        ("1 (415) 555-0123", "US", "+14155550123"),
        (14155550123, "US", "+14155550123"),
        (4155550123.0, "US", "+14155550123"),
        ("00 49 30 901820", "DE", "+4930901820"),
        ("+91 95095 97501", "US", "+919509597501"),
        ("4915123456789", "DE", "+4915123456789"),
        ("49 30 90182012", "DE", "+493090182012"),
        ("015123456789.0", "DE", "+4915123456789"),
        ("+4915123456789.0", "DE", "+4915123456789"),
        ("4155550123.0", "US", "+14155550123"),
        ("6281234567890", "ID", "+6281234567890"),
        ("53494261", "CU", "+5353494261"),
        ("846981339", "VN", "+84846981339"),
        ("0044 20 7946 0958", "US", "+442079460958"),
        ("001 201-555-0123", "US", "+12015550123"),
        ("0061 412 345 678", "AU", "+61412345678"),
        ("04961 123456", "DE", "+494961123456"),
        ("0049 30 901820 ext. 12", "US", "+4930901820"),
        ("0049 30 901820 #12", "US", "+4930901820"),
        ("4915123456789 #12", "DE", "+4915123456789"),
        ("+52 1 55 1234 5678", "US", "+525512345678"),
        ("521 55 1234 5678", "MX", "+525512345678"),
        ("+1 015 555 0123", "US", "+10155550123"),
        (" ", "US", None),
        (None, "US", None),
    ],
)
def test_numbers_as_people_type_them(text: Json, region: str, expected: str | None) -> None:
    assert e164(text, region) == expected


@pytest.mark.parametrize("text", ["0155 550 123", "1155550123", "(015) 555-0123", 1555550123])
def test_without_plus_no_number_is_taken_for_one_of_another_country(text: Json) -> None:
    with pytest.raises(Unusable):
        e164(text, "US")


@pytest.mark.parametrize(("text", "region"), [("496112345678", "DE"), ("468123456", "SE")])
def test_a_number_that_may_begin_with_its_country_or_not_is_not_guessed(
    text: str, region: str
) -> None:
    """Wiesbaden without its ``+``, or Papenburg without its 0."""
    with pytest.raises(Unusable):
        e164(text, region)
    assert e164(f"+{text}", region) == f"+{text}"
    assert e164(f"0{text}", region) == f"+{text[:2]}{text}"


BOTH = ("+14155550123", "+14155550124")


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        ("415-555-0123 / 415-555-0124", "US", BOTH),
        ("4155550123/4155550124", "US", BOTH),
        ("4155550123;4155550124", "US", BOTH),
        ("+14155550123, (415) 555-0124", "US", BOTH),
        ("415 555 0123\r\n415 555 0124\n", "US", BOTH),
        ("ask for Jane, 4155550123", "US", BOTH[:1]),
        ("415/555-0123", "US", BOTH[:1]),
        ("+14155550123,,55", "US", BOTH[:1]),
        ("tel:+1-415-555-0123;ext=5", "US", BOTH[:1]),
        ("030/901820", "DE", ("+4930901820",)),
        ("030 9018/030 9019", "DE", ("+49309018", "+49309019")),
        ("415-555-0123 (mobile)", "US", BOTH[:1]),
        ("+1 415 555 0123 Jane", "US", BOTH[:1]),
        ("415-555-0123 ext. 55 Jane", "US", BOTH[:1]),
        ("415-555-0123 cell or 415-555-0124 home", "US", BOTH),
        ("415-555-0123 and 415-555-0124", "US", BOTH),
        ("415-555-0123 | 415-555-0124", "US", BOTH),
        ("415-555-0123 & 415-555-0124", "US", BOTH),
        ("030 901820 privat", "DE", ("+4930901820",)),
        ("030 901820 / Ann", "DE", ("+4930901820",)),
        ("+49 30 901820 (Mobil)", "US", ("+4930901820",)),
        ("1-800-FLOWERS", "US", ("+18003569377",)),
        ("1-800-555-HELP", "US", ("+18005554357",)),
        ("+49 800 1234 HELP", "DE", ("+4980012344357",)),
        ("+49 30 901820 ext 1234", "DE", ("+4930901820",)),
        ("tel:+49-30-901820;ext=12345", "DE", ("+4930901820",)),
        ("+1 415 555 0123 x123456", "DE", BOTH[:1]),
        ("030 901820 Zimmer 1234", "DE", ("+4930901820",)),
        ("030/901820 (Mo-Fr 9-17 Uhr)", "DE", ("+4930901820",)),
        ("030 901820 D-10115 Berlin", "DE", ("+4930901820",)),
        ("030 901820 App. 3 oder 030 901821", "DE", ("+4930901820", "+4930901821")),
        ("n/a", "US", ()),
        (" ", "US", ()),
    ],
)
def test_each_number_of_a_text_is_read(text: str, region: str, expected: tuple[str, ...]) -> None:
    assert every_e164(text, region)[0] == expected
    if expected:
        assert e164(text, region) == expected[0]


@pytest.mark.parametrize("text", ["4.91711235E+11", "4,91711235E+11", " 4.91711235e11 "])
def test_a_number_that_a_table_rounded_is_none(text: str) -> None:
    numbers, problems = every_e164(text, "DE")
    assert numbers == ()
    assert len(problems) == 1


def test_a_number_beside_words_that_cannot_be_read_is_told() -> None:
    numbers, problems = every_e164("415-555-0123 ext 3 or 7946 09580", "US")
    assert numbers == BOTH[:1]
    assert problems == ("“…80” is not a phone number (country US where no + leads)",)


def test_a_text_with_many_numbers_loses_none() -> None:
    numbers = tuple(f"+1415555{n:04}" for n in range(60))
    assert every_e164("; ".join(numbers), "US") == (numbers, ())
    assert every_e164("; ".join(numbers * 2), "US")[0] == ()


TIMES = [
    ("unix_s", None, 1782371969, 1782371969000),
    ("unix_s", None, "1782371969.5", 1782371969500),
    ("unix_ms", None, "1782371969536", 1782371969536),
    ("unix_us", None, 1782371969536000, 1782371969536),
    ("iso", None, "2026-06-25T07:19:29.536Z", 1782371969536),
    ("iso", None, "2026-06-25T09:19:29.536123456+02:00", 1782371969536),
    ("iso", "America/New_York", "2026-06-25 03:19:29", 1782371969000),
    ("http_date", None, "Thu, 25 Jun 2026 07:19:29 GMT", 1782371969000),
    ("http_date", None, "Thu, 25 Jun 2026 09:19:29 +0200", 1782371969000),
    ("http_date", None, "Thu, 25 Jun 2026 09:19:29 +02:00", 1782371969000),
    ("http_date", None, "Thu, 25 Jun 2026 03:19:29 EDT", 1782371969000),
    ("http_date", None, "Thu, 25 Jun 2026 07:19:29 -0000", 1782371969000),
    ("http_date", None, "Thu Jun 25 07:19:29 2026", 1782371969000),
    ("dotnet", None, "/Date(1782371969536+0200)/", 1782371969536),
    ("%d/%m/%Y %H:%M:%S", "UTC", "25/06/2026 07:19:29", 1782371969000),
    ("%d/%m/%Y %I:%M:%S %p", "UTC", "25/06/2026 07:19:29 PM", 1782415169000),
    ("%Y-%m-%d %H:%M:%S %Z", "America/New_York", "2026-06-25 07:19:29 UTC", 1782371969000),
    ("%Y-%m-%d %H:%M:%S %Z", "America/New_York", "2026-06-25 07:19:29 GMT", 1782371969000),
]


@pytest.mark.parametrize(("name", "zone", "value", "expected"), TIMES)
def test_times_are_read(name: str, zone: str | None, value: Json, expected: int) -> None:
    assert time_format(name, zone).milliseconds(value) == expected


@pytest.mark.parametrize("name", ["unix_s", "unix_ms", "unix_us", "iso", "http_date", "dotnet"])
@pytest.mark.parametrize(
    "value", [None, True, "", "x", [], {}, 10**40, -1, float("nan"), "9" * 5000, "0001-01-01", "é"]
)
def test_unreadable_times_are_refused(name: str, value: Json) -> None:
    with pytest.raises(Unusable):
        time_format(name).milliseconds(value)


@pytest.mark.parametrize(
    "value",
    ["2026-06-25", " 2026-06-25 ", "2026-11-01 01:30:00", "2026-03-08T02:30:00"],
)
def test_a_time_that_does_not_say_when_is_no_time(value: str) -> None:
    zone = "America/New_York"  # where 01:30 comes twice on 1 November, and 02:30 never on 8 March
    with pytest.raises(Unusable):
        time_format("iso", zone).milliseconds(value)
    if " 0" in value:
        with pytest.raises(Unusable):
            time_format("%Y-%m-%d %H:%M:%S", zone).milliseconds(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_date", "Thu, 25 Jun 2026 07:19:29 CET"),
        ("http_date", "Thu, 25 Jun 2026 07:19:29 (BRT)"),
        ("http_date", "Thu, 25 Jun 2026 07:19:29 A"),
        ("http_date", "Thu, 25 Jun 2026 07:19:29 PM"),
        ("http_date", "Thu, 25 Jun 2026 07:19:29 +01"),
        ("%Y-%m-%d", "2026-06-25"),
        ("%d.%m.%Y %%H", "25.06.2026 %H"),
        ("%Y-%m-%d %I:%M", "2026-06-25 07:19"),
        ("%Y-%m-%d %H:%M %Z", "2026-06-25 07:19 CEST"),
    ],
)
def test_a_time_of_another_clock_or_of_half_a_day_is_no_time(name: str, value: str) -> None:
    """It would be hours away from when it was, and an opt-in beat an opt-out that came after it."""
    with pytest.raises(Unusable):
        time_format(name, "UTC").milliseconds(value)


@pytest.mark.parametrize(
    ("name", "zone"),
    [("unix", None), ("%Y", None), ("%Q", "UTC"), ("iso", "Mars"), ("iso", "../x")],
)
def test_unknown_formats_and_zones_are_refused(name: str, zone: str | None) -> None:
    with pytest.raises(FormatError) as caught:
        time_format(name, zone)
    assert caught.value.hint


def test_text_can_be_stored_as_utf8() -> None:
    assert clean("a\x00b\x1f\ud800c\n") == "ab\ufffdc\n"
    assert storable(2**64) == str(2**64)
    assert storable(5) == 5


def test_reasons_show_no_number_and_no_address() -> None:
    assert "4155550123" not in shown("(415) 555-0123 x")
    assert "555" not in shown("415-555-0123")
    assert "jane" not in shown("jane@example.com")
    assert shown("maybe") == "“maybe”"


PHONES = [
    {"label": "Home", "value": "1", "primary": False, "isPrimary": 0},
    {"label": "Mobile", "value": "2", "primary": True, "isPrimary": 1},
    {"label": "Fax", "value": "", "primary": "yes"},
]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"where": {"primary": True}, "value": "value"}, "2"),
        ({"where": {"isPrimary": True}, "value": "value"}, "2"),
        ({"where": {"isPrimary": False}, "value": "value"}, "1"),
        ({"where": {"label": "mobile"}, "value": "value"}, "2"),
        ({"where": {"label": "fax"}, "value": "value"}, None),
        ({"where": [{"label": "fax"}, {"label": "home"}], "value": "value"}, "1"),
        ({"where": {"label": "none"}, "value": "value", "otherwise": "first"}, "1"),
        ({"where": {"label": "none"}, "value": "value", "otherwise": "last"}, "2"),
        ({"value": "value", "otherwise": "first"}, "1"),
        ({"where": {"label": "Home", "primary": True}}, None),
        ({"where": {"label": "home"}}, PHONES[0]),
    ],
)
def test_one_is_picked_by_label_flag_or_order(written: Json, expected: Json) -> None:
    assert transform({"pick": written}, PHONES) == expected


@pytest.mark.parametrize(
    ("written", "value", "expected"),
    [
        ("second", [False, True], True),
        ("second", None, None),
        ("second", ["CTO", None], None),
        ("false_to_null", False, None),
        ("false_to_null", "false", "false"),
        ("false_to_null", "", ""),
        ("false_to_null", 0, 0),
        ("with_calling_code", ["+1", "2025550143"], "+12025550143"),
        ("with_calling_code", ["1", "202 555 0143"], "+12025550143"),
        ("with_calling_code", ["0044", "2079460123"], "+442079460123"),
        ("with_calling_code", ["+1", "+442079460123"], "+442079460123"),
        ("with_calling_code", ["+44", "447911123456"], "+447911123456"),
        ("with_calling_code", ["49", "4915123456789"], "+4915123456789"),
        ("with_calling_code", ["+49", "4961123456"], "+494961123456"),
        ("with_calling_code", ["+47", "47123456"], "+4747123456"),
        ("with_calling_code", ["+91", "9112345678"], "+919112345678"),
        ("with_calling_code", [None, "2025550143"], "2025550143"),
        ("with_calling_code", ["", "2025550143"], "2025550143"),
        ("with_calling_code", ["+1", ""], None),
        ("with_calling_code", ["+1", None], None),
        ("with_calling_code", None, None),
        ({"contains": "dnc"}, "vip,dnc-list", False),
        ({"contains": ["dnc", "Do Not Call"]}, ["vip", "do not call"], True),
        ({"contains": {"any": ["dnc"], "separator": " "}}, "vip dnc", True),
        ({"contains": {"any": ["dnc"]}}, "vip dnc", False),
        ({"contains": "dnc"}, [None, 5], False),
        (
            {"map": {"key": "ref", "value": "answer.text"}},
            [{"ref": "a", "answer": {"text": "x"}}],
            {"a": "x"},
        ),
        ({"map": {"key": "id", "value": "value"}}, [{"id": 421, "value": None}, 5], {"421": None}),
    ],
)
def test_what_crms_write_in_their_own_ways(written: Json, value: Json, expected: Json) -> None:
    found = transform(written, value)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("second", [1]),
        ("second", "ab"),
        ("with_calling_code", ["+1"]),
        ("with_calling_code", ["US", "2025550143"]),
        ("with_calling_code", "+12025550143"),
        ({"map": {"key": "a", "value": "b"}}, "text"),
        ({"contains": "x"}, {"x": 1}),
        ({"pick": {"otherwise": "first"}}, "text"),
        ({"boolean": {"true": [57], "false": [58]}}, 59),
    ],
)
def test_what_is_of_another_shape_is_an_error(written: Json, value: Json) -> None:
    with pytest.raises(Unusable):
        transform(written, value)


def test_a_pick_that_takes_nothing_is_a_mistake() -> None:
    with pytest.raises(ValidationError, match="takes nothing"):
        KIND.read({"pick": {"value": "value"}})
