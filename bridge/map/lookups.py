"""``enrich``: what is to be looked up for an event, and what the rules see of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bridge.map.address import Address
from bridge.map.events import account_of
from bridge.map.expression import Expression
from bridge.map.kinds import Expr, Fault, Named, Number, Part, SecretRef, Template, Text
from bridge.map.lint import Use
from bridge.map.text import ids_of
from bridge.map.verify_kind import SecretMissingError, TakeSecret
from bridge.model import Event, Found, Json, Lookup, Wanted


def _template_check(
    loaded: Mapping[str, Any], written: Mapping[str, Json]
) -> Iterable[tuple[str | None, Fault]]:
    del written
    for key, mark in (("body", "@ids"), ("input", "@id")):
        if loaded.get(key) is not None and not _holds(loaded[key], mark):
            yield (
                key,
                Fault(
                    "template-mark",
                    f'has no "{mark}", so the ids would go nowhere.',
                    'Write body: {inputs: "@ids"} and input: {id: "@id"}.',
                ),
            )


def _holds(template: Json, mark: str) -> bool:
    if isinstance(template, dict):
        return any(_holds(item, mark) for item in template.values())
    if isinstance(template, list):
        return any(_holds(item, mark) for item in template)
    return bool(template == mark)


LOOKUP = Part(
    {
        "url": Address(required=True, example="url: https://…"),
        "token": SecretRef(),
        "tokens": Named(SecretRef(), default={}),
        "when": Expr(Use.WHEN),
        "account": Expr(),
        "ids": Expr(required=True, example="ids: objectId"),
        "body": Template(required=True, example='body: {inputs: "@ids"}'),
        "input": Template(default="@id"),
        "results": Expr(required=True, example="results: results"),
        "result_id": Expr(required=True, example="result_id: id"),
        "result_value": Expr(required=True, example="result_value: properties"),
        "size": Number(1, 10_000, whole=True, default=100),
        "deleted": Named(Text(), default={}, example='deleted: {archived: "true"}'),
        "rate": Number(0.01, 10_000, default=9.0),
        "cache": Number(0, 86_400, default=5.0),
        "timeout": Number(0.1, 120, default=10.0),
    },
    _template_check,
)


@dataclass(frozen=True, slots=True)
class LookupPlan:
    """One look-up with its expressions, compiled."""

    lookup: Lookup
    when: Expression | None
    account: Expression | None
    ids: Expression

    def wanted(self, event: Event) -> Wanted | None:
        """What the event needs; None if nothing."""
        notes: list[str] = []
        if self.when is not None and not self.when.holds(event.view, notes):
            return None
        ids = ids_of(self.ids.get(event.view, notes))
        if not ids:
            return None
        return Wanted(self.lookup.name, account_of(self.account, event.view, notes), tuple(ids))


def build_lookup(
    name: str, given: Mapping[str, Any], take: TakeSecret
) -> tuple[LookupPlan, list[str]]:
    """The look-up of a file, and the settings without a value that it needs."""
    missing: list[str] = []
    token = None
    if given["token"]:
        try:
            token = take(given["token"])
        except SecretMissingError as lacking:
            missing.append(str(lacking))
    tokens = {}
    for account, names in given["tokens"].items():
        try:
            tokens[account] = take(names)
        except SecretMissingError as lacking:
            missing.append(str(lacking))
    lookup = Lookup(
        name,
        given["url"],
        token,
        tokens,
        body=given["body"],
        input=given["input"],
        results=given["results"].source,
        result_id=given["result_id"].source,
        result_value=given["result_value"].source,
        size=given["size"],
        deleted_query={key: str(text) for key, text in given["deleted"].items()},
        rate_per_s=given["rate"],
        cache_s=given["cache"],
        timeout_s=given["timeout"],
    )
    return LookupPlan(lookup, given["when"], given["account"], given["ids"]), missing


_NOTHING = Found()


def fill(view: dict[str, Json], names: Iterable[str], found: Mapping[str, Found]) -> None:
    """Puts what look-ups brought into a view, under their names."""
    for name in names:
        brought = found.get(name, _NOTHING)
        view[name] = brought.records[0] if brought.records else None
        view[f"{name}_all"] = list(brought.records)
        view[f"{name}_missing"] = list(brought.missing)
