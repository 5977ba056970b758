"""Log lines: fields, with people masked and secrets blotted out."""

from __future__ import annotations

import ast
import io
import json
import logging
import os
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge import __version__, ecs, logs
from bridge.model import State

SECRET = "whsec_0123456789abcdef"
PHONE = "+14155550123"
EMAIL = "ann.lee@example.com"


def lines(style: str = "json", level: str = "info", secrets: tuple[str, ...] = (SECRET,)) -> Any:
    """Set the log up; returns where it goes."""
    out = io.StringIO()
    logs.configure(style=style, level=level, secrets=secrets, out=out)
    return out


def test_a_line_is_one_json_object_with_its_stage_and_time() -> None:
    out = lines()
    logs.get("forward").info(
        "outcome", outcome="updated", opt_out=True, rules=["a"], elapsed_ms=12, message="well"
    )
    (text,) = out.getvalue().splitlines()
    line = json.loads(text)
    assert list(line)[:4] == ["@timestamp", "log.level", "message", "ecs.version"]
    assert line.pop("@timestamp").endswith("Z")
    assert line == {
        "log.level": "info",
        "message": "outcome",
        "ecs.version": "8.11.0",
        "service.name": "crm-bridge",
        "service.version": __version__,
        "process.pid": os.getpid(),
        "event.action": "outcome",
        "event.outcome": "success",
        "event.duration": 12_000_000,
        "log.logger": "forward",
        "crmbridge.outcome": "updated",
        "crmbridge.opt_out": True,
        "crmbridge.rules": ["a"],
        "crmbridge.message": "well",
    }


OUTCOMES: list[tuple[str, dict[str, Any]]] = [
    ("info", {"outcome": "updated", "rules": ["a"], "message": "well", "elapsed_ms": 3}),
    ("warning", {"outcome": "standing", "message": f"ask {EMAIL} or {PHONE}", "replay": 7}),
    ("error", {"outcome": "rejected", "message": "line one\nline two", "opt_out": True}),
]


def once_each(told: list[tuple[str, dict[str, Any]]]) -> None:
    log = logs.get("record")
    for level, fields in told:
        getattr(log, level)("outcome", **fields)


@pytest.mark.parametrize("secret", [None, SECRET, "4155550123"])
@pytest.mark.parametrize("style", ["json", "text"])
@pytest.mark.parametrize("level", ["info", "warning"])
def test_lines_written_together_are_the_same_as_one_by_one(
    style: str, level: str, secret: str | None
) -> None:
    told = [(kind, {**fields}) for kind, fields in OUTCOMES]
    if secret is not None:
        told.append(("info", {"outcome": "dead", "message": f"the API said {secret!r}"}))
    written = []
    for write in (once_each, lambda these: logs.write_many("record", "outcome", these)):
        out = lines(style, level, (SECRET, "4155550123"))
        write(told)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<when>", out.getvalue())
        each = text.splitlines()
        written.append([json.loads(line) for line in each] if style == "json" else each)
    assert written[0] == written[1]
    assert secret is None or secret not in str(written)


@pytest.mark.parametrize("secret", ["crmbridge", "message", "success", "+1********23", "service"])
def test_lines_written_together_hide_a_secret_that_only_their_form_holds(secret: str) -> None:
    written = []
    for write in (once_each, lambda these: logs.write_many("record", "outcome", these)):
        out = lines(secrets=(secret,))
        write(OUTCOMES)
        text = out.getvalue()
        written.append(re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<when>", text))
        assert secret not in text
    assert written[0] == written[1]


@pytest.mark.parametrize("fields", [{}, {"elapsed_ms": "3"}, {"logger": "other"}])
def test_lines_written_together_may_lack_fields_or_share_names(fields: dict[str, Any]) -> None:
    written = []
    for write in (once_each, lambda these: logs.write_many("record", "outcome", these)):
        out = lines()
        write([("info", fields), ("warning", {"outcome": "dead"})])
        each = map(json.loads, out.getvalue().splitlines())
        written.append([{**line, "@timestamp": ""} for line in each])
    assert written[0] == written[1]


def test_lines_written_together_fit_into_what_a_pipe_takes_at_once() -> None:
    writes: list[str] = []

    class Pipe(io.StringIO):
        def write(self, text: str) -> int:
            writes.append(text)
            return super().write(text)

    out = Pipe()
    logs.configure(style="json", out=out)
    lengths = range(0, 2500, 40)
    told = [("info", {"outcome": "updated", "message": "ü" * n, "n": n}) for n in lengths]
    logs.write_many("record", "outcome", told)
    found = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["crmbridge.n"] for line in found] == list(lengths)
    long = [text for text in writes if len(text.encode()) > select.PIPE_BUF]
    assert all(text.count("\n") == 1 for text in long)
    assert len(writes) < len(told)


def test_names_are_those_of_ecs_or_stand_below_our_own() -> None:
    """A key is never both a value and the beginning of other keys, which no collector takes."""
    out = lines()
    names = ecs.NAMES.keys() - {"event", "level"}
    logs.get("x").error("failed", **dict.fromkeys(names, "v"))
    line = json.loads(out.getvalue())
    keys = {*ecs.NAMES.values(), *line}
    for key in keys:
        assert not [other for other in keys if other.startswith(f"{key}.")], key
        assert key in ecs.NAMES.values() or "." in key, key
    assert not any(key.startswith("crmbridge.") for key in line)


@pytest.mark.parametrize("state", list(State))
def test_only_what_succeeded_or_failed_says_so(state: State) -> None:
    out = lines()
    logs.get("record").info("outcome", outcome=state.value)
    line = json.loads(out.getvalue())
    assert line["crmbridge.outcome"] == state.value
    assert line.get("event.outcome") in ("success", "failure", "unknown", None)
    assert (line.get("event.outcome") == "success") is (state is State.UPDATED)


def test_an_error_is_told_by_type_and_words_beside_its_traceback() -> None:
    out = lines()
    try:
        int(f"no number {PHONE} {SECRET}")
    except ValueError:
        logs.get("worker").exception("thread failed")
    line = json.loads(out.getvalue())
    assert line["error.type"] == "ValueError"
    assert line["error.message"].startswith("invalid literal")
    assert line["error.stack_trace"].startswith("Traceback")
    assert PHONE not in out.getvalue()
    assert SECRET not in out.getvalue()


def test_a_terminal_gets_a_line_to_read() -> None:
    out = lines("text")
    logs.get("record").info("outcome", outcome="updated", receipt="r" * 32)
    (line,) = out.getvalue().splitlines()
    assert "outcome" in line
    assert f"receipt={'r' * 32}" in line
    assert not line.startswith("{")
    assert "crmbridge." not in line


def test_the_first_line_sets_up_a_log_that_was_put_off_and_only_within_the_block() -> None:
    out, calls = io.StringIO(), []

    def set_up() -> None:
        calls.append(1)
        logs.configure(style="json", secrets=(SECRET,), out=out)

    with logs.configured_later(set_up):
        assert not calls
        logs.get("a").info("first", detail=f"{SECRET} of {PHONE}")
        logs.get("a").info("second")
    assert [json.loads(line)["message"] for line in out.getvalue().splitlines()] == [
        "first",
        "second",
    ]
    assert SECRET not in out.getvalue()
    assert PHONE not in out.getvalue()
    with logs.configured_later(set_up):
        own = lines()
        logs.get("a").info("third")
    with logs.configured_later(set_up):
        pass
    logs.get("a").info("fourth")
    assert len(own.getvalue().splitlines()) == 2
    assert len(calls) == 1


def test_warnings_and_errors_that_nobody_caught_are_lines_like_all_others(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import threading, warnings\n"
        "from bridge import logs\n"
        "logs.configure(style='json', secrets=('s3cret-value',))\n"
        "logs.catch_all()\n"
        "warnings.warn('old +14155550123', stacklevel=1)\n"
        "def fail(): raise LookupError('in a thread s3cret-value')\n"
        "thread = threading.Thread(target=fail, name='side'); thread.start(); thread.join()\n"
        "raise ValueError('at the end of ann@example.com')\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    warned, side, last = (json.loads(line) for line in done.stderr.splitlines())
    assert (warned["log.logger"], warned["log.level"]) == ("py.warnings", "warning")
    assert "old +1" in warned["message"]
    assert (side["error.type"], side["message"]) == ("LookupError", "uncaught error")
    assert (last["error.type"], last["log.level"]) == ("ValueError", "critical")
    for text in ("+14155550123", "s3cret-value", "ann@example.com"):
        assert text not in done.stderr


def test_a_line_about_many_deliveries_names_some_of_them() -> None:
    assert logs.few(["b", "a", "b"]) == ["b", "a"]
    assert len(logs.few(str(n) for n in range(1000))) == logs.MOST_RECEIPTS


WORK = ("take_in", "look_up", "send", "replay", "replay_store", "replay_lookups", "events")
NO_DELIVERY = {"replay done"}
"""Lines of the steps that belong to no delivery."""


@pytest.mark.parametrize("module", WORK)
def test_every_line_of_the_steps_carries_the_receipt(module: str) -> None:
    path = Path(logs.__file__).parent / "steps" / f"{module}.py"
    found = 0
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="log")),
                args=[ast.Constant(value=str(said))],
                keywords=given,
            ) if said not in NO_DELIVERY:
                names = {one.arg for one in given}
                assert names & {"receipt", "receipts"}, f"{module}: {said}"
                found += 1
    assert found


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
    plain = "".join(json.loads(out.getvalue())["crmbridge.field"])
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
    assert (first["log.logger"], first["log.level"]) == ("some.library", "warning")
    assert first["message"].startswith("called +1")
    assert second["error.type"] == "KeyError"
    assert "KeyError" in second["error.stack_trace"]
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
    assert [json.loads(text)["message"] for text in out.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), 2**70, "lone \ud800 surrogate"])
def test_no_value_keeps_a_line_from_being_written(value: object) -> None:
    out = lines()
    logs.get("x").info("odd", value=value, outcome=value, elapsed_ms=value)
    assert json.loads(out.getvalue())["message"] == "odd"


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
