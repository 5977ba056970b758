"""What a sender is told."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from http import HTTPStatus

_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


@dataclass(slots=True)
class Reply:
    """An answer, ready for the wire. Nobody changes one."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()

    def also(self, headers: tuple[tuple[str, str], ...]) -> Reply:
        """The same with further headers."""
        return replace(self, headers=(*self.headers, *headers)) if headers else self


def problem(status: int, detail: str, *headers: tuple[str, str]) -> Reply:
    """An error as ``application/problem+json`` (RFC 9457)."""
    document = {"status": status, "title": HTTPStatus(status).phrase, "detail": detail}
    body = json.dumps(document).encode()
    return Reply(status, body, "application/problem+json", headers)


def status_line(reply: Reply) -> str:
    """Status and its phrase."""
    return _STATUS.get(reply.status) or f"{reply.status} Status"
