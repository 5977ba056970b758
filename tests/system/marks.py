"""Whose wishes to be called again went out: each at most once, and never an older one later."""

from __future__ import annotations

from collections import defaultdict

Rank = tuple[int, bool, str]
Lead = tuple[str, str]


class Marks:
    """The marks of each lead (campaign, phone), by the events that asked for them."""

    def __init__(self) -> None:
        self._asked: dict[Lead, dict[str, Rank]] = defaultdict(dict)
        self._withheld: dict[Lead, list[Rank]] = defaultdict(list)
        self._gone: dict[Lead, Rank] = {}

    def asked(self, lead: Lead, event: str, rank: Rank, *, withheld: bool = False) -> None:
        """An event asks for a mark; ``withheld``: it was left out, since its contact is out."""
        if withheld:
            self._withheld[lead].append(rank)
        else:
            self._asked[lead][event] = rank

    def sent(self, lead: Lead, again_id: str | None) -> None:
        """A mark went out, and may have arrived.

        ``again_id`` names its event, unless a newer one whose own mark was withheld has set that
        field: then it is of the first event of which it can be. AssertionError: of none.
        """
        asked = self._asked[lead]
        newest = max(self._withheld[lead], default=(0, False, ""))
        ranks = (
            [asked[again_id]] if again_id in asked else [r for r in asked.values() if r < newest]
        )
        left = [rank for rank in ranks if lead not in self._gone or rank > self._gone[lead]]
        assert left, f"{lead}: a mark that nobody asked for or that was sent again ({again_id})"
        self._gone[lead] = min(left)
