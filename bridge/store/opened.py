"""Connections to SQLite that stay open from one transaction to the next.

A pool hands out what it has with an object of SQLAlchemy's around it that is made anew each time,
which takes longer than a transaction itself. Here the object stays as well.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine


class Opened:
    """The connections of an engine that are not in use at the moment, the last used first.

    ``engine``: one whose pool is asked by nobody else, or has room for those as well.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._guard = threading.Lock()
        self._idle: list[Connection] = []

    @contextmanager
    def one(self) -> Iterator[Connection]:
        """A connection for a transaction, which has ended with the block.

        After an error it is closed: whoever comes next has nothing to do with what went wrong.
        """
        with self._guard:
            idle = self._idle
            connection = idle.pop() if idle else None
        if connection is None:
            connection = self._engine.connect()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        with self._guard:
            if idle is self._idle:
                idle.append(connection)
                return
        connection.invalidate()  # all were to be opened anew meanwhile
        connection.close()

    def close(self) -> None:
        """Close what is not in use, and let what is in use be closed at its end."""
        self._engine.dispose()  # first: else whoever comes meanwhile is given one of them
        with self._guard:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.invalidate()
            connection.close()
