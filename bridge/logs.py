"""Log lines made of fields: JSON by ECS names in production, readable on a terminal.

There is one formatter for all: our own lines, those of gunicorn and every other library, warnings,
and errors that nobody caught. A line that belongs to a delivery carries its receipt, one that
belongs to several some of their ``receipts``.

Phone numbers and e-mail addresses appear masked only. Callers mask what they know to be one;
beneath that, every text that came from outside (``message``, ``reason``, ``detail`` …) is masked
by shape, and every live secret is blotted out wherever it stands.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from select import PIPE_BUF
from typing import TYPE_CHECKING, Any, TextIO

from bridge import ecs
from bridge.jsontext import dumps

if TYPE_CHECKING:
    from bridge.settings import Settings

OUTSIDE = frozenset({"message", "reason", "detail", "trouble", "problem", "error", "exception"})
"""Fields whose text may have come from outside."""

_EMAIL = re.compile(r"[^\s@\"'<>{}\[\],;:=]{1,64}@[^\s@\"'<>{}\[\],;:]{1,255}")
_DIGITS = re.compile(r"\+?\d(?:[\s().\-/]{0,3}\d){6,}")
SHORTEST_SECRET = 6
MOST_RECEIPTS = 20


def few(receipts: Iterable[str]) -> list[str]:
    """The receipts of a line about several deliveries: each once, and not without end."""
    return list(islice(dict.fromkeys(receipts), MOST_RECEIPTS))


def mask_phone(phone: str) -> str:
    """``+14155550123`` → ``+1*******23``."""
    if len(phone) < 6:
        return "*" * len(phone)
    return f"{phone[:2]}{'*' * (len(phone) - 4)}{phone[-2:]}"


def mask_text(text: str) -> str:
    """A text in which everything that looks like a phone number or e-mail address is masked."""
    text = _EMAIL.sub(lambda m: f"{m[0][0]}***@***", text)
    return _DIGITS.sub(lambda m: mask_phone(m[0]), text)


class Blotter:
    """Blots out live secrets, longest first, wherever they stand in a line.

    A secret is looked for as it is, and as JSON and Python write it inside a text.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        long = {s for s in secrets if len(s) >= SHORTEST_SECRET}
        forms = {form for s in long for form in (s, *_written(s))}
        self._found = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, self._found)))

    def __call__(self, text: str) -> str:
        return self._pattern.sub("<secret>", text) if self.finds(text) else text

    def finds(self, text: str) -> bool:
        """Whether there is anything to blot out."""
        # many times as quick as the pattern, which stops at every letter
        return bool(self._found) and any(form in text for form in self._found)

    def within(self, value: Any) -> Any:
        """A value of any shape in which every text is blotted."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, Mapping):
            return {self.within(key): self.within(item) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.within(item) for item in value]
        return value


def _texts(value: Any) -> list[str]:
    """Every text in a value of any shape."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for pair in value.items() for one in pair for text in _texts(one)]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [text for item in value for text in _texts(item)]
    return []


def _written(secret: str) -> tuple[str, ...]:
    forms = (json.dumps(secret), json.dumps(secret, ensure_ascii=False), repr(secret))
    return tuple(form[1:-1] for form in forms)


def _as_json(line: Any) -> str:
    """A line as JSON; what JSON cannot hold is shown as Python writes it."""
    try:
        return dumps(line)
    except TypeError:
        return json.dumps(line, default=repr)


def _mask_outside(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> Any:
    for key in OUTSIDE & line.keys():
        if isinstance(line[key], str):
            line[key] = mask_text(line[key])
    return line


_blotted: set[str] = set()
_quick: list[_Quick] = []
"""The one of this process, where lines are JSON."""
_put_off: list[Callable[[], None]] = []
"""What sets the log up with the first line, unless somebody does before."""
_setting_up = threading.RLock()


def blot_out(secrets: Iterable[str]) -> None:
    """From now on these secrets stand in no line of this process, beside those before them."""
    if not _blotted.issuperset(found := set(secrets)):
        _blotted.update(found)
        _blotter.cache_clear()


def without_secrets(text: str) -> str:
    """A text without the secrets that this process knows of."""
    return _blotter()(text)


@lru_cache(maxsize=1)
def _blotter() -> Blotter:
    return Blotter(_blotted)


def configure_by(settings: Settings, *, level: str | None = None) -> None:
    """Set the process's log up as its settings say; ``level``: another than theirs."""
    configure(
        style=settings["BRIDGE_LOG"],
        level=level or settings["BRIDGE_LOG_LEVEL"],
        secrets=settings.live_secrets(),
    )


@contextmanager
def configured_later(set_up: Callable[[], None]) -> Iterator[None]:
    """A block whose first line sets the log up by this, unless somebody has done so before.

    For commands, most of which write none: to set it up takes as long as some of them do.
    """
    _put_off[:] = [set_up]
    try:
        yield
    finally:
        _put_off.clear()


def configure(
    *,
    style: str = "auto",
    level: str = "info",
    secrets: Iterable[str] = (),
    out: TextIO | None = None,
) -> None:
    """Set the process's log up; ``style`` is json, text or auto (text on a terminal)."""
    import structlog  # noqa: PLC0415 - slow to load, and most commands write no line

    stream = out or sys.stderr
    _blotted.clear()
    _blotter.cache_clear()
    blot_out(secrets)
    as_json = style == "json" or (style == "auto" and not stream.isatty())

    named = ecs.Names()
    number = getattr(logging, level.upper(), logging.INFO)

    def render(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> str:
        return _blotter()(_as_json(named(line)))

    def blot_values(_logger: Any, _name: str, line: MutableMapping[str, Any]) -> Any:
        # before people are masked, since a mask over its digits would hide a secret from us
        blot = _blotter()
        return blot.within(line) if blot.finds("\0".join(_texts(line))) else line

    console = structlog.dev.ConsoleRenderer(colors=stream.isatty())

    def render_text(logger: Any, name: str, line: MutableMapping[str, Any]) -> str:
        return _blotter()(str(console(logger, name, line)))

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *((ecs.with_error,) if as_json else ()),
        structlog.processors.format_exc_info,
        blot_values,
        _mask_outside,
    ]
    processors = [*shared, render if as_json else render_text]
    _quick[:] = [_Quick(processors, named, stream, number)] if as_json else []
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        cache_logger_on_first_use=False,
    )
    handler = _Handler()
    handler.setLevel(number)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(number, logging.INFO))
    for noisy in ("httpx", "httpcore", "alembic", "sqlalchemy"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    _put_off.clear()  # last: until then a line of another thread waits


Together = Sequence[tuple[str, dict[str, Any]]]
"""Lines of one kind: level, and fields."""


def write_many(stage: str, event: str, lines: Together) -> None:
    """Write many lines of one kind, each as its own call would, at a fraction of the cost."""
    if any(quick.write(stage, event, lines) for quick in _quick):
        return
    log = get(stage)
    for level, fields in lines:
        getattr(log, level)(event, **fields)


class _Quick:
    """Lines of many outcomes as JSON, without what structlog does for each of them.

    ``stands_for``: the processors whose work it does; where others are at work it does nothing.
    """

    def __init__(self, stands_for: list[Any], named: ecs.Names, stream: TextIO, least: int) -> None:
        import structlog  # noqa: PLC0415 - as above

        self._stands_for = stands_for
        self._named = named
        self._out = structlog.WriteLogger(stream)
        self._configured = structlog.get_config
        self._around = structlog.contextvars.get_contextvars
        self._least = least

    def write(self, stage: str, event: str, lines: Together) -> bool:
        """Write them; False if each has to be looked at by itself: nothing is written then.

        So it is where a secret stands in anything that a line is made of.
        """
        if self._configured()["processors"] is not self._stands_for:
            return False
        shown = [one for one in lines if getattr(logging, one[0].upper()) >= self._least]
        around = {**self._around(), "stage": stage}
        blot = _blotter()
        if blot.finds(_as_json([around, shown])):
            return False
        timestamp = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        common = {**around, "timestamp": timestamp, "event": event}
        heads = {level: self._named({**common, "level": level}) for level in {s[0] for s in shown}}
        begins = {level: _as_json(head)[:-1] + "," for level, head in heads.items()}
        names: ecs.Renamed = {}
        masked: dict[str, str] = {}
        texts: list[str] = []
        for level, fields in shown:
            line = fields.copy()
            for name in OUTSIDE & fields.keys():
                said = fields[name]
                if isinstance(said, str):
                    line[name] = masked.get(said) or masked.setdefault(said, mask_text(said))
            texts.append(begins[level] + _as_json(self._named.beside(line, names))[1:])
        # what was not in the lines before they were rendered
        added = [name for own in names.values() for name in own]
        if () in names or any(not head.keys().isdisjoint(added) for head in heads.values()):
            return False
        if blot.finds(_as_json([*heads.values(), added, *masked.values(), *ecs.ENDS.values()])):
            return False
        for piece in _pieces(texts):
            self._out.info(piece)
        return True


def _pieces(lines: Iterable[str]) -> Iterator[str]:
    """Lines joined to what a pipe takes in one piece, so that other processes' never cut in."""
    piece: list[str] = []
    size = 0
    for line in lines:
        length = len(line.encode()) + 1
        if piece and size + length > PIPE_BUF:
            yield "\n".join(piece)
            piece, size = [], 0
        piece.append(line)
        size += length
    if piece:
        yield "\n".join(piece)


class _Handler(logging.Handler):
    """Lines of other libraries, through the same formatter."""

    def emit(self, record: logging.LogRecord) -> None:
        log = _logger()
        fields: dict[str, Any] = {"logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        elif record.exc_text:
            fields["exception"] = record.exc_text
            fields["error_type"] = getattr(record, "error_type", "")
        log.log(record.levelno, "library", **fields)


def catch_all() -> None:
    """Have warnings, and errors that nobody caught, written as lines like all others."""
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda caught: _log_uncaught(
        caught.exc_type, caught.exc_value, caught.exc_traceback
    )


def _log_uncaught(kind: Any, error: Any, trace: Any) -> None:
    if issubclass(kind, (KeyboardInterrupt, SystemExit)):
        sys.__excepthook__(kind, error, trace)
    else:
        get("process").critical("uncaught error", exc_info=(kind, error, trace))


def _logger(**fields: Any) -> Any:
    import structlog  # noqa: PLC0415 - slow to load, and most commands write no line

    if _put_off:
        with _setting_up:
            for set_up in _put_off[:]:
                set_up()
    return structlog.get_logger(**fields)


class Log:
    """A logger whose lines carry the name of their stage. It has all methods of structlog's."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def __getattr__(self, method: str) -> Any:
        return getattr(_logger(stage=self._stage), method)


def get(name: str) -> Log:
    """The logger of a stage."""
    return Log(name)
