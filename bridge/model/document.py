"""A decoded document, how it is read from bytes, and places in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

Json: TypeAlias = Any
"""A decoded document: None, bool, int, float, str, list or dict with string keys."""

Place: TypeAlias = tuple[str, ...]
"""Where something stands in a decoded body: names from the outside in.

A list on the way stands for each of its items, unless the name is the index of one.
"""


class Decoder(StrEnum):
    """How the bytes of a body are read."""

    JSON = "json"
    FORM = "form"
    NESTED_FORM = "nested_form"
    XML = "xml"


@dataclass(frozen=True, slots=True)
class Reading:
    """How a source's bodies are read. What stands at ``lists`` is a list, also where it is alone.

    ``value``: the decoder's name.
    """

    decoder: Decoder
    lists: tuple[Place, ...] = ()

    @property
    def value(self) -> str:
        """The decoder's name in mapping files."""
        return self.decoder.value


AS_JSON = Reading(Decoder.JSON)
"""How bodies are read where nothing else is said."""
