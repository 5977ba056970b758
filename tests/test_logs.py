"""Log lines: fields, with people masked and secrets blotted out."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from bridge import logs

SECRET = "whsec_0123456789abcdef"
PHONE = "+14155550123"
EMAIL = "ann.lee@example.com"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(style: str = "json", level: str = "info", secrets: tuple[str, ...] = (SECRET,)) -> Any:
    """Set the log up; returns where it goes."""
    out = io.StringIO()
    logs.configure(style=style, level=level, secrets=secrets, out=out)
    return out


def test_a_line_is_one_json_object_with_its_stage_and_time() -> None:
    out = lines()
    logs.get("forward").info("outcome", outcome="updated", opt_out=True, rules=["a"])
    (line,) = [json.loads(text) for text in out.getvalue().splitlines()]
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "outcome",
        "level": "info",
        "stage": "forward",
        "outcome": "updated",
        "opt_out": True,
        "rules": ["a"],
    }


@pytest.mark.parametrize("name", sorted(logs.OUTSIDE))
@pytest.mark.parametrize("style", ["json", "text"])
def test_people_are_masked_in_every_field_that_holds_text_from_outside(
    name: str, style: str
) -> None:
    out = lines(style)
    logs.get("map").warning("something", **{name: f"lead {PHONE} <{EMAIL}> (415) 555-0123"})
    assert "lead +1" in out.getvalue()
    for text in (PHONE, "4155550123", "555-0123", EMAIL, "ann.lee", "example.com"):
        assert text not in out.getvalue()


@pytest.mark.parametrize("style", ["json", "text"])
def test_people_and_secrets_are_masked_in_exceptions(style: str) -> None:
    out = lines(style)
    try:
        int(f"cannot call {PHONE} or {EMAIL} with {SECRET}")
    except ValueError:
        logs.get("worker").exception("thread failed")
    assert "ValueError" in out.getvalue()
    assert "Traceback" in out.getvalue()
    for text in (PHONE, EMAIL, SECRET):
        assert text not in out.getvalue()


AWKWARD = 'se"cr\\et\n\ttäil\x01'


@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize(
    "secret", [SECRET, AWKWARD, 'it\'s "both" quotes', "snow\u2603man\U0001f600"]
)
def test_a_secret_stands_in_no_field_however_it_is_written(style: str, secret: str) -> None:
    out = lines(style, secrets=(secret,))
    log = logs.get("receive")
    event = f"event {secret}"
    log.info(event, url=f"https://x/{secret}", nested={"a": [secret]}, n=1)
    log.info("inside JSON", reason=json.dumps({"token": secret}), shown=repr([secret]))
    text = out.getvalue()
    for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        assert form not in text
    assert text.count("<secret>") >= 5


def test_the_longer_of_two_secrets_is_blotted_out_whole() -> None:
    blot = logs.Blotter(["abcdef", "abcdef-and-more", "short"])
    assert blot("x abcdef-and-more y abcdef short") == "x <secret> y <secret> short"
    assert logs.Blotter([])("as it is") == "as it is"


@given(
    st.text(min_size=logs.SHORTEST_SECRET, max_size=12), st.text(max_size=5), st.text(max_size=5)
)
def test_no_secret_survives_in_a_json_line(secret: str, before: str, after: str) -> None:
    out = lines(secrets=(secret,))
    logs.get("x").info("e", field=f"{before}{secret}{after}")
    plain = "".join(json.loads(out.getvalue()).get("field", ""))
    assert secret not in plain


def test_lines_of_libraries_are_masked_too() -> None:
    out = lines()
    logging.getLogger("some.library").warning("called %s with %s", PHONE, SECRET)
    nothing: dict[str, str] = {}
    try:
        _ = nothing[EMAIL]
    except KeyError:
        logging.getLogger("some.library").exception("it failed")
    first, second = (json.loads(text) for text in out.getvalue().splitlines())
    assert (first["logger"], first["level"]) == ("some.library", "warning")
    assert "KeyError" in second["exception"]
    for text in (PHONE, SECRET, EMAIL):
        assert text not in out.getvalue()


def test_chatty_libraries_are_heard_from_warnings_on() -> None:
    out = lines(level="debug")
    logging.getLogger("httpx").info("HTTP Request: PATCH https://…")
    assert out.getvalue() == ""


def test_lines_below_the_level_are_not_written() -> None:
    out = lines(level="warning")
    logs.get("x").info("quiet")
    logs.get("x").warning("loud")
    assert [json.loads(text)["event"] for text in out.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), 2**70, "lone \ud800 surrogate"])
def test_no_value_keeps_a_line_from_being_written(value: object) -> None:
    out = lines()
    logs.get("x").info("odd", value=value)
    assert json.loads(out.getvalue())["event"] == "odd"


@pytest.mark.parametrize(
    ("phone", "masked"),
    [(PHONE, "+1********23"), ("+49", "***"), ("", ""), ("12345", "*****"), ("123456", "12**56")],
)
def test_a_phone_keeps_its_ends_only(phone: str, masked: str) -> None:
    assert logs.mask_phone(phone) == masked


@given(
    st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True), st.text(max_size=9), st.text(max_size=9)
)
def test_no_phone_number_survives_in_a_text(phone: str, before: str, after: str) -> None:
    assert phone not in logs.mask_text(f"{before} {phone} {after}")


ADDRESSES = r"[A-Za-z0-9]([A-Za-z0-9._%+'-]{0,20}[A-Za-z0-9])?@[a-z0-9-]{1,9}\.[a-z]{2,5}"


@given(st.from_regex(ADDRESSES, fullmatch=True))
def test_no_address_of_a_person_survives_in_a_text(address: str) -> None:
    assert address not in logs.mask_text(f"write to {address} today")
