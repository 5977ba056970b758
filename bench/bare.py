"""What the bridge is compared with: a Flask view that reads the body and answers."""

from __future__ import annotations

from flask import Flask, Response, request

app = Flask(__name__, static_folder=None)


@app.post("/hooks/<source>")
def hook(source: str) -> Response:  # noqa: ARG001 - the route has it
    """Read and answer; nothing is kept."""
    request.get_data()
    return Response('{"receipt": "0"}', content_type="application/json")
