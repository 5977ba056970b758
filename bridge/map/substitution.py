"""``${NAME}`` and ``${NAME:-text}``: settings inside a mapping file."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from bridge.errors import SettingError
from bridge.map.document import Document, Path_
from bridge.model import Json, Secret

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
_ALONE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}\Z")
SECRET_KEYS = frozenset({"secret", "token", "password"})


class Environment(Protocol):
    """Where settings come from. Names without a value are absent."""

    def __getitem__(self, name: str, /) -> str: ...

    def get(self, name: str, default: str | None = None, /) -> str | None: ...

    def secret(self, name: str) -> Secret | None:
        """The secret of that name with all values that are live; None if it has none."""
        ...


class Filled(str):
    """A text in which settings have been filled in.

    ``raw`` is the text as written (what messages show), ``put`` the texts that were put in,
    ``missing`` the names that have no value; in their place stands ``test-<NAME>``. ``first``
    is what the first setting itself says; None where the file's default stands in.
    """

    __slots__ = ("first", "missing", "put", "raw")
    raw: str
    put: tuple[str, ...]
    missing: tuple[str, ...]
    first: str | None

    @classmethod
    def of(
        cls,
        text: str,
        *,
        raw: str,
        put: tuple[str, ...],
        missing: tuple[str, ...],
        first: str | None = None,
    ) -> Filled:
        """The filled text with what is to be remembered of it."""
        filled = cls(text)
        filled.raw, filled.put, filled.missing, filled.first = raw, put, missing, first
        return filled


def raw(value: Json) -> Json:
    """A text as it stands in the file, settings not filled in."""
    return value.raw if isinstance(value, Filled) else value


def missing_in(value: Json) -> tuple[str, ...]:
    """The settings without a value that a text needs."""
    return value.missing if isinstance(value, Filled) else ()


def placeholder(name: str) -> str:
    """What stands for a setting without a value."""
    return f"test-{name}"


def reference(text: Json) -> str | None:
    """The name in a text that is exactly one ``${NAME}``; None otherwise."""
    found = _ALONE.match(text) if isinstance(text, str) else None
    return found.group(1) if found else None


def substitute(
    document: Document,
    environment: Environment,
    is_secret: Callable[[Path_], bool],
) -> tuple[Json, tuple[str, ...]]:
    """The document's data with settings filled in, and the names that have no value.

    Secrets are left as references. A ``${`` that is not understood is a mistake.
    """
    missing: dict[str, None] = {}

    def fill(text: str, path: Path_) -> str:
        put: list[str] = []
        given: list[str | None] = []
        lacking: list[str] = []

        def one(found: re.Match[str]) -> str:
            name, default = found.group(1), found.group(2)
            try:
                value = environment.get(name)
            except SettingError as error:
                document.add(path, "unreadable-setting", str(error))
                value = None
            given.append(value or None)
            value = value or default
            if value is None:
                lacking.append(name)
                value = placeholder(name)
            put.append(value)
            return value

        if "${" in _REFERENCE.sub("", text):
            document.add(
                path,
                "bad-reference",
                "`${` starts the name of a setting, and this one is not understood.",
                "Write `${NAME}` or `${NAME:-default}`, the name of letters, digits and _.",
            )
            return text
        filled = _REFERENCE.sub(one, text)
        missing.update(dict.fromkeys(lacking))
        return Filled.of(filled, raw=text, put=tuple(put), missing=tuple(lacking), first=given[0])

    def walk(value: Json, path: Path_) -> Json:
        if isinstance(value, str):
            return fill(value, path) if "${" in value and not is_secret(path) else value
        if isinstance(value, list):
            return [walk(item, (*path, index)) for index, item in enumerate(value)]
        if isinstance(value, dict):
            return {key: walk(item, (*path, key)) for key, item in value.items()}
        return value

    return walk(document.data, ()), tuple(missing)
