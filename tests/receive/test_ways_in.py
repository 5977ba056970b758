"""Every way in gives the same answer: in one piece, the layer before Flask, the view behind it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from store.fresh import prepare
from werkzeug.test import EnvironBuilder, run_wsgi_app

from bridge.app import create_app
from bridge.clock import now_ms
from bridge.live import load
from bridge.map import MappingSet
from bridge.receive.accept import Acceptor
from bridge.receive.hooks import HooksFirst
from bridge.receive.sign import sign
from bridge.settings import Environment, Settings
from bridge.store.database import Database

ROOT = Path(__file__).parents[2]
VECTORS = json.loads((ROOT / "tests/vectors/hubspot-signatures.json").read_text())["vectors"]
PUBLIC = "https://bridge.example.com"

Answer = tuple[int, list[tuple[str, str]], bytes]
Way = Callable[[dict[str, Any]], Answer | None]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("ways")
    url = f"sqlite:///{folder / 'bridge.db'}"
    database = Database(url)
    prepare(database)
    database.close()
    return Settings(
        Environment(
            {
                "DATABASE_URL": url,
                "BRIDGE_MAPPINGS": str(ROOT / "mappings"),
                "BRIDGE_PUBLIC_URL": PUBLIC,
                "BRIDGE_CAMPAIGN_ID": "camp_1",
                "BRIDGE_API_TOKEN": "api-token-for-tests",
                "BRIDGE_MAX_BODY": "20000",
                "HUBSPOT_CLIENT_SECRET": "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",
                "HUBSPOT_ACCESS_TOKEN": "read-token-for-tests",
                "GENERIC_TOKEN": "generic-token-for-tests",
            }
        )
    )


@pytest.fixture(scope="module")
def ways(settings: Settings) -> dict[str, Way]:
    layer = create_app(settings).wsgi_app
    assert isinstance(layer, HooksFirst)

    def through(app: Any) -> Way:
        def ask(environ: dict[str, Any]) -> Answer:
            parts, status, headers = run_wsgi_app(app, environ)
            return int(status.split()[0]), sorted(headers), b"".join(parts)

        return ask

    def in_one_piece(environ: dict[str, Any]) -> Answer | None:
        answers = layer.at_once(on_the_wire(environ), environ.get("REMOTE_ADDR", ""))
        if answers is None:
            return None
        reply = answers()
        head = [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body)))]
        return reply.status, sorted([*head, *reply.headers]), reply.body

    return {
        "layer": through(layer),
        "view": through(layer.others),
        "one piece": in_one_piece,
    }


def on_the_wire(environ: dict[str, Any]) -> bytes:
    """A request as it is sent, of an environment."""
    lines = [f"{environ['REQUEST_METHOD']} {environ['RAW_URI']} {environ['SERVER_PROTOCOL']}"]
    for key, value in environ.items():
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = key.removeprefix("HTTP_").replace("_", "-").title()
            lines.append(f"{name}: {value}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + bytes(environ["wsgi.input"].read())


def comparable(answer: Answer) -> Any:
    """An answer without what differs between any two requests: the receipt."""
    status, headers, body = answer
    if body.startswith(b"{"):
        document = json.loads(body)
        receipt = document.pop("receipt", None)
        detail = document.get("detail", "")
        if "under receipt " in detail:
            document["detail"] = detail.partition("under receipt ")[0]
        return status, headers, bool(receipt), document
    return status, headers, body


def signed(loaded: MappingSet, source: str, body: bytes) -> dict[str, str]:
    made = sign(
        loaded.sources[source].verify,
        method="POST",
        url=f"{PUBLIC}/hooks/{source}",
        body=body,
        now_ms=now_ms(),
        headers={"Content-Type": "application/json"},
    )
    return dict(made.headers)


BODIES = (
    b"[]",
    b"{}",
    b"",
    b"not json",
    b"\xff\xfe",
    b'{"a":' * 100 + b"1" + b"}" * 100,
    b'[{"eventId": 1, "objectId": 7, "subscriptionType": "contact.creation", "portalId": 1}]',
    b"x" * 30_000,
)
PATHS = (
    "/hooks/hubspot",
    "/hooks/generic",
    "/hooks/nobody",
    "/hooks/hubspot/token",
    "/hooks/",
    "/hooks/hubspot/",
    "/hooks/hubspot/a/b",
    "/hooks//hubspot",
    "/hooks/h%C3%BCbspot",
    "/hooks/hubspot%2Ftoken",
    "/hooksome",
)
METHODS = ("POST", "GET", "HEAD", "PUT", "OPTIONS", "DELETE")


def corpus(settings: Settings) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Requests by name, each made anew for every way, since a body can be read once."""

    def request(
        path: str, method: str, body: bytes, headers: Iterable[tuple[str, str]], **more: Any
    ) -> Callable[[], dict[str, Any]]:
        def make() -> dict[str, Any]:
            builder = EnvironBuilder(path=path, method=method, headers=list(headers), data=body)
            return {**builder.get_environ(), "RAW_URI": path, **more}

        return make

    loaded = load(settings)
    for path, method in itertools.product(PATHS, METHODS):
        yield f"{method} {path}", request(path, method, b"[]", ())
    for body in BODIES:
        for source in ("hubspot", "generic"):
            good = signed(loaded, source, body).items()
            bad = [(n, v[:-2] + "xx" if "ignature" in n or "uthor" in n else v) for n, v in good]
            for kind, headers in (("good", good), ("bad", bad), ("none", ())):
                name = f"{source} {kind} {body[:12]!r}"
                yield name, request(f"/hooks/{source}", "POST", body, headers)
    for vector in VECTORS:
        headers = [("X-HubSpot-Signature", str(vector["expected"]))]
        headers.append(("X-HubSpot-Signature-Version", str(vector["version"])))
        body = (vector["body"] or "").encode()
        yield vector["id"], request("/hooks/hubspot", "POST", body, headers)
    chunked = {"HTTP_TRANSFER_ENCODING": "gzip"}
    yield "transfer encoding", request("/hooks/hubspot", "POST", b"[]", (), **chunked)
    for length in ("-1", "x", "9" * 30, ""):
        more = {"CONTENT_LENGTH": length}
        yield f"length {length!r}", request("/hooks/hubspot", "POST", b"[]", (), **more)


def test_every_way_in_gives_the_same_answers(settings: Settings, ways: dict[str, Way]) -> None:
    seen: set[int] = set()
    seen_at_once: set[int] = set()
    for name, make in corpus(settings):
        answers = {way: ask(make()) for way, ask in ways.items()}
        layer, view, at_once = answers["layer"], answers["view"], answers["one piece"]
        assert layer is not None
        assert view is not None
        assert comparable(layer) == comparable(view), name
        seen.add(layer[0])
        if at_once is not None:
            assert comparable(at_once) == comparable(layer), name
            seen_at_once.add(at_once[0])
        elif name.startswith(("hubspot", "generic")):  # as CRMs send them
            assert not make().get("CONTENT_LENGTH"), name
    assert {200, 401, 404, 405, 413, 501} <= seen
    assert {200, 401, 404, 413} <= seen_at_once


def test_a_fault_of_ours_is_told_alike(ways: dict[str, Way]) -> None:
    class Broken:
        def read(self, _size: int) -> bytes:
            raise ZeroDivisionError

    def make() -> dict[str, Any]:
        environ = EnvironBuilder(path="/hooks/hubspot", method="POST", data=b"[]").get_environ()
        return {**environ, "RAW_URI": "/hooks/hubspot", "wsgi.input": Broken()}

    answers = [ways[way](make()) for way in ("layer", "view")]
    assert answers[0] is not None
    assert answers[1] is not None
    assert comparable(answers[0]) == comparable(answers[1])
    assert answers[0][0] == 500


def test_a_fault_of_ours_is_told_alike_in_one_piece(
    ways: dict[str, Way], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Acceptor, "accept", broken)

    def make() -> dict[str, Any]:
        environ = EnvironBuilder(path="/hooks/generic", method="POST", data=b"[]").get_environ()
        return {**environ, "RAW_URI": "/hooks/generic"}

    answers = [ask(make()) for ask in ways.values()]
    assert answers[0] is not None
    assert answers[0][0] == 500
    assert answers[1] == answers[0] == answers[2]
