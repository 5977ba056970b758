"""What a signature covers and how it is written: the parameters of ``hmac`` and ``public_key``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from bridge.header_pattern import names_of, pattern_problem
from bridge.map.kinds import Fault, Number, Text, Word, about, faulty
from bridge.map.nearest import advice
from bridge.map.parts import Many, Part
from bridge.map.place_kind import HeaderName
from bridge.map.substitution import missing_in
from bridge.model import Json

Faults = Iterable[tuple[str | None, Fault]]

TIMES = ("unix_s", "unix_ms", "iso", "http_date")

_PLAIN = ("body", "body_base64", "timestamp", "url", "method", "form")
_SIGNED = (*_PLAIN, "header:<name>", "group:<name>", "text:<…>")
_BODY = frozenset({"body", "body_base64", "form"})
_NAMED = re.compile(r"(?:header|group|text):.+", re.DOTALL)
_RAW_KEY = re.compile(r"[0-9A-Fa-f]{64}")
"""An Ed25519 key as 32 bytes in hexadecimal digits."""


class PemKey(Text):
    """A public key as PEM text, or an Ed25519 key as hexadecimal digits."""

    what = "a public key"

    def read(self, value: Json) -> Any:
        """The key's text."""
        text = str(super().read(value)).strip()
        if missing_in(value):
            return text
        if "PRIVATE KEY" in text:
            raise faulty("private-key", "is a private key.", "Put the sender's public key here.")
        if not _RAW_KEY.fullmatch(text) and not (
            text.startswith("-----BEGIN PUBLIC KEY-----")
            and text.endswith("-----END PUBLIC KEY-----")
        ):
            raise faulty(
                "bad-key-text",
                "is neither a PEM public key nor 64 hexadecimal digits.",
                "Write it below `|`, with its BEGIN PUBLIC KEY and END PUBLIC KEY lines.",
            )
        return text


class SignedPart(Text):
    """One part of what is signed."""

    what = "a part that can be signed"

    def read(self, value: Json) -> Any:
        """The part as written."""
        text = str(super().read(value))
        if text in _PLAIN or _NAMED.fullmatch(text):
            return text
        raise faulty("unknown-word", "is no part that can be signed.", advice(text, _SIGNED))


class Pattern(Text):
    """How a header is written, with names in braces."""

    what = "a pattern"

    def read(self, value: Json) -> Any:
        """The pattern as written."""
        text = str(super().read(value))
        if len(text) > 300 or (problem := pattern_problem(text)):
            raise faulty(
                "bad-pattern",
                "is longer than 300 characters." if len(text) > 300 else f"{problem}.",
                'Write "t={timestamp};h={signature}", for example.',
            )
        return text


def tolerance(most: int = 2_592_000, *, nullable: bool = True) -> Number:
    """The parameter ``tolerance``."""
    return Number(
        1,
        most,
        whole=True,
        default=300,
        nullable=nullable,
        metadata=about(
            "Seconds that the signed time may lie in the past or ahead"
            + ("; null: it is not checked." if nullable else ".")
        ),
        example="tolerance: 300",
    )


def signed_parts() -> Many:
    """The parameter ``signed``."""
    return Many(
        SignedPart(),
        default=("body",),
        metadata=about(
            "The parts that are joined, with nothing between them, and signed: body, "
            "body_base64, timestamp, url (the public URL with its query), method, form (names and "
            "values, sorted by name), header:<name>, group:<name of the pattern>, text:<literal>."
        ),
        example='signed: [timestamp, "text:.", body]',
    )


def timestamp_part(*, header_only: bool = False) -> Part:
    """The parameter ``timestamp``."""
    keys: dict[str, Any] = {
        "header": HeaderName(metadata=about("The header that holds the time.")),
        "part": Text(metadata=about("The part, or the name in the pattern, that holds the time.")),
        "format": Word(TIMES, default="unix_s", metadata=about("How the time is written.")),
        "tolerance": tolerance(),
    }
    told = about("Where the signed time stands, and how old it may be.")
    if header_only:
        del keys["part"]
        keys["header"] = HeaderName(
            required=True,
            example="header: X-Timestamp",
            metadata=keys["header"].metadata,
        )
        return Part(keys, metadata=told)
    return Part(keys, _timestamp_check, metadata=told, example="timestamp: {header: X-Time}")


def hmac_check(loaded: Mapping[str, Any], written: Mapping[str, Json]) -> Faults:
    """What must hold between the parameters of ``hmac``."""
    if ("header" in written) == ("query" in written):
        yield (
            "header" if "header" in written else None,
            Fault(
                "signature-place",
                "must name either a header or a query parameter.",
                "Write header: <name>, or query: <name>.",
            ),
        )
    yield from _style_check(loaded, written)
    yield from signed_check(loaded, written)
    signed = loaded.get("signed") or ()
    if "query" in written and "url" in signed:
        yield (
            "signed",
            Fault(
                "signs-itself",
                "signs the URL in which the signature stands.",
                "Take url out, or name the header that holds the signature.",
            ),
        )
    groups = set(names_of(str(loaded.get("pattern") or "")))
    for part in signed:
        if part.startswith("group:") and part.removeprefix("group:") not in groups:
            yield (
                "signed",
                Fault(
                    "unknown-group",
                    f"signs {part[:60]}, which is not in the pattern.",
                    advice(part.removeprefix("group:"), groups) if groups else "Add pattern: …",
                ),
            )


def _style_check(loaded: Mapping[str, Any], written: Mapping[str, Json]) -> Faults:
    style, time = loaded.get("style"), loaded.get("timestamp") or {}
    if style != "pattern" and "pattern" in written:
        yield (
            "pattern",
            Fault("unused-key", "belongs to another style.", "Write style: pattern."),
        )
    if style == "pattern" and "pattern" not in written:
        yield (
            None,
            Fault(
                "missing-key",
                "has the style pattern and no pattern.",
                'Add pattern: "t={timestamp};h={signature}".',
            ),
        )
    if loaded.get("encoding") == "raw" and style != "wrapped":
        yield (
            "encoding",
            Fault("raw-encoding", "can be raw only with style: wrapped.", "Write hex or base64."),
        )
    if "separator" in written and style not in ("parts", "items"):
        yield (
            "separator",
            Fault("unused-key", "belongs to another style.", "Write style: parts."),
        )
    part = time.get("part")
    if part is not None and style not in ("parts", "pattern"):
        yield (
            "timestamp",
            Fault(
                "timestamp-part",
                "names a part, and the signature is not written in parts.",
                "Add style: parts, or name the header of the time.",
            ),
        )
    if part is not None and style == "pattern" and part not in names_of(str(loaded["pattern"])):
        yield (
            "timestamp",
            Fault(
                "unknown-group",
                f"names {str(part)[:60]}, which is not in the pattern.",
                "Write part: timestamp, and {timestamp} in the pattern.",
            ),
        )
    if part is not None and style == "parts" and time.get("format") == "http_date":
        yield (
            "timestamp",
            Fault(
                "timestamp-part",
                "is an HTTP date, which holds the comma that parts are cut at.",
                "Name the header of the time, or use a pattern.",
            ),
        )


def signed_check(loaded: Mapping[str, Any], written: Mapping[str, Json]) -> Faults:
    """What must hold between ``signed``, ``timestamp`` and ``body_hash``."""
    signed = loaded.get("signed") or ("body",)
    time = loaded.get("timestamp") or {}
    if "timestamp" in signed and "timestamp" not in written:
        yield (
            "signed",
            Fault(
                "timestamp-missing",
                "signs a timestamp, and none is declared.",
                "Add timestamp: {header: <name>}.",
            ),
        )
    header = f"header:{time.get('header') or ''}".lower()
    covered = "timestamp" in signed or any(part.lower() == header for part in signed)
    if time and time.get("tolerance") is not None and not covered:
        yield (
            "timestamp",
            Fault(
                "timestamp-not-signed",
                "is checked and not signed, so anyone could renew it.",
                "Add timestamp to signed, or delete it here.",
            ),
        )
    if loaded.get("body_hash"):
        if "url" not in signed:
            yield (
                "body_hash",
                Fault(
                    "body-not-signed",
                    "stands in the URL, which is not signed.",
                    "Add url to signed.",
                ),
            )
    elif not _BODY & set(signed):
        yield (
            "signed",
            Fault(
                "body-not-signed",
                "does not cover the body, so anyone could change it.",
                "Add body, body_base64 or form.",
            ),
        )


def _timestamp_check(loaded: Mapping[str, Any], written: Mapping[str, Json]) -> Faults:
    del loaded
    if ("header" in written) == ("part" in written):
        yield (
            None,
            Fault("timestamp-place", "must name a header or a part.", "Write header: <name>."),
        )
