"""Put a shared secret where its scheme wants it."""

from __future__ import annotations

import base64

from bridge.errors import VerifyError
from bridge.model import BasicScheme, BearerScheme, HeaderScheme, PathScheme, QueryScheme, Secret
from bridge.receive.sign.draft import Draft
from bridge.receive.verify.credentials import CredentialScheme
from bridge.receive.verify.evidence import as_utf8


def add_credential(scheme: CredentialScheme, draft: Draft) -> Draft:
    """The draft with the first live value of the scheme's secret.

    Errors: ``VerifyError`` if the secret has no value or has no room in the URL.
    """
    match scheme:
        case BearerScheme(token=secret):
            return draft.with_header("Authorization", f"Bearer {_on_wire(told(secret, draft))}")
        case BasicScheme(user=user, password=secret):
            login = base64.b64encode(as_utf8(f"{user}:{told(secret, draft)}")).decode()
            return draft.with_header("Authorization", f"Basic {login}")
        case HeaderScheme(name=name, token=secret):
            return draft.with_header(name, _on_wire(told(secret, draft)))
        case QueryScheme(name=name, token=secret):
            return draft.with_parameter(name, told(secret, draft))
        case PathScheme(token=secret):
            return draft.with_path_token(told(secret, draft))


def told(secret: Secret, draft: Draft) -> str:
    """The secret itself as it is to go out: right, or spoilt.

    Errors: ``VerifyError`` if it has no value.
    """
    return usable(secret) + ("x" if draft.spoil else "")


def usable(secret: Secret) -> str:
    """The value to sign with.

    Errors: ``VerifyError`` if there is none.
    """
    for value in secret.values:
        if value:
            return value
    raise VerifyError(f"the secret {secret.name} has no value")


def _on_wire(value: str) -> str:
    return as_utf8(value).decode("latin-1")
