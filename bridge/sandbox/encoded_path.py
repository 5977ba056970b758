"""Ids in a path that hold ``/``, ``+`` or ``=``.

WSGI hands out the path already decoded, and then ``%2F`` can no longer be told from a slash. So
routes are matched on the path as it was sent, and each part is decoded afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from werkzeug.routing import BaseConverter

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class EncodedPath:
    """Middleware: puts the path as it was sent in place of the decoded one."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        sent = environ.get("RAW_URI")
        if sent is None:
            path = quote(environ["PATH_INFO"], safe="/", encoding="latin-1")
        elif sent.startswith("/"):
            path = sent.partition("?")[0]
        else:
            path = urlsplit(sent).path
        environ["PATH_INFO"] = path
        return self._application(environ, start_response)


class OpaqueId(BaseConverter):
    """One part of the path, whatever it holds; ``+`` stays a plus sign."""

    def to_python(self, value: str) -> str:
        return unquote(value)

    def to_url(self, value: str) -> str:
        return quote(value, safe="")
