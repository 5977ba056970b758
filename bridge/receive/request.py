"""What a request to a hook is made of, whichever way it came in."""

from __future__ import annotations

from bridge.model import Request

PREFIX = "/hooks/"
"""How the path of every hook begins."""


def place_of(path: str) -> tuple[str, str | None] | None:
    """Source and token of a hook's path; None where it is not plainly one."""
    if not path.startswith(PREFIX) or not path.isascii():
        return None
    source, slash, token = path[len(PREFIX) :].partition("/")
    if not source or (slash and (not token or "/" in token)):
        return None
    return source, token if slash else None


def request_of(
    method: str,
    target: str,
    headers: dict[str, tuple[str, ...]],
    body: bytes,
    *,
    source: str,
    token: str | None,
    public_url: str | None,
    address: str,
    received_at: int,
) -> Request:
    """A request from its parts. ``target``: path and query as the sender wrote them."""
    path, _, query = target.partition("?")
    return Request(
        source=source,
        token=token,
        method=method,
        url=None if public_url is None else public_url.rstrip("/") + target,
        path=path,
        query=query,
        headers=headers,
        body=body,
        address=address,
        received_at=received_at,
    )


def address_behind(direct: str, forwarded: str, hops: int) -> str:
    """Who sent a request: as the outermost of our own ``hops`` proxies saw it.

    ``direct``: the connection's own address; ``forwarded``: the header X-Forwarded-For.
    """
    if hops:
        chain = [part.strip() for part in forwarded.split(",")]
        if len(chain) >= hops and chain[-hops]:
            return chain[-hops][:64]
    return direct[:64]
