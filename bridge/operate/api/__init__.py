"""``/api/``: what the console shows, as JSON for scripts.

An endpoint is declared once (``endpoint.Endpoint``): path, parameters, answer and view. Routes and
the OpenAPI document at ``/api/openapi.json`` are both made from that.
"""

from bridge.operate.api.routes import api

__all__ = ["api"]
