"""Bodies become documents: JSON, forms, PHP's nested forms and XML, each within bounds.

Only bodies of verified deliveries come here, but a sender can be wrong or taken over: every
decoder bounds depth and number of keys, and nothing but ``DecodeError`` comes out of it.
``places`` finds what stands somewhere in a document; ``redact`` takes it out of the body.
"""

from bridge.receive.decode.body import decode
from bridge.receive.decode.redact import redacted

__all__ = ["decode", "redacted"]
