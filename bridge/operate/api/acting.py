"""The endpoints that change something: pause, resume, replay. Each leaves a line of who did it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bridge.errors import ReplayError
from bridge.operate import overview, pausing
from bridge.operate.api import overview_shapes, parameters, replay_shapes
from bridge.operate.api.endpoint import Endpoint, Given, ProblemError
from bridge.operate.desk import Desk
from bridge.store import tally

NO_CAMPAIGN = {404: "There is no such campaign."}
NO_REPLAY = {404: "There is no such replay.", 409: "It cannot be done now; the detail says why."}
NO_PLAN = {409: "It cannot be done so; the detail says why."}


def _campaign(desk: Desk, given: Given) -> dict[str, Any]:
    with desk.database.read() as connection:
        rows = overview.campaigns_now(connection, desk, tally.totals(connection))
    found = next((row for row in rows if row["name"] == given.path["campaign"]), None)
    if found is None:
        raise ProblemError(404, "There is no such campaign.")
    return found


def _pause(desk: Desk, given: Given) -> Any:
    name = _campaign(desk, given)["name"]
    with desk.database.write() as connection:
        pausing.pause(
            connection,
            name,
            actor=given.who,
            reason=given.body["reason"],
            hold_opt_outs=given.body["hold_opt_outs"],
        )
    return _campaign(desk, given)


def _resume(desk: Desk, given: Given) -> Any:
    name = _campaign(desk, given)["name"]
    with desk.database.write() as connection:
        pausing.resume(connection, name, actor=given.who)
    return _campaign(desk, given)


def _in_words(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except ReplayError as error:
        raise ProblemError(409, str(error)) from None


def _wanted(given: Given) -> tuple[dict[str, Any], str]:
    selection = dict(given.body)
    return selection, selection.pop("mapping")


def _plan(desk: Desk, given: Given) -> Any:
    return _in_words(lambda: desk.replays.plan(*_wanted(given)))


def _run(desk: Desk, given: Given) -> Any:
    number = _in_words(lambda: desk.replays.run(*_wanted(given), given.who))
    return desk.replays.report(number)


def _report(desk: Desk, given: Given) -> Any:
    found = desk.replays.report(given.path["id"])
    if found is None:
        raise ProblemError(404, "There is no such replay.")
    return found


def _replays(desk: Desk, given: Given) -> Any:
    limit = given.query["limit"]
    rows = desk.replays.listing(given.query["cursor"], limit + 1)
    cursor = rows[limit - 1]["id"] if len(rows) > limit else None
    return {"rows": rows[:limit], "cursor": cursor}


def _cancel(desk: Desk, given: Given) -> Any:
    _report(desk, given)
    _in_words(lambda: desk.replays.cancel(given.path["id"], given.who))
    return _report(desk, given)


def _go_on(desk: Desk, given: Given) -> Any:
    _report(desk, given)
    _in_words(lambda: desk.replays.go_on(given.path["id"], given.who))
    return _report(desk, given)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST",
        "/campaigns/{campaign}/pause",
        "pause_campaign",
        "Send nothing but opt-outs to a campaign until it is resumed; its queue is kept",
        overview_shapes.Campaign,
        _pause,
        path_schema=parameters.CampaignPath,
        body_schema=parameters.PauseBody,
        refusals=NO_CAMPAIGN,
    ),
    Endpoint(
        "POST",
        "/campaigns/{campaign}/resume",
        "resume_campaign",
        "End a pause, and try a campaign that is held back at once",
        overview_shapes.Campaign,
        _resume,
        path_schema=parameters.CampaignPath,
        refusals=NO_CAMPAIGN,
    ),
    Endpoint(
        "POST",
        "/replays/plan",
        "plan_replay",
        "What a replay would do, against what was done before; nothing is done",
        replay_shapes.Plan,
        _plan,
        body_schema=parameters.ReplayBody,
        refusals=NO_PLAN,
    ),
    Endpoint(
        "POST",
        "/replays",
        "run_replay",
        "Map deliveries once more and send what comes of it; needs a running worker",
        replay_shapes.Replay,
        _run,
        body_schema=parameters.ReplayBody,
        refusals=NO_PLAN,
    ),
    Endpoint(
        "GET",
        "/replays",
        "replays",
        "Replays, the newest first",
        replay_shapes.Replays,
        _replays,
        query_schema=parameters.Paging,
    ),
    Endpoint(
        "GET",
        "/replays/{id}",
        "replay",
        "What has come of a replay",
        replay_shapes.Replay,
        _report,
        path_schema=parameters.ReplayPath,
        refusals={404: NO_REPLAY[404]},
    ),
    Endpoint(
        "POST",
        "/replays/{id}/cancel",
        "cancel_replay",
        "Stop a replay where it is",
        replay_shapes.Replay,
        _cancel,
        path_schema=parameters.ReplayPath,
        refusals=NO_REPLAY,
    ),
    Endpoint(
        "POST",
        "/replays/{id}/resume",
        "resume_replay",
        "Go on with a replay that was cancelled, or whose selection has not ended",
        replay_shapes.Replay,
        _go_on,
        path_schema=parameters.ReplayPath,
        refusals=NO_REPLAY,
    ),
)
