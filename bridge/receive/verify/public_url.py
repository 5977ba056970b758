"""Which schemes sign the URL, and so refuse everything until the bridge knows its public one."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.model import (
    AllOfScheme,
    AnyOfScheme,
    HmacScheme,
    HubSpotScheme,
    JwtScheme,
    PublicKeyScheme,
    Scheme,
)
from bridge.receive.verify.naming import name_of
from bridge.receive.verify.signed_text import URL


@dataclass(frozen=True, slots=True)
class OverUrl:
    """The names of the schemes that sign the URL, and whether a source has no other scheme."""

    names: tuple[str, ...]
    all_of_them: bool


def over_url(schemes: tuple[Scheme, ...]) -> OverUrl:
    """Those of a source's schemes that sign the URL."""
    covering = tuple(name_of(scheme) for scheme in schemes if _covers(scheme))
    return OverUrl(covering, bool(covering) and len(covering) == len(schemes))


def _covers(scheme: Scheme) -> bool:
    match scheme:
        case HubSpotScheme(version=version):
            return version != "v1"
        case HmacScheme(signed=parts) | PublicKeyScheme(signed=parts):
            return URL in parts
        case JwtScheme(audience=audience):
            return audience is None
        case AllOfScheme(schemes=schemes):
            return any(map(_covers, schemes))
        case AnyOfScheme(schemes=schemes):
            return bool(schemes) and all(map(_covers, schemes))
        case _:
            return False
