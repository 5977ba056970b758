"""The settings of a process: read from its environment, and checked as they are declared.

Values come from the environment, then from ``.env``; ``NAME_FILE`` names a file that holds the
value of ``NAME``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dotenv import dotenv_values

from bridge.declared_settings import BY_NAME, SETTINGS, YEAR_S, Setting
from bridge.errors import SettingError
from bridge.model import Secret


class Environment(Mapping[str, str]):
    """The environment with ``.env`` beneath it and ``NAME_FILE`` resolved.

    A name is present if it, or the file that ``NAME_FILE`` names, holds something other than
    blanks. Errors: ``SettingError`` when that file cannot be read.
    """

    def __init__(self, values: Mapping[str, str], dotenv: Mapping[str, str] | None = None) -> None:
        self._values = {**(dotenv or {}), **values}
        self._files: set[Path] = set()

    @classmethod
    def current(cls, dotenv: Path = Path(".env")) -> Environment:
        """The process's own environment, with the ``.env`` of the working folder beneath it."""
        try:
            below = {k: v for k, v in dotenv_values(dotenv).items() if v is not None}
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(
                f"{dotenv} cannot be read ({type(error).__name__}). "
                "Make it a text file in UTF-8 that this user may read."
            ) from None
        return cls(dict(os.environ), below)

    def __getitem__(self, name: str) -> str:
        value = self._values.get(name, "").strip()
        if value:
            return value
        path = self._values.get(f"{name}_FILE", "").strip()
        if not path:
            raise KeyError(name)
        self._files.add(Path(path))
        try:
            value = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(
                f"{name}_FILE names {path}, which cannot be read ({type(error).__name__}). "
                f"Name a readable text file, or set {name} itself."
            ) from None
        if not value:
            raise KeyError(name)
        return value

    def get(self, name: str, default: str | None = None, /) -> str | None:  # type: ignore[override]
        """The value of a name, or the default."""
        try:
            return self[name]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def written(self, name: str) -> str:
        """The value as it stands there under exactly this name, without blanks around it."""
        return self._values.get(name, "").strip()

    def files(self) -> set[Path]:
        """The files in which values were looked for so far, readable or not."""
        return set(self._files)

    def secret(self, name: str) -> Secret | None:
        """The secret of that name, with the value of ``NAME_PREVIOUS`` still accepted beside it."""
        values = [self[n] for n in (name, f"{name}_PREVIOUS") if n in self]
        return Secret(name, tuple(values)) if values else None


class Settings:
    """The values of all settings, read once and checked. ``settings["PORT"]`` is an int.

    Errors: ``SettingError`` that names the first malformed setting.
    """

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self._values = {s.name: _parse(s, environment) for s in SETTINGS}

    @classmethod
    def current(cls) -> Settings:
        """The settings of this process."""
        return cls(Environment.current())

    @classmethod
    def declared(cls) -> Settings:
        """Every setting at its default, none of a mapping file set: what cases are run with."""
        return cls(Environment({}))

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def shown(self, name: str) -> str:
        """The value as it may be printed: secrets masked."""
        value = self._values[name]
        if value is None:
            return "–"
        if not BY_NAME[name].secret:
            return str(value)
        if name == "DATABASE_URL":
            return mask_url(value)
        return "(set)"

    def live_secrets(self) -> list[str]:
        """The values that may stand in no log line: every secret setting, and every value of the
        environment whose name says that it is one."""
        words = ("SECRET", "TOKEN", "PASSWORD", "KEY")
        names = {name.removesuffix("_FILE") for name in self.environment if name.isupper()}
        found = _passwords(self["DATABASE_URL"])
        for name in sorted(names):
            if not _is_secret(name, words):
                continue
            try:
                value = self.environment.get(name)
            except SettingError:  # some other program's file; ours were read before
                continue
            if value is not None:
                found.append(value)
        return found

    @property
    def tells(self) -> bool:
        """Whether alerts have somewhere to go."""
        names = ("BRIDGE_ALERT_SLACK_URL", "BRIDGE_ALERT_WEBHOOK_URL", "BRIDGE_ALERT_MAIL_TO")
        return any(self[name] is not None for name in names)

    @property
    def standing_schedule(self) -> tuple[float, ...]:
        """Seconds between tries of a standing opt-out; the last one repeats."""
        steps = self._schedule("BRIDGE_STANDING")
        if not steps:
            raise SettingError(
                "BRIDGE_STANDING must be numbers of seconds above 0, a year at most, with blanks "
                "between them, such as “60 300 3600 86400”."
            )
        return steps

    @property
    def alert_schedule(self) -> tuple[float, ...]:
        """Seconds after which an alert is told again; the last one repeats; empty: never."""
        steps = self._schedule("BRIDGE_ALERT_REPEAT")
        if not steps and self["BRIDGE_ALERT_REPEAT"].split() != ["0"]:
            raise SettingError(
                "BRIDGE_ALERT_REPEAT must be numbers of seconds above 0, a year at most, with "
                "blanks between them, such as “3600 14400 86400”, or 0 for never."
            )
        return steps

    def _schedule(self, name: str) -> tuple[float, ...]:
        """The numbers of a setting, if each is one, above 0 and at most a year; otherwise none."""
        try:
            steps = tuple(float(word) for word in self[name].split())
        except ValueError:
            return ()
        return steps if all(0 < s <= YEAR_S for s in steps) else ()


def _is_secret(name: str, words: tuple[str, ...]) -> bool:
    if name in BY_NAME:
        return BY_NAME[name].secret and name != "DATABASE_URL"
    return any(word in name.split("_") for word in words)


_ADDRESS = re.compile(r"https?://[^/\s]", re.IGNORECASE)


def _parse(setting: Setting, environment: Environment) -> Any:
    if setting.name not in environment:
        return setting.default
    text = environment[setting.name]
    if setting.kind is str:
        if setting.choices and text not in setting.choices:
            raise SettingError(
                f"{setting.name}: {text!r} is not usable. Write {' or '.join(setting.choices)}."
            )
        if setting.address and not _ADDRESS.match(text):
            raise SettingError(
                f"{setting.name}: {text!r} is not usable. Write an address that begins with "
                f"https:// ({setting.help})."
            )
        return text
    try:
        value = setting.kind(text)
    except ValueError:
        value = None
    if value is None or not setting.least <= value <= setting.most:
        what = "a whole number" if setting.kind is int else "a number"
        shown = "its value" if setting.secret else repr(text)
        raise SettingError(
            f"{setting.name}: {shown} is not usable. Write {what} of at least {setting.least:g} "
            f"and at most {setting.most:.16g} ({setting.help})."
        )
    return value


_PASSWORD_IN_QUERY = re.compile(r"([?&][^=&]*password=)([^&]*)", re.IGNORECASE)


def mask_url(url: str) -> str:
    """A database URL without its passwords."""
    head, separator, tail = url.partition("://")
    login, at, rest = tail.rpartition("@")
    user, colon, _ = login.partition(":")
    if separator and at and colon:
        url = f"{head}://{user}:***@{rest}"
    return _PASSWORD_IN_QUERY.sub(r"\1***", url)


def _passwords(url: str) -> list[str]:
    """The passwords in a database URL, as they stand there and as they are meant."""
    login = url.partition("://")[2].rpartition("@")[0]
    written = [login.partition(":")[2], *(m[2] for m in _PASSWORD_IN_QUERY.finditer(url))]
    return [form for text in written if text for form in dict.fromkeys((text, unquote(text)))]
