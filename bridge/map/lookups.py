"""``enrich``: what is to be looked up for an event, and what the rules see of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bridge.map.address import names_the_host
from bridge.map.events import account_of
from bridge.map.expression import Expression
from bridge.map.login_kind import Wording
from bridge.map.lookup_check import is_single, names_account
from bridge.map.secrets import SecretMissingError, TakeSecret
from bridge.map.text import as_text, ids_of
from bridge.model import Basic, Event, Found, Json, Lookup, OAuth, Phrase, Secret, Wanted

NOT_FOUND = (404, 410)
"""What means "no such record" in the reply to a call for one."""

AT_ONCE = 4
"""Calls under way at a time where each id takes a call."""


@dataclass(frozen=True, slots=True)
class LookupPlan:
    """One look-up with its expressions, compiled.

    ``optional_s``: after so many seconds an event goes on without it; None: it never does.
    """

    lookup: Lookup
    when: Expression | None
    account: Expression | None
    ids: Expression
    needs_account: bool = False
    optional_s: float | None = None

    def wanted(self, event: Event) -> Wanted | None:
        """What the event needs; None if nothing."""
        notes: list[str] = []
        if self.when is not None and not self.when.holds(event.view, notes):
            return None
        ids = ids_of(self.ids.get(event.view, notes))
        if not ids:
            return None
        account = account_of(self.account, event.view, notes)
        if self.needs_account and account in ("", ".", ".."):
            return None
        return Wanted(self.lookup.name, account, tuple(ids))


def build_lookup(
    name: str, given: Mapping[str, Any], written: Mapping[str, Json], take: TakeSecret
) -> tuple[LookupPlan, list[str]]:
    """The look-up of a file, and the settings without a value that it needs."""
    taken = _Taken(take)
    single = is_single(written)
    usual_method: Literal["GET", "POST"] = "POST" if given["body"] is not None else "GET"
    results, result_id, pages = given["results"], given["result_id"], given["pages"]
    not_found = given["not_found"]
    if not_found is None:
        not_found = NOT_FOUND if single else ()
    lookup = Lookup(
        name,
        str(given["url"]),
        taken.secret(given["token"]),
        {
            account: secret
            for account, names in given["tokens"].items()
            if (secret := taken.secret(names)) is not None
        },
        body=given["body"],
        input=given["input"],
        results=results.source if results is not None else None,
        result_id=result_id.source if result_id is not None else None,
        result_value=given["result_value"].source if given["result_value"] is not None else "@",
        size=given["size"],
        deleted_query={key: str(text) for key, text in given["deleted"].items()},
        rate_per_s=given["rate"],
        cache_s=given["cache"],
        timeout_s=given["timeout"],
        method=given["method"] or usual_method,
        query={key: as_text(value) or "" for key, value in given["query"].items()},
        headers={key: taken.phrase(wording) for key, wording in given["headers"].items()},
        basic=taken.basic(given["basic"]),
        oauth=taken.oauth(given["oauth"], written.get("oauth")),
        single=single,
        result=given["result"].source if given["result"] is not None else None,
        error=given["error"].source if given["error"] is not None else None,
        next_page=pages["next"].source if pages else None,
        page_query=str(pages["query"]) if pages else "",
        not_found=tuple(not_found),
        survivors=given["merged"],
        at_once=given["at_once"] or (AT_ONCE if single else 1),
        internal=names_the_host(written.get("url")),
    )
    plan = LookupPlan(
        lookup,
        given["when"],
        given["account"],
        given["ids"],
        names_account(written),
        given["optional"],
    )
    return plan, taken.missing


class _Taken:
    """Takes the secrets of a look-up, and notes those that have no value."""

    def __init__(self, take: TakeSecret) -> None:
        self.missing: list[str] = []
        self._take = take

    def secret(self, names: tuple[str, ...] | None) -> Secret | None:
        if not names:
            return None
        try:
            return self._take(names)
        except SecretMissingError as lacking:
            self.missing.append(str(lacking))
            return None

    def phrase(self, wording: Wording) -> Phrase:
        if wording.setting is None:
            return Phrase(wording.text)
        try:
            return Phrase(wording.text, self._take((wording.setting,)))
        except SecretMissingError as lacking:
            if wording.default is None:
                self.missing.append(str(lacking))
            return Phrase(wording.text + (wording.default or ""))

    def basic(self, given: Mapping[str, Any] | None) -> Basic | None:
        if given is None:
            return None
        return Basic(self.phrase(given["user"]), self.secret(given["password"]))

    def oauth(self, given: Mapping[str, Any] | None, written: Json) -> OAuth | None:
        if given is None:
            return None
        return OAuth(
            str(given["url"]),
            str(given["client_id"]),
            self.secret(given["client_secret"]),
            self.secret(given["refresh_token"]),
            tuple((key, as_text(value) or "") for key, value in given["fields"].items()),
            given["client"],
            str(given["scheme"]),
            given["rotates"],
            names_the_host(written["url"]),
        )


_NOTHING = Found()


def fill(view: dict[str, Json], names: Iterable[str], found: Mapping[str, Found]) -> None:
    """Puts what look-ups brought into a view, under their names."""
    for name in names:
        brought = found.get(name, _NOTHING)
        view[name] = brought.records[0] if brought.records else None
        view[f"{name}_all"] = list(brought.records)
        view[f"{name}_missing"] = list(brought.missing)
