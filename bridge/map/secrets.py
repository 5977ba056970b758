"""The secrets behind the names in a mapping file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from bridge.errors import SettingError
from bridge.map.document import Document
from bridge.map.substitution import Environment, placeholder
from bridge.model import Secret

TakeSecret: TypeAlias = Callable[[tuple[str, ...]], Secret]
"""The secret behind names of settings. Errors: ``SecretMissingError``."""


class SecretMissingError(LookupError):
    """A secret has no value; the text is the setting's name, or those of which one is enough."""


class Secrets:
    """Takes secrets from the environment, or placeholders for those without a value."""

    def __init__(self, environment: Environment, document: Document, placeholders: bool) -> None:
        self._environment = environment
        self._document = document
        self._placeholders = placeholders

    def take(self, names: tuple[str, ...]) -> Secret:
        """The secret with every value that these settings have. Errors: ``SecretMissingError``."""
        values: list[str] = []
        for name in names:
            try:
                secret = self._environment.secret(name)
            except SettingError as error:
                self._document.add((), "unreadable-setting", str(error))
                continue
            values.extend(secret.values if secret is not None else ())
        if values:
            return Secret(names[0], tuple(dict.fromkeys(values)))
        if self._placeholders:
            return Secret(names[0], (placeholder(names[0]),))
        raise SecretMissingError(names[0])
