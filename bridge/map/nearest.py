"""The nearest valid spelling of a word that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like ``word``; None if none is close."""
    choices = {choice.lower().replace("-", "_"): choice for choice in known}
    found = get_close_matches(word.lower().replace("-", "_")[:100], choices, n=1, cutoff=0.6)
    if found:
        return choices[found[0]]
    longer = [choice for low, choice in choices.items() if low.startswith(word.lower())]
    return longer[0] if len(longer) == 1 and len(word) > 3 else None


def nearest_is(hint: str) -> bool:
    """Whether an advice names one spelling, and not what there is to choose from."""
    return hint.startswith("Write `")


def advice(word: str, known: Iterable[str], most: int = 14) -> str:
    """A hint: the nearest spelling, else what there is to choose from."""
    names = sorted(known)
    close = nearest(word, names)
    if close is not None:
        return f"Write `{close}`."
    if not names:
        return "There is none to choose from."
    listed = ", ".join(names[:most]) + (", …" if len(names) > most else "")
    return f"Write one of: {listed}."
