"""An endpoint, declared once: its route, its check of whatever comes in, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request
from marshmallow import Schema, ValidationError

from bridge import jsontext
from bridge.operate.desk import Desk

PROBLEM = "application/problem+json"
LARGEST_BODY = 1_000_000
"""Bytes of a JSON body, at most."""


class ProblemError(Exception):
    """An answer other than 200, as RFC 9457 has it; ``errors`` by parameter."""

    def __init__(self, status: int, detail: str, errors: Mapping[str, Any] | None = None) -> None:
        self.status = status
        self.detail = detail
        self.errors = dict(errors or {})
        super().__init__(detail)


@dataclass(frozen=True, slots=True)
class Given:
    """What came in, checked: path and query parameters, the body, and who asks."""

    path: Mapping[str, Any]
    query: Mapping[str, Any]
    body: Mapping[str, Any]
    who: str


View = Callable[[Desk, Given], Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``path`` begins below ``/api`` and names its parameters as ``{name}``.

    ``answer`` None: the view gives a response, a file of one of the media types ``files``.
    """

    method: str
    path: str
    name: str
    summary: str
    answer: type[Schema] | None
    view: View
    path_schema: type[Schema] | None = None
    query_schema: type[Schema] | None = None
    body_schema: type[Schema] | None = None
    refusals: Mapping[int, str] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def add(blueprint: Blueprint, endpoint: Endpoint, desk: Desk) -> None:
    """Route an endpoint."""
    answer = None if endpoint.answer is None else endpoint.answer()

    def serve(**path: str) -> Response:
        given = Given(
            _load(endpoint.path_schema, path, "path"),
            _load(endpoint.query_schema, _query(), "query"),
            _load(endpoint.body_schema, _body(), "body") if endpoint.body_schema else {},
            _who(desk),
        )
        found = endpoint.view(desk, given)
        if answer is None:
            file: Response = found
            return file
        return reply(200, answer.dump(found), "application/json")

    rule = endpoint.path.replace("{", "<").replace("}", ">")
    blueprint.add_url_rule(
        rule,
        endpoint=endpoint.name,
        view_func=serve,
        methods=[endpoint.method],
        provide_automatic_options=False,
    )


def reply(status: int, document: Any, content_type: str) -> Response:
    """A JSON answer."""
    return Response(jsontext.dump_bytes(document), status, content_type=content_type)


def problem(error: ProblemError, headers: Mapping[str, str] | None = None) -> Response:
    """An error as ``application/problem+json``."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(error.status).phrase,
        "status": error.status,
        "detail": error.detail,
    }
    if error.errors:
        document["errors"] = error.errors
    response = reply(error.status, document, PROBLEM)
    response.headers.update(headers or {})
    return response


def _load(schema: type[Schema] | None, values: Mapping[str, Any], where: str) -> dict[str, Any]:
    try:
        loaded: dict[str, Any] = (schema or Schema)().load(values)
    except ValidationError as error:
        names = _named(error.messages)
        detail = f"The {where} is not as the API has it: see errors."
        raise ProblemError(400, detail, {where: names}) from None
    return loaded


def _named(said: Any) -> Any:
    """Messages by the names of what they are about; places in a list are names as well."""
    if isinstance(said, dict):
        return {str(name): _named(more) for name, more in said.items()}
    return said


def _query() -> dict[str, str]:
    repeated = sorted(name for name, values in request.args.lists() if len(values) > 1)
    if repeated:
        said = {name: ["May be given once."] for name in repeated}
        raise ProblemError(400, "A parameter came more than once.", {"query": said})
    return request.args.to_dict()


def _body() -> Any:
    if request.mimetype != "application/json":
        raise ProblemError(415, "Send the body as application/json.")
    if request.content_length is None or request.content_length > LARGEST_BODY:
        raise ProblemError(413, f"The body may have at most {LARGEST_BODY} bytes.")
    try:
        found = jsontext.loads(request.get_data())
    except (ValueError, RecursionError):
        raise ProblemError(400, "The body is not JSON.") from None
    if not isinstance(found, dict):
        raise ProblemError(400, "The body has to be a JSON object.")
    return found


def _who(desk: Desk) -> str:
    """Whom an audit line names: what a script calls itself by X-Operator, and its address."""
    name = "".join(c for c in request.headers.get("X-Operator", "") if c.isprintable())
    return f"{name.strip()[:60] or 'script'} (API, {desk.address_of(request.environ)})"
