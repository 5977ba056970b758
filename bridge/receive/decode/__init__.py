"""Bodies become documents: JSON, forms, PHP's nested forms and XML, each within bounds.

Only bodies of verified deliveries come here, but a sender can be wrong or taken over: every
decoder bounds depth and number of keys, and nothing but ``DecodeError`` comes out of it.
"""

from bridge.receive.decode.body import decode

__all__ = ["decode"]
