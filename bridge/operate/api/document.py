"""The OpenAPI 3.1 document, made from the declared endpoints and their schemas."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from bridge import __version__
from bridge.operate.api.endpoint import PROBLEM, Endpoint
from bridge.operate.api.problem_shape import Problem

ALWAYS = {
    400: "A parameter is not as the API has it.",
    401: "The token is wrong or missing.",
    429: "Too many wrong tokens came from this address; Retry-After says how long to wait.",
    503: "The database is busy or the work took too long; the same request may work later.",
}
WITH_BODY = {413: "The body is too large.", 415: "The body is not application/json."}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The document as JSON types."""
    spec = APISpec(
        title="crm-bridge",
        version=__version__,
        openapi_version="3.1.0",
        info={
            "description": "What the operator's console shows, for scripts. Authorization: Bearer "
            "and the value of BRIDGE_CONSOLE_TOKEN. Times are in UTC. Lists are paged by cursor: "
            "give `cursor` of one page to get the next."
        },
        plugins=[MarshmallowPlugin(schema_name_resolver=_name)],
        security=[{"token": []}],
    )
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    for endpoint in endpoints:
        spec.path(
            path=f"/api{endpoint.path}", operations={endpoint.method.lower(): _operation(endpoint)}
        )
    return spec.to_dict()


def _name(schema: type[Schema] | Schema | str) -> str:
    if isinstance(schema, str):
        return schema
    return schema.__name__ if isinstance(schema, type) else type(schema).__name__


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    refusals = {**ALWAYS, **(WITH_BODY if endpoint.body_schema else {}), **endpoint.refusals}
    parameters = [
        {"in": place, "schema": schema}
        for place, schema in (("path", endpoint.path_schema), ("query", endpoint.query_schema))
        if schema is not None
    ]
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "What was asked for.",
                "content": _content(endpoint),
            },
            **{
                str(status): {
                    "description": said,
                    "content": {PROBLEM: {"schema": Problem}},
                }
                for status, said in sorted(refusals.items())
            },
        },
    }
    if endpoint.body_schema is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": endpoint.body_schema}},
        }
    return operation


def _content(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.answer is None:
        return {kind: {"schema": {"type": "string"}} for kind in endpoint.files}
    return {"application/json": {"schema": endpoint.answer}}
