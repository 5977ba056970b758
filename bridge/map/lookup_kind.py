"""``enrich``: how a look-up is written."""

from __future__ import annotations

from bridge.map.expression_kind import Expr
from bridge.map.kinds import Constant, Flag, Number, SecretRef, Template, Text, Word, about
from bridge.map.lint import Use
from bridge.map.login_kind import BASIC, OAUTH, LookupAddress, WordingKind
from bridge.map.lookup_check import check_lookup
from bridge.map.parts import Many, Named, Part

_PAGES = Part(
    {
        "next": Expr(
            required=True,
            example="next: meta.next_cursor",
            metadata=about(
                "Expression over the reply: what names the next page; null on the last.",
                "info.next_page_token",
            ),
        ),
        "query": Text(
            required=True,
            example="query: cursor",
            metadata=about("The query parameter that carries it.", "page_token"),
        ),
    }
)


LOOKUP = Part(
    {
        "url": LookupAddress(
            required=True,
            example="url: https://…",
            metadata=about(
                "The address; {id}, {ids} and {account} stand for what the event names.",
                "${CRM_URL:-https://api.example.com}/contacts/{id}",
            ),
        ),
        "method": Word(
            ("GET", "POST"), default="", metadata=about("GET, or POST where there is a body.")
        ),
        "query": Named(
            Constant(),
            default={},
            metadata=about(
                "Query parameters, with the same marks as url.", {"fields": "allFields"}
            ),
        ),
        "headers": Named(
            WordingKind(),
            default={},
            metadata=about(
                "Further headers; a credential is a setting, a word in front of it is allowed.",
                {"X-Api-Key": "${ESPOCRM_API_KEY}"},
            ),
        ),
        "token": SecretRef(metadata=about("Bearer token.", "${ATTIO_TOKEN}")),
        "tokens": Named(
            SecretRef(),
            default={},
            metadata=about("Bearer tokens by account.", {"48975575": "${HUBSPOT_TOKEN_48975575}"}),
        ),
        "basic": BASIC,
        "oauth": OAUTH,
        "when": Expr(Use.WHEN, metadata=about("Only for events for which this holds.", "!phone")),
        "optional": Number(
            0,
            604_800,
            metadata=about(
                "Seconds after which an event goes on without the record where the CRM keeps "
                "failing; an opt-out waits all the same.",
                60,
            ),
        ),
        "account": Expr(metadata=about("Whose token, whose pace, whose cache.", "portalId")),
        "ids": Expr(
            required=True,
            example="ids: objectId",
            metadata=about("One id or a list of ids.", "objectId"),
        ),
        "body": Template(
            example='body: {inputs: "@ids"}',
            metadata=about(
                'JSON of the request; "@ids" is the list of inputs, "@id" the id, "@account" it.',
                {"inputs": "@ids"},
            ),
        ),
        "input": Template(
            default="@id", metadata=about("What stands in @ids for each id.", {"id": "@id"})
        ),
        "result": Expr(
            example="result: data",
            metadata=about(
                "The record in the reply to a call for one id. Left out: the whole reply.", "data"
            ),
        ),
        "results": Expr(
            example="results: results", metadata=about("The list of rows in the reply.", "people")
        ),
        "result_id": Expr(example="result_id: id", metadata=about("The id in a row.", "id")),
        "result_value": Expr(
            example="result_value: properties",
            metadata=about("What the rules see of a row. Left out: the row.", "properties"),
        ),
        "error": Expr(
            metadata=about(
                "Holds for a reply that reports an error although its status is 200.", "errors"
            )
        ),
        "pages": Part({**_PAGES.keys}, metadata=about("Further pages of a reply.")),
        "size": Number(
            1, 10_000, whole=True, default=100, metadata=about("Ids per call, at most.")
        ),
        "not_found": Many(
            Number(200, 499, whole=True),
            least=0,
            metadata=about("Statuses that mean the CRM knows none of the ids.", [404, 410]),
        ),
        "deleted": Named(
            Text(),
            default={},
            example='deleted: {archived: "true"}',
            metadata=about(
                "Query parameters of a second try for ids that were not found.",
                {"archived": "true"},
            ),
        ),
        "merged": Flag(
            default=False,
            metadata=about("true: a merged-away id is answered with the survivor's row."),
        ),
        "at_once": Number(
            1,
            8,
            whole=True,
            metadata=about(
                "Calls under way at a time. Left out: 4 where each id takes a call, else 1."
            ),
        ),
        "rate": Number(0.01, 10_000, default=9.0, metadata=about("Calls per second and account.")),
        "cache": Number(
            0, 86_400, default=5.0, metadata=about("Seconds for which a record may be used again.")
        ),
        "timeout": Number(0.1, 120, default=10.0, metadata=about("Seconds that a call may take.")),
    },
    check_lookup,
)
"""The keys of a look-up."""
