"""``receive`` but for ``verify`` and the events: handshakes, lists, what to drop, the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from marshmallow import ValidationError

from bridge.map.kinds import (
    Definitions,
    Fault,
    Kind,
    Number,
    SecretRef,
    Text,
    about,
    faulty,
    kind_of,
)
from bridge.map.nearest import advice
from bridge.map.parts import Many, Part
from bridge.map.place_kind import ContentType, HeaderName, PlaceKind, Status
from bridge.map.secrets import SecretMissingError, TakeSecret
from bridge.map.signed_kind import Faults
from bridge.model import (
    Answer,
    ChallengeHandshake,
    Dropped,
    EmptyPostHandshake,
    GetHandshake,
    Handshake,
    HeaderHandshake,
    Json,
    QueryHandshake,
)


def _query_check(loaded: Mapping[str, Any], written: Mapping[str, Json]) -> Faults:
    del loaded
    if ("proof" in written) != ("token" in written):
        yield (
            None,
            Fault(
                "proof-and-token",
                "needs both proof and token, or neither.",
                'Write {name: hub.challenge, proof: hub.verify_token, token: "${NAME}"}.',
            ),
        )


_HANDSHAKES: Mapping[str, Part] = {
    "challenge": Part(
        {
            "field": Text(
                required=True,
                example="field: challenge",
                metadata=about("The field whose value is sent back."),
            ),
            "beside": Many(
                Text(),
                default=(),
                metadata=about(
                    "Other fields that such a request may have; a request with any other is none."
                ),
            ),
        },
        metadata=about(
            "A POST of a JSON object with this field is answered with the same as JSON."
        ),
    ),
    "header": Part(
        {
            "name": HeaderName(
                required=True,
                example="name: X-Hook-Secret",
                metadata=about("The header that is sent back."),
            )
        },
        metadata=about(
            "A request with this header is answered with the same header. One with a body "
            "is a delivery all the same."
        ),
    ),
    "query": Part(
        {
            "name": Text(
                required=True,
                example="name: validationToken",
                metadata=about("The query parameter whose value is the answer, as plain text."),
            ),
            "proof": Text(metadata=about("Another parameter, which must hold token.")),
            "token": SecretRef(metadata=about("The setting that holds what proof must be.")),
        },
        _query_check,
        metadata=about("A GET, or a POST without a body, with this parameter is answered with it."),
    ),
}
_WORDS: Mapping[str, Handshake] = {"get": GetHandshake(), "empty_post": EmptyPostHandshake()}
_ALL = (*_WORDS, *_HANDSHAKES)


class HandshakeKind(Kind):
    """One entry of ``handshakes``."""

    what = "a handshake"
    definition = "handshake"

    def read(self, value: Json) -> Any:
        """Its name and parameters."""
        if isinstance(value, str) and value in _WORDS:
            return value, {}
        if isinstance(value, str) and value not in _HANDSHAKES:
            raise faulty("unknown-handshake", f"`{value[:60]}` is none.", advice(value, _ALL))
        if not isinstance(value, dict) or len(value) != 1:
            raise faulty(
                "wrong-type",
                f"must be one handshake, not {kind_of(value)}.",
                "Write - get, - empty_post, - challenge: {field: challenge}, "
                "- header: {name: X-Hook-Secret} or - query: {name: validationToken}.",
            )
        name = next(iter(value))
        if name not in _HANDSHAKES:
            fault = Fault("unknown-handshake", "is no handshake with parameters.")
            hint = f"Write - {name}." if name in _WORDS else advice(name, _ALL)
            raise ValidationError({name: list[Any]([Fault(fault.code, fault.message, hint)])})
        try:
            return name, _HANDSHAKES[name].read(value[name])
        except ValidationError as error:
            raise ValidationError({name: error.messages}) from None

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        given = [
            {
                "type": "object",
                "properties": {name: part.below(definitions)},
                "required": [name],
                "additionalProperties": False,
            }
            for name, part in _HANDSHAKES.items()
        ]
        return {"anyOf": [{"enum": list(_WORDS)}, *given]}


class _AnswerBody(Kind):
    what = "text"

    def read(self, value: Json) -> Any:
        if not isinstance(value, str):
            raise self.wrong(value)
        return str(value)

    def json_schema(self, definitions: Definitions) -> dict[str, Json]:
        del definitions
        return {"type": "string"}


def _answer_check(loaded: Mapping[str, Any], written: Mapping[str, Json]) -> Faults:
    if loaded.get("status") in (204, 205) and loaded.get("body") != "":
        yield (
            "status",
            Fault("no-body", "takes no body with it.", 'Add body: "", or write status: 200.'),
        )
    if "content_type" in written and "body" not in written:
        yield (
            "content_type",
            Fault("unused-key", "says what a body is, and there is none.", "Add body: …"),
        )


def _drop_check(loaded: Mapping[str, Any], written: Mapping[str, Json]) -> Faults:
    del loaded
    if not written:
        yield None, Fault("empty-mapping", "drops nothing.", "Write drop: {body: [SessionId]}.")


def answer_part() -> Part:
    """The key ``answer``."""
    return Part(
        {
            "status": Number(
                200,
                299,
                whole=True,
                default=200,
                metadata=about("The status once the delivery is stored."),
            ),
            "body": _AnswerBody(
                metadata=about(
                    'The body, as it stands; "" for none. Left out: the receipt as JSON.'
                ),
                example='body: "<Response/>"',
            ),
            "content_type": ContentType(
                metadata=about("What the body is."),
                example="content_type: text/xml; charset=utf-8",
            ),
            "busy": Number(
                429,
                599,
                whole=True,
                default=503,
                metadata=about(
                    "The status when nothing can be stored; CRMs differ in what they repeat."
                ),
            ),
            "refused": Status(
                default=401,
                metadata=about(
                    "The status for a request that does not pass verification; never 410."
                ),
            ),
            "too_large": Status(
                default=413,
                metadata=about("The status if the body is over the limit; never 410."),
            ),
        },
        _answer_check,
        metadata=about("What the sender is told."),
    )


def handshakes_kind() -> Many:
    """The key ``handshakes``."""
    return Many(
        HandshakeKind(),
        default=(),
        example="handshakes: [get]",
        metadata=about(
            "What the CRM asks of the address before it sends anything; answered before "
            "authentication, and nothing is stored."
        ),
    )


def lists_kind() -> Many:
    """The key ``lists``."""
    return Many(
        PlaceKind(),
        default=(),
        example="lists: [Envelope.Body.notifications.Notification]",
        metadata=about(
            "Places in the body where there is always a list, also for a single element."
        ),
    )


def drop_part() -> Part:
    """The key ``drop``."""
    return Part(
        {
            "body": Many(PlaceKind(), default=(), metadata=about("Places in the decoded body.")),
            "headers": Many(HeaderName(), default=(), metadata=about("Names of headers.")),
            "query": Many(Text(), default=(), metadata=about("Names of query parameters.")),
        },
        _drop_check,
        example="drop: {body: [Envelope.Body.notifications.SessionId]}",
        metadata=about("What is neither stored nor logged, besides the credentials of verify."),
    )


def build_answer(given: Mapping[str, Any] | None) -> Answer:
    """The answer."""
    if given is None:
        return Answer()
    return Answer(
        given["status"],
        given["body"],
        str(given["content_type"] or "application/json"),
        given["busy"],
        given["refused"],
        given["too_large"],
    )


def build_drop(given: Mapping[str, Any] | None) -> Dropped:
    """What is not to be stored."""
    if given is None:
        return Dropped()
    headers = frozenset(str(name).lower() for name in given["headers"])
    return Dropped(given["body"], headers, frozenset(str(name) for name in given["query"]))


def build_handshakes(
    entries: Iterable[tuple[str, Mapping[str, Any]]], take: TakeSecret
) -> tuple[tuple[Handshake, ...], tuple[str, ...]]:
    """The handshakes that have their secrets, and the settings that have no value."""
    built: list[Handshake] = []
    missing: list[str] = []
    for name, given in entries:
        if name in _WORDS:
            built.append(_WORDS[name])
        elif name == "challenge":
            built.append(ChallengeHandshake(str(given["field"]), tuple(map(str, given["beside"]))))
        elif name == "header":
            built.append(HeaderHandshake(str(given["name"])))
        elif given["proof"] is None:
            built.append(QueryHandshake(str(given["name"])))
        else:
            try:
                token = take(given["token"])
            except SecretMissingError as lacking:
                missing.append(str(lacking))
            else:
                built.append(QueryHandshake(str(given["name"]), str(given["proof"]), token))
    return tuple(built), tuple(missing)
