"""All calls that one account needs to settle a set of ids, one call at a step.

HubSpot answers a merged-away id with the surviving record, under the survivor's id, and does not
promise a row for every id; the call is described at
https://developers.hubspot.com/docs/api-reference/latest/crm/objects/objects/batch/get-objects.
Hence the rules of this module:

- a row under an id that was asked for is that id's record;
- one foreign row and one id without a row belong together; of several, each half is asked again
  until they stand alone;
- an id has no record only if a reply without any row says so: beside other rows, its survivor
  may be one that was asked for under its own id;
- then ``deleted_query`` is tried in the same way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bridge.enrich import template
from bridge.enrich.account import Account
from bridge.enrich.cache import Kept
from bridge.enrich.client import Client, host
from bridge.enrich.reading import SETTING_S, Cause, Failed, Refused, Rows, Search, read
from bridge.errors import LookupFailed
from bridge.model import Json, Lookup, Secret

EXTRA_CALLS = 50
"""Calls of one round for what the first replies left open, beside a few for every batch."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How a round reaches the world: connections, expressions, the time and waiting.

    ``now`` gives monotonic seconds. ``wait`` returns False when the process is stopping.
    """

    client: Client
    search: Search
    now: Callable[[], float]
    wait: Callable[[float], bool]


@dataclass(frozen=True, slots=True)
class Ask:
    """One call to make. ``control``: only to see whether such a request is taken at all."""

    ids: tuple[str, ...]
    deleted: bool
    control: bool = False


class Round:
    """One account's ids on their way to ``found``, ``missing`` or ``failed``."""

    def __init__(
        self,
        lookup: Lookup,
        secret: Secret | None,
        account: Account,
        ids: Iterable[str],
        reach: Reach,
    ) -> None:
        self.found: dict[str, Kept] = {}
        self.missing: set[str] = set()
        self.failed: dict[str, LookupFailed] = {}
        self._lookup = lookup
        self._secret = secret
        self._account = account
        self._reach = reach
        self._size = min(max(lookup.size, 1), 100)
        first = account.batches(ids, self._size)
        self._pending = deque(Ask(batch, deleted=False) for batch in first)
        self._again: dict[bool, list[str]] = {False: [], True: []}
        self._refused: dict[bool, list[str]] = {False: [], True: []}
        self._taken: set[bool] = set()
        self._controlled: set[bool] = set()
        self._calls_left = EXTRA_CALLS + 4 * len(first)

    @property
    def finished(self) -> bool:
        """Whether every id is settled."""
        return not self._pending

    @property
    def ready_at(self) -> float:
        """When the pace lets the next call out, in monotonic seconds."""
        return self._account.ready_at

    def step(self) -> None:
        """Make the next call, waiting for its turn, and settle what it can settle."""
        ask = self._pending[0]
        rest = self._account.rests(self._reach.now())
        if rest > 0:
            self._give_up(f"A moment ago: {self._account.why}", rest)
            return
        if self._calls_left <= 0:
            self._give_up("needs more calls for these ids than fit in one round", 1.0)
            return
        asked_at = self._reach.now()
        answer = self._call(ask)
        if answer is None:
            self._give_up("was not asked, since the process is stopping", 1.0)
            return
        self._pending.popleft()
        match answer:
            case Rows():
                self._take(ask, answer.records, asked_at + self._lookup.cache_s)
            case Refused():
                self._split(ask, answer)
            case Failed():
                self._fail(ask, answer)
        if not self._pending:
            self._refill()

    # ------------------------------------------------------------------ one call

    def _call(self, ask: Ask) -> Rows | Refused | Failed | None:
        if self._secret is None or not self._secret.values:
            why = "was not asked: no token is set for this account; write token, or tokens for it"
            return Failed(f"{why}, in the mapping file", Cause.ACCOUNT, SETTING_S)
        values, name = self._secret.values, self._secret.name
        body = template.body(self._lookup, ask.ids)
        query = self._lookup.deleted_query if ask.deleted else {}
        first = self._account.live_token % len(values)
        answer: Rows | Refused | Failed | None = None
        for turn in range(min(2, len(values))):
            which = (first + turn) % len(values)
            if not (values[which].isascii() and values[which].isprintable()):
                why = f"was not asked: {name} holds characters that no token has; set it anew"
                return Failed(why, Cause.ACCOUNT, SETTING_S)
            if not self._account.pace(self._reach.now, self._reach.wait):
                return None
            self._calls_left -= 1
            reply = self._reach.client.post(
                self._lookup.url, query, values[which], body, self._lookup.timeout_s
            )
            answer = read(reply, self._lookup, self._reach.search)
            if not (isinstance(answer, Failed) and answer.cause is Cause.LOGIN):
                self._account.live_token = which
                break
        if isinstance(answer, Failed) and answer.cause is Cause.LOGIN:
            why = f"does not accept the token in {name} (401); put a live one there"
            return Failed(why, answer.cause, answer.retry_after_s)
        if isinstance(answer, Failed) and answer.cause is Cause.SCOPE:
            why = f"does not let the token in {name} read this (403); grant it the scope"
            return Failed(why, answer.cause, answer.retry_after_s)
        return answer

    # ------------------------------------------------------------------ what a reply settles

    def _take(self, ask: Ask, records: dict[str, Json], until: float) -> None:
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
        if not records:
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

    def _unknown(self, ids: Sequence[str], deleted: bool) -> None:
        if self._lookup.deleted_query and not deleted:
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

    def _judge_refused(self, deleted: bool) -> None:
        """An id that alone gives 400 is unknown to the CRM, if the request as such is sound."""
        ids = self._refused[deleted]
        witness = self._account.witness
        if not ids:
            return
        if deleted in self._taken:
            self.missing.update(ids)
        elif witness is not None and deleted not in self._controlled:
            self._controlled.add(deleted)
            self._pending.append(Ask((witness,), deleted, control=True))
            return
        else:
            self._account.doubt(ids)
            what = "deleted" if deleted else "body, input and ids"
            why = f"answered 400 to every such request; check {what} in the mapping file"
            self._lose(ids, why, SETTING_S)
        self._refused[deleted] = []

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

    def _lose(self, ids: Iterable[str], why: str, retry_after_s: float) -> None:
        text = f"look-up {self._lookup.name}: {host(self._lookup.url)} {why}."
        for one in ids:
            self.failed[one] = LookupFailed(text, retry_after_s=retry_after_s)
