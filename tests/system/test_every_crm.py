"""Every shipped mapping file on one running bridge: what its CRM sends arrives, nothing else does.

The payloads are those of the cases, byte for byte, signed by the very scheme that the file
declares; what the cases expect has to stand in the campaign. A file that is put into the folder is
tested by itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import pytest
from bridge_process import Bridge, wait_until
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sandbox_client import Sandbox

from bridge.clock import now_ms
from bridge.commands.send import CONTENT_TYPES
from bridge.errors import VerifyError
from bridge.map import Case
from bridge.map.case_file import body_of
from bridge.model import (
    AllOfScheme,
    AnyOfScheme,
    HmacScheme,
    HubSpotScheme,
    JwtScheme,
    PublicKeyScheme,
    Scheme,
    StandardWebhooksScheme,
    State,
)
from bridge.receive.sign import Signed, sign
from bridge.receive.verify.signed_text import COVER_BODY
from bridge.settings import Environment, Settings

from .crm_replies import Crms
from .shipped_crms import (
    SOURCES,
    Crm,
    campaign_of,
    loaded,
    secrets_for,
    settings_for,
    write_folder,
)

PUBLIC_URL = "https://hooks.example.com"
PATIENCE_S = 1.0
"""What the strictest sender, Odoo, waits for an answer."""
COMMIT_TIMEOUT_S = float(Settings(Environment({}))["BRIDGE_COMMIT_TIMEOUT"])
"""How long a webhook waits for the disk before its sender is told to send it again."""
SENT_AGAIN = 5
"""How many of some hundred webhooks may be told so on a busy machine."""
pytestmark = pytest.mark.dear_setup
every_crm = pytest.mark.parametrize("source", SOURCES)


@dataclass
class World:
    """The running bridge, and who sends to it. ``strangers`` have other secrets."""

    bridge: Bridge
    sandbox: Sandbox
    crms: Mapping[str, Crm]
    strangers: Mapping[str, tuple[Scheme, ...]]
    key: bytes
    stranger_key: bytes
    http: httpx.Client
    replies: dict[tuple[str, str], httpx.Response] = field(default_factory=dict)
    waited: dict[tuple[str, str], float] = field(default_factory=dict)
    outcomes: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)

    def signed(
        self,
        source: str,
        case: Case,
        scheme: Scheme,
        *,
        at_ms: int | None = None,
        key: bytes | None = None,
    ) -> Signed:
        """The request of a case. Errors: ``VerifyError`` if only the CRM itself can sign it."""
        return sign(
            (scheme,),
            method="POST",
            url=f"{PUBLIC_URL}{path_of(source, case)}",
            body=body_of(case),
            now_ms=now_ms() if at_ms is None else at_ms,
            headers=self.plain(source, case),
            private_key=key or self.key,
        )

    def plain(self, source: str, case: Case) -> dict[str, str]:
        """The headers of a case before it is signed."""
        decoder = self.crms[source].mapping.source.decode.value
        return {"content-type": CONTENT_TYPES[decoder], **case.headers}

    def post(self, target: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        parts = urlsplit(target)
        url = self.bridge.url + parts.path + (f"?{parts.query}" if parts.query else "")
        pairs = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in headers.items()]
        return self.http.post(url, content=body, headers=pairs)

    def send(self, signed: Signed) -> httpx.Response:
        return self.post(signed.url, signed.body, signed.headers)


def path_of(source: str, case: Case) -> str:
    query = f"?{urlencode(case.query)}" if case.query else ""
    return f"/hooks/{quote(source)}{query}"


def pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Everything that every CRM sends has been sent, and all of it has ended."""
    folder = tmp_path_factory.mktemp("every-crm")
    mappings = write_folder(folder / "mappings")
    key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    replies = Crms()
    try:
        settings = settings_for(mappings, replies.url, public)
        found = loaded(mappings, settings)
        wrong = loaded(mappings, {**settings, **secrets_for(found, "other")})
        crms = {name: Crm(mapping) for name, mapping in found.mappings.items()}
        for crm in crms.values():
            replies.know(crm.mapping, crm.cases)
        campaigns = [campaign_of(source) for source in SOURCES]
        with (
            Sandbox(folder, campaigns=campaigns) as sandbox,
            httpx.Client(trust_env=False, timeout=60) as http,
            Bridge(
                folder,
                mappings=mappings,
                api_url=sandbox.url,
                api_token=sandbox.token,
                settings={**settings, "BRIDGE_PUBLIC_URL": PUBLIC_URL},
            ) as bridge,
        ):
            strangers = {name: source.verify for name, source in wrong.sources.items()}
            made = World(bridge, sandbox, crms, strangers, pem(key), pem(other), http)
            bridge.start_both()
            send_everything(made, replies)
            yield made
    finally:
        replies.stop()


def send_everything(world: World, replies: Crms) -> None:
    """All but a few cases go in while neither the CRMs nor the campaign API answer anything.

    A mark goes in later: it is never sent again after a call that was not answered. Whoever is told
    to send again later does so once, as a CRM would.
    """
    stored: dict[int, tuple[str, str]] = {}
    sent_again: list[str] = []
    for source, crm in world.crms.items():
        leads = [{"phone_number": p, "answered": True} for c in crm.cases for p in crm.leads(c)]
        world.sandbox.put_leads(campaign_of(source), leads)

    def send(source: str, case: Case) -> None:
        scheme = world.crms[source].mapping.source.verify[0]
        begun = time.perf_counter()
        reply = world.send(world.signed(source, case, scheme))
        world.waited[source, case.name] = waited = time.perf_counter() - begun
        if reply.status_code == 503:  # a disk that was busy for too long, and nothing else
            sent_again.append(case.name)
            assert waited >= COMMIT_TIMEOUT_S, (source, case.name, world.bridge.log("web"))
            assert len(sent_again) <= SENT_AGAIN, world.bridge.log("web")
            reply = world.send(world.signed(source, case, scheme))
        world.replies[source, case.name] = reply
        if deliveries := world.bridge.deliveries(limit=1):
            stored.setdefault(deliveries[0]["id"], (source, case.name))

    later: list[tuple[str, Case]] = []
    with replies.silent(), world.sandbox.silent():
        for source, crm in world.crms.items():
            for case in crm.cases:
                if any("mark_as_unanswered" in fields for fields in crm.leads(case).values()):
                    later.append((source, case))
                else:
                    send(source, case)
        wait_until(lambda: replies.asked, what="a look-up that is not answered")
        in_flight = partial(world.bridge.outcomes, state=State.IN_FLIGHT)
        wait_until(in_flight, what="a call that is not answered")
        assert world.bridge.outcomes(state=State.UPDATED) == []
    during = set(world.waited)
    world.bridge.wait_settled(120)
    for source, case in later:
        send(source, case)
    world.bridge.wait_settled(120)
    world.waited = {which: world.waited[which] for which in during}
    rows = world.bridge.outcomes()
    for delivery, which in stored.items():
        world.outcomes[which] = [row for row in rows if row["delivery_id"] == delivery]


@every_crm
def test_a_second_of_patience_is_enough_while_nobody_else_answers(
    world: World, source: str
) -> None:
    """All of it arrives afterwards, which the next test looks at.

    An answer that depended on a look-up or on the API would have waited for the end of the
    silence, every one of them; the median is taken because the machine may be busy for a moment.
    """
    waited = [seconds for (name, _), seconds in world.waited.items() if name == source]
    print(f"{source}: median {median(waited):.3f} s, slowest {max(waited):.3f} s")  # noqa: T201
    assert median(waited) < PATIENCE_S


@every_crm
def test_what_the_crm_sends_arrives(world: World, source: str) -> None:
    crm = world.crms[source]
    answer = crm.mapping.source.answer
    leads = world.sandbox.leads(campaign_of(source))
    assert any(crm.leads(case) for case in crm.cases), "no case of this file can be sent"
    for case in crm.cases:
        reply = world.replies[source, case.name]
        assert reply.status_code == answer.status, (case.name, reply.text)
        if answer.body is not None:
            assert reply.text == answer.body
            assert reply.headers["Content-Type"] == answer.content_type
        if (source, case.name) not in world.outcomes:
            assert crm.mapping.source.handshakes, (case.name, "answered, and not stored")
            continue
        outcomes = world.outcomes[source, case.name]
        for ordinal, expected in enumerate(case.expect):
            rows = [row for row in outcomes if row["ordinal"] == ordinal]
            assert rows, case
            assert {row["phone"] for row in rows} == (
                {phone for _, phone, _ in expected.updates} or {""}
            )
            for row in rows:
                states = {expected.state or "updated"}
                if expected.updates and sum(one["phone"] == row["phone"] for one in outcomes) > 1:
                    states.add("superseded")  # by the other event that speaks of this lead
                assert row["state"] in states, (case, row)
                assert expected.reason in row["message"], (case, row)
        for phone, fields in crm.leads(case).items():
            lead = leads[phone]
            assert lead.do_not_call is bool(fields.get("do_not_call")), (case.name, lead)
            assert bool(lead.requeued) is bool(fields.get("mark_as_unanswered")), (case.name, lead)
            assert lead.custom_fields == fields.get("custom_fields", {}), case.name
            for name in ("first_name", "last_name", "email"):
                assert getattr(lead, name) == fields.get(name), (case.name, lead)


@every_crm
def test_what_is_not_signed_right_is_refused(world: World, source: str) -> None:
    crm = world.crms[source]
    case = next(case for case in crm.cases if crm.leads(case))
    refused_status = crm.mapping.source.answer.refused_status
    before = world.bridge.accepted()
    tried: list[str] = []

    def refused(what: str, target: str, body: bytes, headers: Mapping[str, str]) -> None:
        reply = world.post(target, body, headers)
        assert reply.status_code == refused_status, (what, reply.status_code, reply.text)
        tried.append(what)

    plain = world.plain(source, case)
    refused("nothing", path_of(source, case), body_of(case), plain)
    for scheme, stranger in zip(crm.mapping.source.verify, world.strangers[source], strict=True):
        try:
            good = world.signed(source, case, scheme)
        except VerifyError:
            continue  # a key that only the CRM has
        bad = world.signed(source, case, stranger, key=world.stranger_key)
        refused("wrong secret", bad.url, bad.body, bad.headers)
        for name in good.headers.keys() - plain.keys():
            left = {key: value for key, value in good.headers.items() if key != name}
            refused(f"no {name}", good.url, good.body, left)
        if covers_body(scheme):
            refused("changed byte", good.url, one_byte_changed(good.body), good.headers)
        if (seconds := window_s(scheme)) is not None:
            stale = world.signed(source, case, scheme, at_ms=now_ms() - (seconds + 60) * 1000)
            refused("stale", stale.url, stale.body, stale.headers)
    assert "wrong secret" in tried
    assert world.bridge.accepted() == before
    assert world.replies[source, case.name].is_success


@every_crm
def test_every_declared_scheme_is_taken(world: World, source: str) -> None:
    crm = world.crms[source]
    case = next(case for case in crm.cases if crm.leads(case))
    for scheme in crm.mapping.source.verify[1:]:
        try:
            signed = world.signed(source, case, scheme)
        except VerifyError:
            continue  # a key that only the CRM has
        reply = world.send(signed)
        assert reply.status_code == crm.mapping.source.answer.status, (scheme, reply.text)


LAUGHS = b"<!DOCTYPE l [" + b"".join(
    b'<!ENTITY l%d "%b">' % (n, b"&l%d;" % (n - 1) * 10 if n else b"ha") for n in range(10)
)
HOSTILE = {
    "laughs": ("salesforce-outbound", LAUGHS + b"]><l>&l9;</l>"),
    "an external entity": (
        "salesforce-outbound",
        b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
    ),
    "deep XML": ("salesforce-outbound", b"<a>" * 100_000),
    "a bomb of pairs": ("twilio", b"&".join(b"%d=" % n for n in range(60_000))),
    "a bomb of brackets": ("mailchimp", b"a" + b"[b]" * 100_000 + b"=1"),
    "a bomb of nested pairs": ("activecampaign", b"&".join(b"a[%d]=" % n for n in range(60_000))),
    "deep JSON": ("generic", b'{"a":' * 60_000 + b"1" + b"}" * 60_000),
    "a secret deep in JSON": ("copper", b'{"secret":' * 60_000 + b"1" + b"}" * 60_000),
    "wide JSON": ("zoho-notifications", b"{%b}" % b",".join(b'"%d":0' % n for n in range(60_000))),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_body_made_to_hurt_is_answered_and_changes_no_lead(world: World, what: str) -> None:
    """From the CRM it ends as dead; from anybody else it is refused."""
    source, body = HOSTILE[what]
    given = world.crms[source].mapping.source
    calls = len(world.sandbox.calls(campaign=campaign_of(source)))
    reply = world.post(f"/hooks/{source}", body, {"content-type": "text/plain"})
    assert reply.status_code == given.answer.refused_status
    before = world.bridge.accepted()
    signed = hostile(given.verify[0], source, body)
    if signed is not None:
        reply = world.send(signed)
        assert reply.status_code in (given.answer.status, given.answer.refused_status)
        taken = world.bridge.deliveries()[: world.bridge.accepted() - before]
        assert len(taken) == (reply.status_code == given.answer.status)
        world.bridge.wait_settled()
        for one in taken:
            assert world.bridge.states(one["receipt"]) == ["dead"]
    assert world.bridge.get("/readyz").status_code == 200
    assert len(world.sandbox.calls(campaign=campaign_of(source))) == calls


def hostile(scheme: Scheme, source: str, body: bytes) -> Signed | None:
    """The body as somebody with the secret sends it; None if the secret would stand in it."""
    first = scheme.schemes[0] if isinstance(scheme, AllOfScheme) else scheme
    try:
        return sign(
            (first,),
            method="POST",
            url=f"{PUBLIC_URL}/hooks/{source}",
            body=body,
            now_ms=now_ms(),
            headers={"content-type": "text/plain"},
        )
    except VerifyError:
        return None


def covers_body(scheme: Scheme) -> bool:
    """Whether a scheme proves that the body is as it was sent."""
    match scheme:
        case HubSpotScheme() | StandardWebhooksScheme():
            return True
        case HmacScheme(body_hash=str()):
            return True
        case HmacScheme(signed=signed) | PublicKeyScheme(signed=signed):
            return bool(COVER_BODY & set(signed))
        case AllOfScheme(schemes=schemes):
            return any(map(covers_body, schemes))
        case AnyOfScheme(schemes=schemes):
            return all(map(covers_body, schemes))
        case _:
            return False


def window_s(scheme: Scheme) -> int | None:
    """For how long what a scheme signs is good; None: for ever."""
    match scheme:
        case HubSpotScheme(version="v3", tolerance_s=seconds):
            return seconds
        case StandardWebhooksScheme(tolerance_s=seconds):
            return seconds
        case HmacScheme() if scheme.timestamp_header or scheme.timestamp_part:
            return scheme.tolerance_s
        case PublicKeyScheme(timestamp_header=str(), tolerance_s=tolerance):
            return tolerance
        case JwtScheme(leeway_s=leeway):
            return 300 + leeway
        case AllOfScheme(schemes=schemes) | AnyOfScheme(schemes=schemes):
            return max(filter(None, map(window_s, schemes)), default=None)
        case _:
            return None


def one_byte_changed(body: bytes) -> bytes:
    """The body with its last digit or letter replaced by another one."""
    place = max(at for at, byte in enumerate(body) if chr(byte).isalnum() and byte < 128)
    other = b"0" if body[place : place + 1] != b"0" else b"1"
    return body[:place] + other + body[place + 1 :]
