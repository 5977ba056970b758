"""What each scheme is called in reasons and in the record of a delivery."""

from __future__ import annotations

from bridge.model import (
    AllOfScheme,
    AnyOfScheme,
    BasicScheme,
    BearerScheme,
    BodyScheme,
    EqualScheme,
    HeaderScheme,
    HmacScheme,
    HubSpotScheme,
    JwtScheme,
    NoneScheme,
    PublicKeyScheme,
    QueryScheme,
    Scheme,
    StandardWebhooksScheme,
)


def name_of(scheme: Scheme) -> str:
    """The short name of a scheme: ``hubspot_v3``, ``hmac``, ``ed25519``, ``bearer`` …"""
    match scheme:
        case HubSpotScheme(version=version):
            return f"hubspot_{version}"
        case PublicKeyScheme(algorithm=algorithm):
            return algorithm
        case AllOfScheme():
            return "all_of"
        case AnyOfScheme():
            return "any_of"
        case _:
            return _PLAIN.get(type(scheme), "path")


_PLAIN: dict[type, str] = {
    HmacScheme: "hmac",
    StandardWebhooksScheme: "standard_webhooks",
    BearerScheme: "bearer",
    BasicScheme: "basic",
    HeaderScheme: "header",
    QueryScheme: "query",
    JwtScheme: "jwt",
    BodyScheme: "body",
    EqualScheme: "equals",
    NoneScheme: "none",
}
