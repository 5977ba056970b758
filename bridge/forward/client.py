"""The campaign API's client: one call of the bulk endpoint, and what its answer means.

``PATCH {base}/api/v2/voice-campaigns/{campaign_id}/leads/update/bulk``, documented at
https://docs.voiceaiwrapper.app/api-reference/leads-v2/bulk-update-in-voice-campaign. Campaign ids
are opaque and percent-encoded. Redirects are not followed, since the token must not travel.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from urllib.parse import quote

import httpx

from bridge.clock import now_ms
from bridge.deadline import Deadline, Sockets, TooLateError
from bridge.forward.reply import read_reply
from bridge.jsontext import dump_bytes
from bridge.model import Answered, Campaign, Result, Sent, Trouble, Verdict
from bridge.retry_after import retry_after_s
from bridge.unpacked import ASKED, NotUnpackedError, PackedTooLargeError, unpacked

REPLY_BYTES = 8_000_000
"""The longest reply that is read, as it comes and unpacked."""

LONGEST_WAIT_S = 86_400.0
"""However long the API asks to be left alone, a day is the most that is heard."""

NOT_STARTED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""Faults after which the API cannot have seen the request."""


def trusted() -> SSLContext:
    """The certificates that a campaign API is trusted for, those of httpx.

    For all threads of a process: to read them takes 20 to 50 ms of computing, and whoever does
    keeps them.
    """
    return httpx.create_ssl_context(trust_env=False)


class CampaignClient:
    """Calls the bulk endpoint. One instance serves one thread. ``trust``: see ``trusted``."""

    def __init__(self, trust: SSLContext) -> None:
        self._http = httpx.Client(
            verify=trust,
            follow_redirects=False,
            trust_env=False,
            # A call depends on none before it: neither on the session of another token, nor on
            # cookies that add up until a proxy refuses the call for them, as if for its leads.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            # A connection serves one call: whatever a server or proxy sends behind a reply would
            # be read as the reply to the next call, and confirm what was never done.
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=0),
            headers={
                "User-Agent": "crm-bridge",
                "Accept": "application/json",
                "Accept-Encoding": ASKED,
            },
        )
        self._sockets = Sockets()
        self._token_in_use: dict[str, int] = {}

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def update_leads(
        self,
        campaign: Campaign,
        batch: Sequence[Sent],
        heard: Callable[[Answered], None] = lambda _: None,
    ) -> Answered:
        """Send one batch (not empty), in one call, and say what became of each lead in it.

        While a token is being rotated it may take two calls; ``heard`` hears of each.
        """
        if campaign.token is None:  # pragma: no cover - such a campaign has no senders
            return _failed(batch, Trouble.REFUSED, "the campaign has no token")
        body = dump_bytes([dict(sent.payload) for sent in batch])
        tokens = campaign.token.values
        first = self._token_in_use.get(campaign.name, 0)
        answer = _failed(batch, Trouble.REFUSED, "no token")
        for turn in range(len(tokens)):
            index = (first + turn) % len(tokens)
            answer = self._call(campaign, batch, body, tokens[index])
            heard(answer)
            if answer.status != 401:
                self._token_in_use[campaign.name] = index
                break
        return answer

    def _call(self, campaign: Campaign, batch: Sequence[Sent], body: bytes, token: str) -> Answered:
        url = (
            f"{campaign.url.rstrip('/')}/api/v2/voice-campaigns/"
            f"{quote(campaign.id, safe='')}/leads/update/bulk"
        )
        started = time.monotonic()
        try:
            with (
                Deadline(campaign.timeout_s, self._sockets, or_never=True) as deadline,
                self._http.stream(
                    "PATCH",
                    url,
                    content=body,
                    headers={
                        "Authorization": f"Bearer {token}",
                        "Content-Type": "application/json",
                    },
                    timeout=campaign.timeout_s,
                    extensions={"trace": deadline.trace},
                ) as response,
            ):
                reply = _read(response)
        except NOT_STARTED as error:
            return _failed(
                batch,
                Trouble.TRANSPORT,
                f"no connection to the API ({type(error).__name__})",
                elapsed_ms=_since(started),
            )
        except TooLateError:
            # it may also be past the lease, and another worker may have sent something newer
            return _failed(
                batch,
                Trouble.TRANSPORT,
                "the time of the call was over before it was sent",
                elapsed_ms=_since(started),
            )
        except (UnicodeEncodeError, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            return _failed(
                batch,
                Trouble.REFUSED,
                f"the call cannot be made: token or address hold characters that do not belong "
                f"there ({type(error).__name__})",
                elapsed_ms=_since(started),
            )
        except Exception as error:  # noqa: BLE001 - whatever a hostile reply makes a library raise
            return _broken_off(batch, type(error).__name__, started)
        if deadline.passed:
            return _broken_off(batch, "ReadTimeout", started)
        return _judge(campaign, batch, response, reply, _since(started))


def _read(response: httpx.Response) -> bytes:
    """The reply, unpacked. Errors: httpx.ReadError, and those of ``unpacked``."""
    raw = bytearray()
    for chunk in response.iter_raw():
        raw += chunk
        if len(raw) > REPLY_BYTES:
            raise httpx.ReadError("the reply is too long")
    try:
        return unpacked(bytes(raw), response.headers.get("Content-Encoding", ""), REPLY_BYTES)
    except (PackedTooLargeError, NotUnpackedError):
        if response.is_success:
            raise
        return b""  # the status says what counts, and the rest is only shown


def _broken_off(batch: Sequence[Sent], kind: str, started: float) -> Answered:
    """The call began and did not end: the API may have done it, or not."""
    return _failed(
        batch,
        Trouble.TRANSPORT,
        f"the call broke off ({kind})",
        verdict=Verdict.UNKNOWN,
        elapsed_ms=_since(started),
    )


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _judge(
    campaign: Campaign,
    batch: Sequence[Sent],
    response: httpx.Response,
    reply: bytes,
    elapsed_ms: int,
) -> Answered:
    """What a complete answer means for the leads of the batch."""
    status = response.status_code
    if 200 <= status < 300:
        phones = [str(sent.payload["phone_number"]) for sent in batch]
        results = read_reply(phones, reply, order=campaign.reply_order)
        return Answered(results, status, elapsed_ms=elapsed_ms)
    detail = f"HTTP {status}{_excerpt(reply)}"
    wait = retry_after_s(response.headers.get("Retry-After"), now_ms(), most_s=LONGEST_WAIT_S)
    if status in (400, 413, 422):
        result = Result(Verdict.REJECTED, detail)
        return Answered(tuple(result for _ in batch), status, detail=detail, elapsed_ms=elapsed_ms)
    if status in (425, 429):
        trouble, verdict = Trouble.BUSY, Verdict.NOT_SENT
    elif status in (408, 409, 423) or status >= 500:
        trouble, verdict = Trouble.SERVER, Verdict.UNKNOWN
    else:
        trouble, verdict = Trouble.REFUSED, Verdict.NOT_SENT
    return _failed(
        batch,
        trouble,
        detail,
        verdict=verdict,
        status=status,
        retry_after_s=wait,
        elapsed_ms=elapsed_ms,
    )


def _failed(
    batch: Sequence[Sent],
    trouble: Trouble,
    detail: str,
    *,
    verdict: Verdict = Verdict.NOT_SENT,
    status: int | None = None,
    retry_after_s: float | None = None,
    elapsed_ms: int = 0,
) -> Answered:
    return Answered(
        tuple(Result(verdict, detail) for _ in batch),
        status,
        trouble,
        detail,
        retry_after_s,
        elapsed_ms,
    )


def _excerpt(reply: bytes) -> str:
    text = " ".join(reply[:400].decode("utf-8", "replace").split())
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return f": {printable[:200]}" if printable else ""
