"""The error tree of crm-bridge.

    BridgeError                 the message is for a person and holds no secret
    ├── SettingError            a setting is missing or malformed
    ├── MappingError            mapping files with mistakes; carries every one of them
    ├── VerifyError             a request did not pass verification
    ├── DecodeError             a verified body could not be read
    ├── StoreError              the database could not take or give
    │   ├── StoreBusy           it is locked or out of reach; the same call may work later
    │   ├── StoreChanged        what was read is no longer so; to be read again at once
    │   └── SchemaError         its schema is not the one this version works with
    ├── ExportError             evidence cannot be exported, verified or gone on with as asked
    ├── ReplayError             a replay cannot be made, resumed or cancelled as asked
    └── LookupFailed            a CRM did not answer a look-up; to be tried again

Errors of other libraries are translated in the one module that uses the library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


class BridgeError(Exception):
    """Anything that crm-bridge itself reports. The text is meant for a person."""


class SettingError(BridgeError):
    """A setting is missing or malformed; the text names it and says what to write."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in a mapping file. ``line`` and ``column`` count from 1.

    ``end_column``: the column after the text that it points at, which ends on the same line; 0 if
    it points at a place and not at a text. ``line_text`` is that line, secrets blotted out.
    """

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = ""
    end_column: int = 0
    line_text: str = ""

    @property
    def text(self) -> str:
        """The text that the mistake points at; empty where it points at a place only."""
        return self.line_text[self.column - 1 : self.end_column - 1] if self.end_column else ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.code}: {self.message}"
        return f"{text} {self.hint}" if self.hint else text


class MappingError(BridgeError):
    """One or more mapping files cannot be used; ``mistakes`` holds every one found."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        super().__init__("\n".join(str(mistake) for mistake in mistakes))


class VerifyError(BridgeError):
    """A request did not pass verification; the text is the reason, for the operator."""


class DecodeError(BridgeError):
    """A verified body could not be read; the text says where and why."""


class StoreError(BridgeError):
    """The database could not take or give what was asked."""


class StoreBusy(StoreError):  # noqa: N818 - reads as the state it reports
    """The database is locked, full or out of reach; the same call may work later."""


class StoreChanged(StoreError):  # noqa: N818 - reads as the state it reports
    """What a decision was made from has changed before it was stored; nothing was stored."""


class SchemaError(StoreError):
    """The schema of the database is missing, older or newer than this version needs."""


class ReplayError(BridgeError):
    """A replay cannot be made, resumed or cancelled as asked; the text says what to do."""


class ExportError(BridgeError):
    """Evidence cannot be exported, verified or gone on with as asked; the text says what to do."""


class LookupFailed(BridgeError):  # noqa: N818 - reads as the event it reports
    """A CRM did not answer a look-up in a usable way; to be tried again after a pause.

    ``records``: those that came all the same, of others whom the event names.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after_s: float | None = None,
        fatal: bool = False,
        records: tuple[Any, ...] = (),
    ):
        self.retry_after_s = retry_after_s
        self.fatal = fatal
        self.records = records
        super().__init__(message)
