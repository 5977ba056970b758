"""``/console/``: the operator's pages, rendered on the server.

``session.py`` signs in and holds every post to its CSRF token; each other module is one group of
pages. Pages show phone numbers in full, since finding a person is what they are for; URLs never
hold one, since URLs are written to logs.
"""

from bridge.operate.console.routes import console

__all__ = ["console"]
