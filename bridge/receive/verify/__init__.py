"""Whether a request comes from who it says: schemes in, ``Verified`` or ``Refused`` out.

Everything here works on the raw bytes, before decoding (but for secrets that stand in the body),
and fails closed. Secrets and signatures are compared in constant time and appear in no reason.
``any_of`` tries the schemes of a source; one module per family knows how each is proved;
``asymmetric`` is the one home of ``cryptography``, ``token`` that of ``jwt``; ``sanity`` says at
start what is wrong with a scheme's parameters; ``public_url`` knows which schemes sign the URL;
``withheld`` names the headers, query parameters and places that mappings must not see.

What loads ``cryptography`` is imported from its own module: ``any_of.verify``, ``sanity``.
"""

from bridge.receive.verify.public_url import OverUrl, over_url
from bridge.receive.verify.withheld import (
    Credentials,
    body_credentials,
    credential_names,
    plain_credentials,
    secret_in_path,
    shared_secrets,
    signature_headers,
)

__all__ = [
    "Credentials",
    "OverUrl",
    "body_credentials",
    "credential_names",
    "over_url",
    "plain_credentials",
    "secret_in_path",
    "shared_secrets",
    "signature_headers",
]
