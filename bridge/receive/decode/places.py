"""Places in a decoded body: what stands there, the body without it, and lists made of it.

A place is names from the outside in, such as ``Envelope, Body, SessionId``. A list on the way
stands for each of its items, unless the next name is the index of one. None of the functions
changes the document that it is given; the depth of a document is bounded before it comes here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bridge.model import Json, Place

_INDEX = re.compile(r"0|[1-9][0-9]{0,5}", re.ASCII)


def values_at(document: Json, place: Place) -> list[Json]:
    """Every value at the place, in order; empty if there is none."""
    level = [document]
    for name in place:
        below: list[Json] = []
        for node in level:
            if isinstance(node, list) and _INDEX.fullmatch(name):
                below.extend(node[int(name) : int(name) + 1])
                continue
            items = node if isinstance(node, list) else [node]
            below.extend(item[name] for item in items if isinstance(item, dict) and name in item)
        level = below
    return level


def without(document: Json, places: Iterable[Place]) -> Json:
    """The document without what stands at the places."""
    for place in places:
        if values_at(document, place):
            document = _without(document, place)
    return document


def _without(node: Json, place: Place) -> Json:
    name, below = place[0], place[1:]
    if isinstance(node, list):
        if not _INDEX.fullmatch(name):
            return [_without(item, place) for item in node]
        index = int(name)
        if below:
            return [_without(x, below) if i == index else x for i, x in enumerate(node)]
        return [item for i, item in enumerate(node) if i != index]
    if not isinstance(node, dict) or name not in node:
        return node
    if below:
        return {**node, name: _without(node[name], below)}
    return {key: value for key, value in node.items() if key != name}


def with_lists(document: Json, places: Iterable[Place]) -> Json:
    """The document with a list at each of the places, where something other than null stands."""
    for place in places:
        document = _with_list(document, place)
    return document


def _with_list(node: Json, place: Place) -> Json:
    if not place:
        return node if node is None or isinstance(node, list) else [node]
    name, below = place[0], place[1:]
    if isinstance(node, list):
        return [_with_list(item, place) for item in node]
    if isinstance(node, dict) and name in node:
        return {**node, name: _with_list(node[name], below)}
    return node


def with_value(document: Json, place: Place, value: str) -> Json:
    """The document with the value at the place; objects on the way are made where they lack."""
    if not place:
        return value
    name, below = place[0], place[1:]
    if isinstance(document, list):
        return [with_value(item, place, value) for item in document]
    inside = document if isinstance(document, dict) else {}
    return {**inside, name: with_value(inside.get(name), below, value)}
