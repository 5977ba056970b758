"""What the receive stage gets of a file: schemes, secrets, and what is missing."""

from __future__ import annotations

import base64

import pytest

from bridge.map import load_mappings
from bridge.model import (
    AllOfScheme,
    Answer,
    BasicScheme,
    BearerScheme,
    Decoder,
    HmacScheme,
    HubSpotScheme,
    PathScheme,
    PublicKeyScheme,
    Scheme,
    Secret,
    Source,
    StandardWebhooksScheme,
)
from bridge.settings import Environment

from .conftest import ENVIRONMENT, SHIPPED, Load, One, Refuse

REST = """\
rules:
  - name: r
    lead: {phone_number: phone, first_name: name}
"""


def source(one: One, verify: str, environment: dict[str, str] = ENVIRONMENT) -> Source:
    text = "source: crm\nreceive:\n  verify:\n" + verify + REST
    return one(text, environment).source


def scheme(one: One, entry: str) -> Scheme:
    (found,) = source(one, f"    - {entry}\n").verify
    return found


SECRET = Secret("CRM_TOKEN", ("s3cret-token",))
REF = '"${CRM_TOKEN}"'
SIGNED = "signed: [timestamp, 'text:.', body], timestamp: {part: t, tolerance: null}"
PUBLISHED = "8b61d1d6cacbe28d7c3bc0516bb815258ec6edbba96cddc7f40c09ac708388e8"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (f"bearer: {{token: {REF}}}", BearerScheme(SECRET)),
        (f"basic: {{user: crm, password: {REF}}}", BasicScheme("crm", SECRET)),
        (f"path: {{token: {REF}}}", PathScheme(SECRET)),
        (f"hubspot_v3: {{secret: {REF}, tolerance: 60}}", HubSpotScheme("v3", SECRET, 60)),
        (
            f"standard_webhooks: {{secret: {REF}, headers: svix}}",
            StandardWebhooksScheme(SECRET, "svix", 300),
        ),
        (
            f"hmac: {{secret: {REF}, header: X-Sig, style: parts, {SIGNED}}}",
            HmacScheme(
                SECRET,
                "X-Sig",
                style="parts",
                signed=("timestamp", "text:.", "body"),
                timestamp_part="t",
                tolerance_s=None,
            ),
        ),
        (
            f"all_of: [bearer: {{token: {REF}}}, path: {{token: {REF}}}]",
            AllOfScheme((BearerScheme(SECRET), PathScheme(SECRET))),
        ),
    ],
)
def test_schemes_become_what_the_receiver_knows(one: One, entry: str, expected: Scheme) -> None:
    assert scheme(one, entry) == expected


def test_older_signatures_step_back_where_v3_is_listed(one: One) -> None:
    both = f"    - hubspot_v1: {{secret: {REF}}}\n    - hubspot_v3: {{secret: {REF}}}\n"
    first, second = source(one, both).verify
    assert isinstance(first, HubSpotScheme)
    assert isinstance(second, HubSpotScheme)
    assert first.yields_to_v3
    assert not second.yields_to_v3
    alone = scheme(one, f"hubspot_v1: {{secret: {REF}}}")
    assert isinstance(alone, HubSpotScheme)
    assert not alone.yields_to_v3


def test_rotation_keeps_two_values(one: One) -> None:
    two = {**ENVIRONMENT, "CRM_TOKEN_PREVIOUS": "older", "OTHER": "third"}
    (found,) = source(one, f"    - bearer: {{token: {REF}}}\n", two).verify
    assert isinstance(found, BearerScheme)
    assert found.token.values == ("s3cret-token", "older")
    (found,) = source(one, '    - bearer: {token: ["${OTHER}", "${NOT_SET}"]}\n', two).verify
    assert isinstance(found, BearerScheme)
    assert found.token.values == ("third",)


def test_a_missing_secret_makes_a_source_unconfigured_not_broken(load: Load) -> None:
    text = 'source: crm\ntitle: "${TITLE}"\nreceive:\n  verify:\n    - bearer: {token: "${NOPE}"}\n'
    good = 'source: good\nreceive:\n  verify:\n    - bearer: {token: "${CRM_TOKEN}"}\n'
    loaded = load({"crm.yaml": text + REST, "good.yaml": good + REST})
    assert loaded.sources["crm"].missing == ("TITLE", "NOPE")
    assert loaded.sources["crm"].verify == ()
    assert loaded.sources["good"].configured


def test_an_unconfigured_file_is_still_checked(refuse: Refuse) -> None:
    text = 'source: crm\nreceive:\n  verify:\n    - bearer: {token: "${NOPE}"}\n'
    (mistake,) = refuse(text + REST.replace("first_name", "frist_name"))
    assert mistake.code == "unknown-key"


def test_optional_entries_need_one_secret_between_them(one: One) -> None:
    entries = (
        '    - bearer: {token: "${A}"}\n      optional: true\n'
        '    - standard_webhooks: {secret: "${B}"}\n      optional: true\n'
    )
    assert source(one, entries, {**ENVIRONMENT, "A": "x"}).configured
    only_b = source(one, entries, {**ENVIRONMENT, "B": "whsec_x"})
    assert only_b.configured
    assert [type(s) for s in only_b.verify] == [StandardWebhooksScheme]
    assert source(one, entries).missing == ("A or B",)


def test_decoder_and_answer(one: One) -> None:
    receive = "  decode: form\n  answer: {body: <Response/>, content_type: text/xml}\n"
    found = source(one, f"    - bearer: {{token: {REF}}}\n" + receive)
    assert found.decode.decoder is Decoder.FORM
    assert found.answer == Answer(200, "<Response/>", "text/xml")


def test_published_keys_stand_in_the_file(load: Load) -> None:
    files = {path.name: path.read_bytes() for path in SHIPPED.glob("*.yaml")}
    files = {name: text for name, text in files.items() if not name.endswith(".cases.yaml")}
    gohighlevel = load(files, {}).sources["gohighlevel"]
    assert gohighlevel.configured
    new, old = gohighlevel.verify
    assert isinstance(new, PublicKeyScheme)
    assert isinstance(old, PublicKeyScheme)
    assert (new.algorithm, old.algorithm) == ("ed25519", "rsa_sha256")
    assert old.yields_to == new.header
    spelled = "".join(new.keys[0].splitlines()[1:-1])
    assert new.keys[0] == PUBLISHED or base64.b64decode(spelled)[-32:].hex() == PUBLISHED
    assert old.keys[0].startswith("-----BEGIN PUBLIC KEY-----")


def test_a_private_key_is_refused(refuse: Refuse) -> None:
    text = (
        "source: crm\nreceive:\n  verify:\n    - ghl_rsa:\n        keys:\n          - |\n"
        "            -----BEGIN PRIVATE KEY-----\n            c2VjcmV0\n"
    )
    mistakes = refuse(text + REST)
    assert [m.code for m in mistakes] == ["private-key"]
    assert "c2VjcmV0" not in str(mistakes)


def test_shipped_files_without_settings_are_listed_as_unconfigured() -> None:
    loaded = load_mappings(
        SHIPPED,
        Environment({}),
        api_url="https://api.example.com",
        api_token=None,
        default_region="US",
    )
    assert loaded.sources["hubspot"].missing == ("HUBSPOT_CLIENT_SECRET", "HUBSPOT_ACCESS_TOKEN")
    assert loaded.sources["generic"].missing == ("GENERIC_TOKEN or GENERIC_SECRET",)
    assert loaded.campaigns["main"].missing == ("BRIDGE_CAMPAIGN_ID", "BRIDGE_API_TOKEN")


def test_versions_follow_the_content(load: Load) -> None:
    head = f"source: crm\nreceive:\n  verify:\n    - bearer: {{token: {REF}}}\n"
    first = load({"crm.yaml": head + REST})
    again = load({"crm.yaml": head + REST})
    other = load({"crm.yaml": head + REST + "# a word\n"})
    assert first.version == again.version != other.version
    assert first.mappings["crm"].version != other.mappings["crm"].version
    assert len(first.version) == len(first.mappings["crm"].version) == 12


def test_no_secret_shows_in_a_repr(load: Load) -> None:
    head = f"source: crm\nreceive:\n  verify:\n    - bearer: {{token: {REF}}}\n"
    loaded = load({"crm.yaml": head + REST})
    assert "s3cret-token" not in repr(loaded)
    assert "api-token" not in repr(loaded)
