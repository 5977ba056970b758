"""How a true answer is falsified. Pure: a body goes in, another comes out.

It works on any body with a list ``results``: the rows of a bulk update (a row names its lead by
``index`` and ``phone_number``) and those of a HubSpot read (``id``).
"""

from __future__ import annotations

from bridge.sandbox.behaviour import Step
from bridge.sandbox.database import Json

STRANGER = "+19995550199"
STRANGER_ID = "999999999999"

NOT_JSON = "<html><body>Everything went well.</body></html>"


def falsify(body: Json, step: Step) -> Json:
    """The body as the step's mode wants it; text if it is no JSON any more."""
    if step.mode == "not_json":
        return NOT_JSON
    if step.mode == "overall_error":
        return {**body, "status": "error", "message": "Bulk lead update failed", **_no_rows(body)}
    if "results" not in body:
        return body
    if step.mode == "no_results":
        return {key: value for key, value in body.items() if key != "results"}
    return {**body, "results": _rows(body["results"], step)}


def _no_rows(body: Json) -> Json:
    return {"results": []} if "results" in body else {}


def _rows(rows: list[Json], step: Step) -> list[Json]:
    match step.mode:
        case "empty" | "success_without_rows":
            return []
        case "short":
            return rows[: -step.rows]
        case "reordered":
            return [*rows[1:], *rows[:1]]
        case "crossed":
            return _crossed(rows)
        case "foreign":
            return [*rows[:-1], *(_estranged(row) for row in rows[-1:])]
        case "duplicated":
            return [*rows[:1], *rows]
    return rows


def _crossed(rows: list[Json]) -> list[Json]:
    """Each row keeps its place and index, and speaks of its neighbour's lead."""
    neighbours = [*rows[1:], *rows[:1]]
    return [
        {**neighbour, "index": row["index"]} if "index" in row else neighbour
        for row, neighbour in zip(rows, neighbours, strict=True)
    ]


def _estranged(row: Json) -> Json:
    if "phone_number" in row:
        return {**row, "phone_number": STRANGER}
    return {**row, "id": STRANGER_ID}
