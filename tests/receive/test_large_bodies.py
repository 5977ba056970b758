"""A large body is verified and stored without being read, unless something of it must not stay."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

import pytest

from bridge.model import Source
from bridge.receive.accept import Acceptor, Limits
from bridge.receive.sign import sign
from bridge.store.deliveries import NewDelivery
from bridge.store.packing import LEAST_BYTES, unpacked
from bridge.store.refusals import NewRefusal

from .declared import declared
from .webhooks import NOW, URL, make_request

READ = 3 * LEAST_BYTES
SECRET = "s3cret-of-the-body"
SIGNED = declared('verify:\n  - hmac: {secret: "${SECRET}", header: X-Signature}\n', SECRET)
IN_BODY = declared('verify:\n  - body: {at: token, token: "${SECRET}"}\n', SECRET)
DROPPED = declared(
    'drop: {body: [session]}\nverify:\n  - hmac: {secret: "${SECRET}", header: X-Signature}\n',
    SECRET,
)


@dataclass
class Door:
    """An acceptor, what it has kept, and what it has asked about the number of events."""

    kept: list[NewDelivery] = field(default_factory=list)
    asked: list[tuple[bytes, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.limits = Limits(body_bytes=10**6, depth=64, unverified_bytes=10**6, checked_bytes=READ)

    def keep(self, item: NewDelivery | NewRefusal) -> bool:
        assert isinstance(item, NewDelivery)
        self.kept.append(item)
        return True

    def overfull(self, _delivery: NewDelivery, body: bytes, document: object) -> str | None:
        self.asked.append((body, document))
        return "too many" if len(body) > 2 * READ else None

    def post(self, source: Source, body: bytes) -> dict[str, str]:
        made = sign(source.verify, method="POST", url=URL, body=body, now_ms=NOW, headers={})
        request = make_request(url=made.url, headers=made.headers, body=made.body)
        acceptor = Acceptor(dict, self.keep, self.limits, overfull=self.overfull)
        reply = acceptor.accept(source, request)
        assert reply.status == 200
        answer: dict[str, str] = json.loads(reply.body)
        return answer


@pytest.fixture
def door() -> Door:
    return Door()


def filled(size: int) -> bytes:
    """So many bytes that are no JSON."""
    body = b'[{"phone": "1"}' + b" " * size
    return body[:size]


def test_a_body_is_read_up_to_the_limit_and_not_beyond(door: Door) -> None:
    assert "line 1" in door.post(SIGNED, filled(READ))["problem"]
    assert set(door.post(SIGNED, filled(READ + 1))) == {"receipt"}
    assert [row.problem is None for row in door.kept] == [False, True]
    assert door.asked == [(filled(READ + 1), None)]


@pytest.mark.parametrize("size", [LEAST_BYTES - 1, LEAST_BYTES, READ + 1, 3 * READ])
def test_it_is_stored_packed_and_judged_as_it_came(door: Door, size: int) -> None:
    body = json.dumps({"phone": "1"}).encode().ljust(size)
    told = door.post(SIGNED, body).get("problem")
    [row] = door.kept
    assert (row.body != body) is (row.body_size is not None) is (size >= LEAST_BYTES)
    assert unpacked(row.body, row.body_size) == body
    assert door.asked == [(body, {"phone": "1"} if size <= READ else None)]
    assert told == row.problem == ("too many" if size > 2 * READ else None)


@pytest.mark.parametrize(
    ("source", "place"), [(IN_BODY, "token"), (DROPPED, "session")], ids=["secret", "drop"]
)
def test_what_is_not_to_be_stored_is_taken_out_whatever_the_size(
    door: Door, source: Source, place: str
) -> None:
    body = json.dumps({place: SECRET, "phone": "1", "note": "x" * READ}).encode()
    assert set(door.post(source, body)) == {"receipt"}
    [row] = door.kept
    stored = unpacked(row.body, row.body_size)
    assert json.loads(stored) == {"phone": "1", "note": "x" * READ}
    assert door.asked == [(stored, None)]
    unreadable = door.post(DROPPED, filled(READ + 1))["problem"]
    assert "session of the body could not be taken out of it" in unreadable
