"""``crm-bridge demo``: the whole way on this machine, with real payloads and valid signatures."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from bridge.commands.output import table
from bridge.commands.send import post, signed_for
from bridge.demo.scenes import Expected, Scene, scenes, wrong_leads
from bridge.demo.stage import DemoFailed, Stage
from bridge.model import State
from bridge.store import outcomes, refusals
from bridge.store.database import Database

COLUMNS = ("what came in", "campaign", "lead", "lead update", "outcome", "ms", "")
HEAD = ("what came in", "campaign", "lead", "")


@click.command(help="Post real payloads through sandbox, bridge and worker, and show the outcomes.")
@click.option("--folder", default="demo-data", show_default=True, help="Where its files go.")
def command(folder: str) -> None:
    click.echo("Starting a sandbox (campaign API and HubSpot), the bridge and its worker …")
    stage = Stage(Path(folder).resolve())
    try:
        stage.set_up_sandbox()
        stage.start_bridge()
        good = Show(stage).run()
    except DemoFailed as error:
        raise click.ClickException(str(error)) from None
    finally:
        stage.close()
    click.echo(_where_next(folder))
    sys.exit(0 if good else 1)


class Show:
    """Posts the scenes one by one and compares what came of each with what must come."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.database = Database(stage.settings["DATABASE_URL"])
        self.rows: list[dict[str, Any]] = []
        self.problems: list[str] = []

    def run(self) -> bool:
        """All scenes; prints the table; whether everything ended as it must."""
        noah = ""
        for scene in scenes():
            receipt = self._play(scene)
            if scene.expected and scene.expected[0].state.value == "standing":
                noah = receipt
        self._confirm_noah(noah)
        table(COLUMNS, self.rows, head=HEAD, text="outcome")
        self.problems += wrong_leads(self.stage.leads())
        for problem in self.problems:
            click.echo(f"NOT as it must be: {problem}", err=True)
        ended = "Every event ended as it must." if not self.problems else "Something went wrong."
        click.echo(ended)
        self.database.close()
        return not self.problems

    def _play(self, scene: Scene) -> str:
        key = self.stage.ghl_key
        url = self.stage.bridge_url
        signed = signed_for(
            self.stage.settings, scene.source, scene.body, url, key=key, spoil=scene.spoilt
        )
        reply = post(url, signed, http=self.stage.http)
        receipt = str(reply.json().get("receipt", ""))
        if reply.status_code != scene.status:
            self.problems.append(f"{scene.title}: HTTP {reply.status_code}, not {scene.status}")
        if scene.status == 401:
            self._show_refusal(scene)
            return ""
        try:
            self.stage.wait(scene.title, lambda: self._settled(receipt, scene.expected), 20)
        except DemoFailed:
            self.problems.append(f"{scene.title}: other outcomes than expected")
        self._show(scene.title, receipt, scene.expected)
        return receipt

    def _listing(self, receipt: str) -> list[dict[str, Any]]:
        with self.database.read() as connection:
            return list(reversed(outcomes.listing(connection, receipt=receipt)))

    def _settled(self, receipt: str, expected: tuple[Expected, ...]) -> bool:
        rows = self._listing(receipt)
        return len(rows) == len(expected) and all(
            any(_matches(row, one) for row in rows) for one in expected
        )

    def _show(self, title: str, receipt: str, expected: tuple[Expected, ...]) -> None:
        for row in self._listing(receipt):
            decided = row["decided_at"]
            self.rows.append(
                {
                    "what came in": title,
                    "campaign": row["campaign"] or "–",
                    "lead": row["phone"] or "–",
                    "lead update": row["fields"] or "–",
                    "outcome": f"{row['state']}: {row['message']}",
                    "ms": decided - row["accepted_at"] if decided else "",
                    "": "ok" if any(_matches(row, one) for one in expected) else "WRONG",
                }
            )
            title = ""

    def _show_refusal(self, scene: Scene) -> None:
        with self.database.read() as connection:
            kept = refusals.listing(connection, source=scene.source, before=None, limit=1)
        if not kept:
            self.problems.append(f"{scene.title}: the refusal was not kept")
        self.rows.append(
            {
                "what came in": scene.title,
                "campaign": "–",
                "lead": "–",
                "lead update": "–",
                "outcome": f"refused, HTTP {scene.status}: {kept[0]['reason'] if kept else ''}",
                "": "ok" if kept else "WRONG",
            }
        )

    def _confirm_noah(self, receipt: str) -> None:
        self.stage.add_noah()
        try:
            self.stage.wait(
                "the standing opt-out",
                lambda: all(row["state"] == "updated" for row in self._listing(receipt)),
                20,
            )
        except DemoFailed as error:
            self.problems.append(str(error))
        expected = tuple(
            Expected(State.UPDATED, row["campaign"], row["phone"]) for row in self._listing(receipt)
        )
        self._show(
            "… then both campaigns take Noah in, and his opt-out is sent again", receipt, expected
        )


def _matches(row: dict[str, Any], one: Expected) -> bool:
    return (
        row["state"] == one.state.value
        and row["campaign"] == one.campaign
        and row["phone"] == one.phone
        and one.message in row["message"].lower()
    )


def _where_next(folder: str) -> str:
    return f"""
Where to look next
  {folder}/bridge.log        one JSON line for each outcome
  cd {folder} && {Path(sys.argv[0]).resolve()} outcomes
                             the same from the database (also: deliveries, refusals)
  {folder}/mappings/hubspot.yaml
                             the mapping that did this; docs/mappings.md explains it
  README.md                  from here to a HubSpot app that points at your bridge
"""
