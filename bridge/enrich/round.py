"""All calls that one account needs to settle a set of ids.

A round says what to call next and settles what the reply says; the calls themselves are made by
``Lookups``, for some look-ups several at once. HubSpot answers a merged-away id with the surviving
record, under the survivor's id, and does not promise a row for every id; the call is described at
https://developers.hubspot.com/docs/api-reference/latest/crm/objects/objects/batch/get-objects.
Hence the rules of this module:

- a row under an id that was asked for is that id's record;

and, where the look-up declares ``survivors``:

- one foreign row and one id without a row belong together; of several, each half is asked again
  until they stand alone;
- an id has no record only if a reply without any row says so: beside other rows, its survivor
  may be one that was asked for under its own id;
- then ``deleted_query`` is tried in the same way.

Elsewhere an id without a row in a complete reply is unknown, and a foreign row is a fault.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bridge.enrich import template
from bridge.enrich.account import Account
from bridge.enrich.client import NoReply, Reply, host
from bridge.enrich.credentials import Headers, headers_of
from bridge.enrich.oauth import Tokens
from bridge.enrich.reading import SETTING_S, Cause, Failed, Refused, Rows, Search, Unknown, read
from bridge.errors import LookupFailed
from bridge.model import Json, Lookup

EXTRA_CALLS = 50
"""Calls of one round for what the first replies left open, beside a few for every batch."""

MOST_PAGES = 20


LATELY = "A moment ago: "
"""In front of why a call was not made, where that is what became of the one before it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A record and the monotonic time, in seconds, from which on it is too old."""

    record: Json
    until: float


@dataclass(frozen=True, slots=True)
class Reach:
    """How a round reaches the world: access tokens, expressions, the time and waiting.

    ``now`` gives monotonic seconds. ``wait`` returns False when the process is stopping.
    """

    tokens: Tokens
    search: Search
    now: Callable[[], float]
    wait: Callable[[float], bool]


@dataclass(frozen=True, slots=True)
class Ask:
    """One call to make. ``control``: only to see whether such a request is taken at all.

    ``tried`` are the credentials that were refused for it, ``refused`` is an access token that
    was. ``page`` and ``rows`` are what the pages before this one said.
    """

    ids: tuple[str, ...]
    deleted: bool
    control: bool = False
    tried: tuple[int, ...] = ()
    refused: str | None = None
    page: str = ""
    pages: int = 1
    rows: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sending:
    """A call that may go out now. ``which`` of the live credentials it shows."""

    ask: Ask
    call: template.Call
    headers: Headers
    asked_at: float
    which: int
    access_token: str | None


class Round:
    """One account's ids on their way to ``found``, ``missing`` or ``failed``."""

    def __init__(
        self, lookup: Lookup, name: str, account: Account, ids: Iterable[str], reach: Reach
    ) -> None:
        self.lookup = lookup
        self.found: dict[str, Kept] = {}
        self.missing: set[str] = set()
        self.failed: dict[str, LookupFailed] = {}
        self._name = name
        self._account = account
        self._reach = reach
        self._size = 1 if lookup.single else min(max(lookup.size, 1), 100)
        self._flying = 0
        asked = list(ids)
        self.missing.update(one for one in asked if not template.sendable(lookup, one))
        first = account.batches([one for one in asked if one not in self.missing], self._size)
        self._pending = deque(Ask(batch, deleted=False) for batch in first)
        self._again: dict[bool, list[str]] = {False: [], True: []}
        self._refused: dict[bool, list[str]] = {False: [], True: []}
        self._unsure: dict[bool, dict[str, str]] = {False: {}, True: {}}
        self._taken: set[bool] = set()
        self._controlled: set[bool] = set()
        self._calls_left = EXTRA_CALLS + 4 * len(first)

    @property
    def ready(self) -> bool:
        """Whether a call could be begun; an account in doubt is asked one thing at a time."""
        most = self.lookup.at_once if self._account.healthy else 1
        return bool(self._pending) and self._flying < most

    @property
    def ready_at(self) -> float:
        """When the pace lets the next call out, in monotonic seconds."""
        return self._account.ready_at

    def begin(self) -> Sending | None:
        """The next call, after waiting for its turn; None if there is none to make after all."""
        ask = self._pending[0]
        rest = self._account.rests(self._reach.now())
        if rest > 0:
            self._give_up(f"{LATELY}{self._account.why}", rest)
            return None
        if self._calls_left <= 0:
            self._give_up("needs more calls for these ids than fit in one round", 1.0)
            return None
        made = self._made(ask)
        if isinstance(made, Failed):
            self._pending.popleft()
            self._fail(ask, made)
            self._go_on()
            return None
        asked_at = self._reach.now()
        if not self._account.pace(self._reach.now, self._reach.wait):
            self._give_up("was not asked, since the process is stopping", 1.0)
            return None
        self._calls_left -= 1
        self._pending.popleft()
        self._flying += 1
        return replace(made, asked_at=asked_at)

    def settle(self, sending: Sending, reply: Reply | NoReply) -> None:
        """Take in what a call brought."""
        self._flying -= 1
        ask = sending.ask
        answer = read(reply, self.lookup, self._reach.search, ask.ids)
        if isinstance(answer, Failed) and answer.cause is Cause.LOGIN:
            if (again := self._other_login(sending)) is not None:
                self._pending.appendleft(again)
                return
        else:
            self._account.live_token = sending.which
        match answer:
            case Rows():
                self._rows(sending, answer)
            case Unknown():
                self._not_known(ask, answer)
            case Refused():
                self._split(ask, answer)
            case Failed():
                self._fail(ask, _told(answer, sending.headers.names))
        self._go_on()

    def _go_on(self) -> None:
        if not self._pending and not self._flying:
            self._refill()

    # ------------------------------------------------------------------ one call

    def _made(self, ask: Ask) -> Sending | Failed:
        logins = headers_of(self.lookup, self._name)
        if logins is None:
            why = "was not asked: no token is set for this account; write token, or tokens for it"
            return Failed(f"{why}, in the mapping file", Cause.ACCOUNT, SETTING_S)
        which = _untried(ask, self._account.live_token, len(logins))
        headers = logins[which]
        token: str | None = None
        if (oauth := self.lookup.oauth) is not None:
            got = self._reach.tokens.get(oauth, ask.refused)
            if isinstance(got, Failed):
                return got
            token = got
            values = {**headers.values, "Authorization": f"{oauth.scheme} {token}"}
            held = oauth.refresh_token or oauth.client_secret
            headers = Headers(values, held.name if held is not None else headers.names)
        if not headers.sendable:
            why = f"was not asked: {headers.names} holds characters that no token has; set it anew"
            return Failed(why, Cause.ACCOUNT, SETTING_S)
        call = template.call(self.lookup, ask.ids, self._name, deleted=ask.deleted, page=ask.page)
        return Sending(ask, call, headers, 0.0, which, token)

    def _other_login(self, sending: Sending) -> Ask | None:
        """The same again with other credentials, where there are any that were not tried."""
        ask = sending.ask
        if sending.access_token is not None:
            if ask.refused is not None:
                return None
            return replace(ask, refused=sending.access_token)
        logins = headers_of(self.lookup, self._name) or []
        tried = (*ask.tried, sending.which)
        return replace(ask, tried=tried) if len(tried) < len(logins) else None

    # ------------------------------------------------------------------ what a reply settles

    def _rows(self, sending: Sending, answer: Rows) -> None:
        ask = sending.ask
        records = {**ask.rows, **answer.records}
        if answer.next_page and not ask.control:
            if ask.pages >= MOST_PAGES:
                why = f"has more than {MOST_PAGES} pages for one call; write a smaller size"
                self._fail(ask, Failed(why, Cause.UNCLEAR))
                return
            more = replace(ask, page=answer.next_page, pages=ask.pages + 1, rows=records)
            self._calls_left += 1
            self._pending.appendleft(replace(more, tried=(), refused=None))
            return
        self._take(ask, records, sending.asked_at + self.lookup.cache_s)

    def _take(self, ask: Ask, records: Mapping[str, Json], until: float) -> None:
        own = [one for one in ask.ids if one in records]
        self._account.succeeded(own)
        self._taken.add(ask.deleted)
        if ask.control:
            return
        for one in own:
            self.found[one] = Kept(records[one], until)
        left = [one for one in ask.ids if one not in records]
        foreign = [record for one, record in records.items() if one not in ask.ids]
        if not left:
            return
        if foreign and not self.lookup.survivors:
            why = "sent rows that nobody asked for; check query, body and result_id"
            self._fail(replace(ask, ids=tuple(left)), Failed(why, Cause.UNCLEAR))
        elif not records or not self.lookup.survivors:
            self._unknown(left, ask.deleted)
        elif not foreign:
            self._again[ask.deleted] += left
        elif len(left) == 1 and len(foreign) == 1:
            self.found[left[0]] = Kept(foreign[0], until)
        elif len(ask.ids) > 1:
            self._halve(left, ask.deleted)
        else:
            why = "answered one id with several rows of other ids"
            self._fail(ask, Failed(why, Cause.UNCLEAR))

    def _not_known(self, ask: Ask, answer: Unknown) -> None:
        if answer.sure:
            self._account.succeeded(())
            if not ask.control:
                self._unknown(ask.ids, ask.deleted)
        elif ask.control or (witness := self._account.witness(ask.ids)) is None:
            self._fail(ask, Failed(answer.why, Cause.UNCLEAR))
        else:
            self._unsure[ask.deleted] |= dict.fromkeys(ask.ids, answer.why)
            if not (self._taken or self._controlled):
                self._control(witness, deleted=False)

    def _unknown(self, ids: Sequence[str], deleted: bool) -> None:
        if self.lookup.deleted_query and not deleted:
            self._again[True] += ids
        else:
            self.missing.update(ids)

    def _split(self, ask: Ask, refusal: Refused) -> None:
        if ask.control:
            return
        if len(ask.ids) > 1:
            self._halve(ask.ids, ask.deleted)
        elif refusal.by_size:
            self._fail(ask, Failed(refusal.why, Cause.UNCLEAR))
        else:
            self._refused[ask.deleted] += ask.ids

    def _halve(self, ids: Sequence[str], deleted: bool) -> None:
        middle = (len(ids) + 1) // 2
        halves = [tuple(ids[:middle]), tuple(ids[middle:])]
        self._pending.extendleft(Ask(half, deleted) for half in reversed(halves) if half)

    def _refill(self) -> None:
        for deleted in (False, True):
            left, self._again[deleted] = self._again[deleted], []
            if left:
                for batch in self._account.batches(left, self._size):
                    self._pending.append(Ask(batch, deleted))
                return
        for deleted in (False, True):
            self._judge_refused(deleted)
            self._judge_unsure(deleted)
        if any(self._again.values()):
            self._refill()

    def _judge_unsure(self, deleted: bool) -> None:
        """What is said of an id that is unknown counts unless it is said of every id just now."""
        unsure, self._unsure[deleted] = self._unsure[deleted], {}
        if self._taken:
            self._unknown(list(unsure), deleted)
        elif unsure:
            why = next(iter(unsure.values()))
            self._fail(Ask(tuple(unsure), deleted), Failed(why, Cause.UNCLEAR))

    def _judge_refused(self, deleted: bool) -> None:
        """An id that alone gives 400 is unknown to the CRM, if the request as such is sound."""
        ids = self._refused[deleted]
        witness = self._account.witness(ids)
        if not ids:
            return
        if deleted in self._taken:
            self.missing.update(ids)
        elif witness is not None and deleted not in self._controlled:
            self._control(witness, deleted)
            return
        else:
            self._account.doubt(ids)
            what = "deleted" if deleted else "url, query, body, input and ids"
            why = f"answered 400 to every such request; check {what} in the mapping file"
            self._lose(ids, why, SETTING_S)
        self._refused[deleted] = []

    def _control(self, witness: str, deleted: bool) -> None:
        """Ask next for somebody who had a record, to see whether such a request is answered."""
        self._controlled.add(deleted)
        self._pending.appendleft(Ask((witness,), deleted, control=True))

    # ------------------------------------------------------------------ what fails

    def _fail(self, ask: Ask, failure: Failed) -> None:
        ids = () if ask.control else ask.ids
        self._lose(ids, failure.why, self._account.failed(failure, ids, self._reach.now()))
        if ask.control and not self._pending:
            self._give_up(failure.why, self._account.rests(self._reach.now()))

    def _give_up(self, why: str, retry_after_s: float) -> None:
        for ask in self._pending:
            self._lose(() if ask.control else ask.ids, why, retry_after_s)
        self._pending.clear()
        for waiting in (*self._again.values(), *self._refused.values()):
            self._lose(waiting, why, retry_after_s)
            waiting.clear()
        for unsure in self._unsure.values():
            self._lose(unsure, why, retry_after_s)
            unsure.clear()

    def _lose(self, ids: Iterable[str], why: str, retry_after_s: float) -> None:
        text = f"look-up {self.lookup.name}: {host(self.lookup.url)} {why}."
        ids = list(ids)
        self._account.fell_behind(ids)
        for one in ids:
            self.failed[one] = LookupFailed(text, retry_after_s=retry_after_s)


def _untried(ask: Ask, live: int, most: int) -> int:
    """Which of the credentials to show: that which was accepted last, unless it was refused here.

    Another call may have changed which one that is since this one was refused.
    """
    turns = ((live + turn) % most for turn in range(most))
    return next((one for one in turns if one not in ask.tried), live % most)


def _told(failure: Failed, names: str) -> Failed:
    """A failure in which the setting is named that somebody has to look at."""
    if failure.cause is Cause.LOGIN:
        why = f"does not accept the token in {names} (401); put a live one there"
    elif failure.cause is Cause.SCOPE:
        why = f"does not let the token in {names} read this (403); grant it the scope"
    else:
        return failure
    return replace(failure, why=why)
