"""Whatever is done to a file of evidence shows, and where; a file left alone is whole."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from playwright._impl._driver import compute_driver_executable

from bridge import jsontext
from bridge.errors import ExportError
from bridge.operate.export.lines import HEAD, Form, content, record_of
from bridge.operate.export.verify import Whole, WrongLineError, verify

from .files import file_of

DOCS = Path(__file__).parent.parent.parent / "docs"
KEY = "a-long-random-text-of-the-tests"
RECORDS = [
    {"kind": "outcome", "phone": "+14155550123", "message": 'it\'s "so", and\nso; on', "n": n}
    for n in range(6)
]
ODD = st.text(
    alphabet=st.sampled_from("=+-@＝＋－＠;|,\"'\t\r\n {}aé\u2028\x00\x7f\ufeff"), max_size=12
)

both = pytest.mark.parametrize("form", Form)
keyed = pytest.mark.parametrize("key", [None, KEY])


def verified(text: bytes, *keys: str) -> Whole:
    return verify(io.BytesIO(text), keys)


@pytest.mark.parametrize("form", Form)
@pytest.mark.parametrize("key", [None, "a-key"])
def test_line_ends_that_were_changed_are_named(form: Form, key: str | None) -> None:
    text = file_of(form, RECORDS, key)
    keys = () if key is None else (key,)
    with pytest.raises(WrongLineError, match="line 1 is wrong: its end was changed from LF"):
        verified(text.replace(b"\n", b"\r\n"), *keys)
    first, _, rest = text.partition(b"\n")
    with pytest.raises(WrongLineError, match="line 2 is wrong: its end was changed from LF"):
        verified(first + b"\n" + rest.replace(b"\n", b"\r\n", 1), *keys)


def wrong(text: bytes, *keys: str) -> int:
    """The number of the first line that is wrong."""
    with pytest.raises(WrongLineError) as caught:
        verified(text, *keys)
    return caught.value.number


@both
@keyed
def test_a_file_that_was_left_alone_is_whole(form: Form, key: str | None) -> None:
    found = verified(file_of(form, RECORDS, key), KEY)
    assert found.form is form
    assert found.lines == len(RECORDS) + 2 + (form is Form.CSV)
    assert found.end["lines"] == found.lines - 1


@both
@pytest.mark.parametrize("name", ["message", "campaign", "source", "receipt", "phone", "state"])
def test_a_cell_that_looks_like_the_record_is_not_taken_for_it(form: Form, name: str) -> None:
    records = [{"kind": "outcome", name: text} for text in ('{"detail":"no"}', '{""x', ',"{""}"')]
    found = verified(file_of(form, records, None))
    assert found.end["lines"] == found.lines - 1


@both
@keyed
def test_every_single_byte_counts(form: Form, key: str | None) -> None:
    text = file_of(form, RECORDS[:2], key)
    starts = [0, *(m.end() for m in re.finditer(b"\n", text))]
    for at in range(len(text)):
        line = sum(start <= at for start in starts)
        changed = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
        try:
            found = wrong(changed, KEY)
        except ExportError:  # the line that names the key
            assert key is not None
            found = line
        assert found == line, (at, text[at : at + 20])


@both
@keyed
def test_taken_out_put_in_moved_and_cut_off_lines_show_where_they_are(
    form: Form, key: str | None
) -> None:
    lines = file_of(form, RECORDS, key).splitlines(keepends=True)
    other = file_of(form, RECORDS, key, {"export": "1" * 32}).splitlines(keepends=True)
    first = 1 + (form is Form.CSV)
    for n in range(len(lines)):
        rest = lines[:n] + lines[n + 1 :]
        assert wrong(b"".join(rest), KEY) == n + 1
        assert wrong(b"".join(lines[:n]), KEY) == n + 1
        assert wrong(b"".join([*lines[:n], lines[n][:-1]]), KEY) == n + 1
        if n >= first:
            assert wrong(b"".join([*lines[:n], lines[n - 1], *lines[n:]]), KEY) == n + 1
            assert wrong(b"".join([*lines[:n], b"\n", *lines[n:]]), KEY) == n + 1
        if first <= n < len(lines) - 1:
            swapped = [*lines[:n], lines[n + 1], lines[n], *lines[n + 2 :]]
            assert wrong(b"".join(swapped), KEY) == n + 1
            # a line of another file of the same kind, made with the same key
            assert wrong(b"".join([*lines[:n], other[n], *lines[n + 1 :]]), KEY) == n + 1
    assert wrong(b"".join([*lines, lines[-1]]), KEY) == len(lines) + 1
    assert wrong(b"".join(lines) + b" ", KEY) == len(lines) + 1
    assert wrong(b"", KEY) == 1
    assert wrong(b"".join(lines).replace(b"\n", b"\r\n"), KEY) == 1


@both
def test_a_key_cannot_be_done_without_nor_taken_off(form: Form) -> None:
    text = file_of(form, RECORDS, KEY)
    assert verified(text, "another", KEY).header["algorithm"] == "hmac-sha256"
    with pytest.raises(ExportError, match="sealed with a key"):
        verified(text)
    with pytest.raises(ExportError, match="sealed with another key"):
        verified(text, "another")
    # whoever edits a sealed file can make one without a key, and it says so
    assert verified(file_of(form, RECORDS[1:]), KEY).header["algorithm"] == "sha256"
    lying = file_of(form, RECORDS, header=verified(text, KEY).header)
    assert wrong(lying, KEY) == 1 + (form is Form.CSV)


@both
def test_what_only_looks_like_evidence_is_none(form: Form) -> None:
    first = 1 + (form is Form.CSV)
    assert wrong(file_of(form, RECORDS, header={"format": "crm-bridge-evidence/2"})) == first
    assert wrong(file_of(form, RECORDS, header={"algorithm": "none"})) == first
    assert wrong(file_of(form, [{"kind": "export"}])) == first + 1
    assert wrong(file_of(form, [{"kind": "end", "ended_at": ""}])) == first + 2
    miscounted = {"kind": "end", "ended_at": "", "lines": first, "last_hash": "0" * 64}
    assert wrong(file_of(form, [miscounted])) == first + 1
    assert wrong(file_of(form, RECORDS, header={"made_by": None})) == first
    assert wrong(file_of(form, [{"kind": None}])) == first + 1
    for text in (b"{}\n", b"[1]\n", b"\xff\xfe\n", b"a,b\n", b'"' * 200, b"{" * 2000 + b"\n"):
        assert wrong(text) == 1


@given(st.dictionaries(st.sampled_from(["message", "phone", "state", "odd"]), ODD))
@example({"message": '{"', "state": ',"{"'})
@settings(max_examples=200, deadline=None)
def test_a_spreadsheet_finds_no_formula_and_the_record_stays_exact(values: dict[str, Any]) -> None:
    record = {"kind": "outcome", "line": 2, **values}
    text = content(Form.CSV, record)
    assert record_of(Form.CSV, text) == record
    whole = text.decode()
    [cells] = csv.reader([whole], strict=True)
    assert len(cells) == len(HEAD.decode().split(",")) - 1
    assert not any(mark in whole for mark in (";", "|", "\t", "\r", "\n"))
    assert not any(cell.lstrip()[:1] in tuple("=+-@＝＋－＠") for cell in cells)
    assert json.loads(cells[-1]) == record


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans()))
def test_equal_records_are_written_alike(values: dict[str, Any]) -> None:
    values = {k: v for k, v in values.items() if not isinstance(v, int) or abs(v) < 2**53}
    values |= {"kind": "outcome"}
    backwards = dict(reversed(values.items()))
    for form in Form:
        assert content(form, values) == content(form, backwards)
    plain = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert jsontext.loads(content(Form.JSONL, values) + b"}") == json.loads(plain)


@both
def test_the_few_lines_in_the_documents_verify_a_file(form: Form, tmp_path: Path) -> None:
    document = (DOCS / "evidence.md").read_text(encoding="utf-8")
    found = re.search(r"```js\n(.*?)```", document, re.DOTALL)
    assert found is not None
    assert len(found[1].strip().splitlines()) <= 20
    program = tmp_path / "verify.mjs"
    program.write_text(found[1])
    node, _ = compute_driver_executable()

    def run(text: bytes, key: str = "") -> str:
        path = tmp_path / "file"
        path.write_bytes(text)
        done = subprocess.run(
            [node, program, path], capture_output=True, text=True, env={"KEY": key}, check=False
        )
        return (done.stdout + done.stderr).strip()

    for key in ("", KEY):
        text = file_of(form, RECORDS, key or None)
        lines = text.splitlines(keepends=True)
        assert run(text, key) == "whole"
        assert run(text.replace(b"0123", b"0124", 2), key).endswith("line 3 is wrong") is (
            form is Form.CSV
        )
        assert run(b"".join(lines[:-1]), key) == "the end is missing"
        assert run(b"".join([*lines[:4], *lines[5:]]), key) == "line 5 is wrong"
