"""What the HTTP server logs is one of our lines, and holds nothing of a path's token."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
from collections.abc import Iterator

import pytest
from gunicorn.config import Config

from bridge import logs
from bridge.receive.wsgi import Bodies, NoRoom
from bridge.server import Log, mask_paths


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("POST /hooks/crm/TOKEN HTTP/1.1", "POST /hooks/crm/***"),
        ("'POST /hooks/crm/TO/KEN?a=TOKEN HTTP/9.9'\nnext", "'POST /hooks/crm/***\nnext"),
        ("http://host/hooks/crm?key=TOKEN", "http://host/hooks/crm?***"),
        ("/hooks//TOKEN", "/hooks//***"),
        ("POST /hooks/crm HTTP/1.1", "POST /hooks/crm HTTP/1.1"),
        ("nothing of the kind", "nothing of the kind"),
    ],
)
def test_whatever_follows_the_source_is_masked(text: str, shown: str) -> None:
    assert mask_paths(text) == shown


@pytest.fixture
def untouched_logging() -> Iterator[None]:
    """Puts back what a test changes about the process's loggers."""
    kept = [logging.getLogger(name) for name in ("", "gunicorn.error", "gunicorn.access")]
    states = [(log, log.handlers, log.filters, log.propagate, log.level) for log in kept]
    hooks = sys.excepthook, threading.excepthook
    yield
    sys.excepthook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    for log, handlers, filters, propagate, level in states:
        log.handlers, log.filters, log.propagate = handlers, filters, propagate
        log.setLevel(level)


@pytest.mark.usefixtures("untouched_logging")
def test_a_line_of_gunicorn_is_json_with_its_traceback_masked() -> None:
    log = Log(Config())
    out = io.StringIO()
    logs.configure(style="json", out=out)
    try:
        int("/hooks/crm/TOKEN-in-a-path")
    except ValueError:
        log.exception("while %s", "/hooks/crm/TOKEN-too")
    line = json.loads(out.getvalue())
    assert line["log.logger"] == "gunicorn.error"
    assert line["message"] == "while /hooks/crm/***"
    assert "/hooks/crm/***" in line["error.stack_trace"].splitlines()[-1]
    assert line["error.type"] == "ValueError"
    assert "TOKEN" not in out.getvalue()


def test_room_for_bodies_is_given_back_however_a_request_ends() -> None:
    bodies = Bodies(100)
    with bodies.hold(60) as take:
        take(60)
        with pytest.raises(NoRoom), bodies.hold(41):
            pytest.fail("there is no room for this")
        with pytest.raises(NoRoom), bodies.hold() as other:  # noqa: PT012 - the second is too much
            other(40)
            other(1)
        with bodies.hold(40) as other:
            other(40)
    with pytest.raises(OSError, match="gone"), bodies.hold(100) as take:  # noqa: PT012 - as above
        take(100)
        raise OSError("gone")
    with bodies.hold(100) as take:
        take(100)
