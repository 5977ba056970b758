"""Mistakes below ``receive`` are told with line, column and what to write instead."""

from __future__ import annotations

import textwrap

import pytest

from bridge.errors import MappingError

from .conftest import Load, Refuse

HMAC = 'hmac: {secret: "${CRM_TOKEN}", header: X-Sig'
PATH = '- path: {token: "${CRM_TOKEN}"}'
AUTH = f"verify:\n  {PATH}\n"


def verify(entry: str) -> str:
    return f"verify:\n  - {entry}\n"


# what stands below `receive:`, the line counted from there, the code, a word of the hint
TABLE = [
    (verify(f"{HMAC}, query: sig}}"), 2, "signature-place", "header"),
    (verify('hmac: {secret: "${CRM_TOKEN}"}'), 2, "signature-place", "query: <name>"),
    (verify('hmac: {secret: "${CRM_TOKEN}", header: "X-Sig:"}'), 2, "bad-header-name", "colon"),
    (verify(f"{HMAC}, signed: [timestamp]}}"), 2, "timestamp-missing", "timestamp: {header"),
    (verify(f'{HMAC}, signed: ["text:a"]}}'), 2, "body-not-signed", "Add body"),
    (verify(f"{HMAC}, signed: [body, boddy]}}"), 2, "unknown-word", "body"),
    (verify(f"{HMAC}, timestamp: {{header: X-T}}}}"), 2, "timestamp-not-signed", "signed"),
    (verify(f"{HMAC}, timestamp: {{header: X, part: t}}}}"), 2, "timestamp-place", "header"),
    (
        verify(f"{HMAC}, signed: [timestamp, body], timestamp: {{part: t}}}}"),
        2,
        "timestamp-part",
        "style: parts",
    ),
    (verify(f"{HMAC}, encoding: raw}}"), 2, "raw-encoding", "hex or base64"),
    (verify(f'{HMAC}, separator: ";"}}'), 2, "unused-key", "style: parts"),
    (verify(f'{HMAC}, pattern: "{{signature}}"}}'), 2, "unused-key", "style: pattern"),
    (verify(f"{HMAC}, style: pattern}}"), 2, "missing-key", "pattern:"),
    (verify(f'{HMAC}, style: pattern, pattern: "a={{b}}"}}'), 2, "bad-pattern", "{signature"),
    (
        verify(f'{HMAC}, style: pattern, pattern: "{{signature}}", signed: ["group:x", body]}}'),
        2,
        "unknown-group",
        "signature",
    ),
    (verify(f"{HMAC}, body_hash: h}}"), 2, "body-not-signed", "Add url"),
    (verify(f"{HMAC}, algorithm: md5}}"), 2, "unknown-word", "sha256"),
    (verify('jwt: {secret: "${CRM_TOKEN}", algorithm: RS256}'), 2, "unknown-key", "audience"),
    (verify('jwt: {secret: "${CRM_TOKEN}", leeway: -1}'), 2, "bad-number", "30"),
    (verify('body: {at: a..b, token: "${CRM_TOKEN}"}'), 2, "bad-place", "data.secret"),
    (verify('body: {at: 1, token: "${CRM_TOKEN}"}'), 2, "wrong-type", "at: token"),
    (verify("body: {at: token, token: abc}"), 2, "literal-secret", "${NAME"),
    (verify("equals: {body: org, value: x}"), 2, "proves-nothing", "path"),
    (verify("none: it cannot sign"), 2, "proves-nothing", "path"),
    (verify("all_of: [{none: it cannot sign}]"), 2, "proves-nothing", "path"),
    (verify("all_of: [{equals: {body: org, value: x}}]"), 2, "proves-nothing", "path"),
    (
        verify('all_of: [{none: why}, {bearer: {token: "${CRM_TOKEN}"}}]'),
        2,
        "none-without-path",
        "path",
    ),
    (
        verify('all_of: [{equals: {body: org}}, {path: {token: "${CRM_TOKEN}"}}]'),
        2,
        "two-sides",
        "value:",
    ),
    (
        verify('any_of: [{equals: {body: o, value: x}}, {path: {token: "${CRM_TOKEN}"}}]'),
        2,
        "proves-nothing",
        "all_of",
    ),
    (
        verify('all_of: [{path: {token: "${CRM_TOKEN}"}, optional: true}]'),
        2,
        "optional-part",
        "any_of",
    ),
    (AUTH + "handshakes: [post]\n", 3, "unknown-handshake", "empty_post"),
    (AUTH + "handshakes: [challenge]\n", 3, "wrong-type", "{field: challenge}"),
    (AUTH + "handshakes: [get: {}]\n", 3, "unknown-handshake", "- get"),
    (AUTH + "handshakes: [header: {name: a b}]\n", 3, "bad-header-name", "X-Signature"),
    (AUTH + "handshakes: [query: {name: a, proof: b}]\n", 3, "proof-and-token", "token"),
    (AUTH + "handshakes: [challenge: {field: a, besides: [b]}]\n", 3, "unknown-key", "`beside`"),
    (AUTH + "drop: {}\n", 3, "empty-mapping", "body"),
    (AUTH + "drop: {body: SessionId}\n", 3, "wrong-type", "- "),
    (AUTH + "decode: form\nlists: [a.b]\n", 4, "bad-place", '["a.b"]'),
    (AUTH + "decode: form\ndrop: {body: [a.b]}\n", 4, "bad-place", "nested_form"),
    (AUTH + "answer: {status: 410}\n", 3, "bad-number", "200"),
    (AUTH + "answer: {refused: 410}\n", 3, "status-gone", "401"),
    (AUTH + "answer: {too_large: 200}\n", 3, "bad-number", "413"),
    (AUTH + "answer: {status: 204}\n", 3, "no-body", 'body: ""'),
    (AUTH + "answer: {content_type: text/xml}\n", 3, "unused-key", "body"),
    (AUTH + 'answer: {body: x, content_type: "text"}\n', 3, "bad-content-type", "text/xml"),
    (AUTH + "decode: xlm\n", 3, "unknown-word", "xml"),
]


def whole(receive: str) -> str:
    return (
        f"source: crm\nreceive:\n{textwrap.indent(receive, '  ')}"
        "rules:\n  - name: all\n    lead: {phone_number: phone, first_name: name}\n"
    )


@pytest.mark.parametrize("row", TABLE, ids=[f"{row[2]}-{n}" for n, row in enumerate(TABLE)])
def test_a_mistake_is_told_with_line_and_hint(
    refuse: Refuse, row: tuple[str, int, str, str]
) -> None:
    receive, line, code, hint = row
    (mistake,) = refuse(whole(receive))
    assert (mistake.code, mistake.line) == (code, line + 2)
    assert mistake.column > 1
    assert hint in mistake.hint


def test_a_handshake_waits_for_the_setting_it_needs(load: Load) -> None:
    receive = AUTH + 'handshakes: [query: {name: a, proof: b, token: "${NOT_SET}"}, get]\n'
    source = load({"crm.yaml": whole(receive)}).sources["crm"]
    assert source.missing == ("NOT_SET",)
    assert len(source.handshakes) == 1


def test_a_tenant_without_its_setting_is_not_configured(load: Load) -> None:
    receive = f'verify:\n  - all_of:\n      {PATH}\n      - equals: {{body: o, value: "${{X}}"}}\n'
    assert load({"crm.yaml": whole(receive)}).sources["crm"].missing == ("X",)


def test_an_alternative_without_its_secret_may_be_left_out(load: Load) -> None:
    receive = (
        "verify:\n  - all_of:\n"
        f"      {PATH}\n"
        "      - any_of:\n"
        '          - bearer: {token: "${NOT_SET}"}\n'
        "            optional: true\n"
        '          - header: {name: X-T, token: "${CRM_TOKEN}"}\n'
    )
    assert load({"crm.yaml": whole(receive)}).sources["crm"].configured
    both = receive.replace("${CRM_TOKEN}", "${NEITHER}", 2).replace("${NEITHER}", "${CRM_TOKEN}", 1)
    both = both.replace('"${NEITHER}"}\n', '"${NEITHER}"}\n            optional: true\n')
    assert load({"crm.yaml": whole(both)}).sources["crm"].missing == ("NOT_SET or NEITHER",)


def test_a_secret_written_into_a_handshake_is_refused(load: Load) -> None:
    receive = AUTH + "handshakes: [query: {name: a, proof: b, token: abc}]\n"
    with pytest.raises(MappingError, match="literal-secret"):
        load({"crm.yaml": whole(receive)})
