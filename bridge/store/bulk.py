"""Statements of the busy paths, in the way that is quick on each engine.

``Many`` is one statement for many rows. SQLite runs a compiled statement once a row without
leaving C. On PostgreSQL every statement costs a turn of the protocol, so all rows go as one JSON
document that the statement reads as a table. Either way a statement is built and compiled once,
from the same expression: what belongs to the row is named by ``given``.

``Query`` is one statement that runs often. Both are compiled once and go to the driver by
themselves: SQLAlchemy's share of one execution is the larger one.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Integer,
    LargeBinary,
    Table,
    Text,
    bindparam,
    column,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from bridge import jsontext

Given = Callable[[str], ColumnElement[Any]]
Rows = Sequence[tuple[Any, ...]]
"""Values in the order of the statement's columns: what JSON can hold, and bytes in an INSERT."""

Arrange = Callable[[tuple[Any, ...]], tuple[Any, ...]]


class Many:
    """A statement over many rows. ``columns``: name → type of what is given with each row.

    ``build`` makes the statement for SQLite from ``given``, ``build_set`` the one for PostgreSQL
    from the table that all rows are.
    """

    def __init__(
        self,
        columns: Mapping[str, TypeEngine[Any]],
        build: Callable[[Given], Executable],
        build_set: Callable[[Any], Executable] | None = None,
    ) -> None:
        self._columns = dict(columns)
        self._build = build
        self._build_set = build_set
        self._each: tuple[str, Arrange | None] | None = None
        self._set: tuple[str, dict[str, Any]] | None = None

    def execute(self, connection: Connection, rows: Rows) -> Rows:
        """Run it; on PostgreSQL returns what the statement gives back, on SQLite nothing."""
        if not rows:
            return ()
        cursor = self._run(connection, rows)
        return () if connection.dialect.name == "sqlite" else _rows(cursor)

    def count(self, connection: Connection, rows: Rows) -> int:
        """Run it; returns how many rows it has changed or added."""
        return self._run(connection, rows).rowcount if rows else 0

    def _run(self, connection: Connection, rows: Rows) -> Any:
        if connection.dialect.name == "sqlite":
            text, arrange = self._for_each(connection)
            given = map(arrange, rows) if arrange else rows
            return _driver(_begun(connection)).executemany(text, given)
        text, constants = self._set or self._for_set(connection)
        values = {**constants, "rows": self._document(rows)}
        return _cursor(_begun(connection), text, values)

    def _document(self, rows: Rows) -> str:
        names = [f"the_{name}" for name in self._columns]
        found = [dict(zip(names, row, strict=True)) for row in rows]
        for name, kind in self._columns.items():
            if isinstance(kind, LargeBinary):
                for one in found:
                    one[f"the_{name}"] = b64encode(one[f"the_{name}"]).decode()
        return jsontext.dumps(found)

    def _for_each(self, connection: Connection) -> tuple[str, Arrange | None]:
        if self._each is None:
            kinds = self._columns
            statement = self._build(lambda name: bindparam(f"the_{name}", type_=kinds[name]))
            compiled = statement.compile(dialect=connection.dialect)  # type: ignore[attr-defined]
            places = {f"the_{name}": place for place, name in enumerate(self._columns)}
            constants = compiled.params
            order = [(places.get(name), constants[name]) for name in compiled.positiontup or ()]
            self._each = str(compiled), _arranger(order, len(self._columns))
        return self._each

    def _for_set(self, connection: Connection) -> tuple[str, dict[str, Any]]:
        table = (
            func.json_to_recordset(bindparam("rows"))
            .table_valued(*(_readable(name, kind) for name, kind in self._columns.items()))
            .render_derived(name="given", with_types=True)
        )
        build = self._build_set
        statement = (
            self._build(lambda name: table.c[f"the_{name}"]) if build is None else build(table)
        )
        compiled = statement.compile(dialect=connection.dialect)  # type: ignore[attr-defined]
        self._set = str(compiled), dict(compiled.params)
        return self._set


class Query:
    """A statement that runs often. It gives plain tuples, in which SQLite has 0 and 1 for booleans.

    No part of it may depend on how many values it is given; see ``among``.
    """

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, tuple[tuple[str, Any], ...]]] = {}

    def all(self, connection: Connection, **given: Any) -> Sequence[Any]:
        """Run it; returns all rows, none if it is a statement that gives none back."""
        engine = connection.dialect.name
        text, order = self._compiled.get(engine) or self._compile(connection)
        if engine == "sqlite":
            values = [
                given[name] if constant is _TO_BE_GIVEN else constant for name, constant in order
            ]
            found: list[Any] = _driver(_begun(connection)).execute(text, values).fetchall()
            return found
        named = {
            name: given[name] if constant is _TO_BE_GIVEN else constant for name, constant in order
        }
        return _rows(_cursor(_begun(connection), text, named))

    def _compile(self, connection: Connection) -> tuple[str, tuple[tuple[str, Any], ...]]:
        compiled = self._statement.compile(dialect=connection.dialect)  # type: ignore[attr-defined]
        constants, binds = compiled.params, compiled.binds
        order = tuple(
            (name, _TO_BE_GIVEN if binds[name].required else constants[name])
            for name in compiled.positiontup or constants
        )
        return self._compiled.setdefault(connection.dialect.name, (str(compiled), order))


_TO_BE_GIVEN = object()
"""Stands for a value that comes with each run of a query."""


def _readable(name: str, kind: TypeEngine[Any]) -> Any:
    """A column of the table that PostgreSQL reads; JSON holds bytes as base64."""
    return column(f"the_{name}", Text() if isinstance(kind, LargeBinary) else kind)


def _value(rows: Any, name: str, kind: TypeEngine[Any]) -> Any:
    given = rows.c[f"the_{name}"]
    return func.decode(given, "base64") if isinstance(kind, LargeBinary) else given


def _driver(connection: Connection) -> Any:
    return connection.connection.driver_connection


def _begun(connection: Connection) -> Connection:
    """In a transaction, as SQLAlchemy would see to: the caller may have begun none yet."""
    if not connection.in_transaction():
        connection.begin()
    return connection


def run(connection: Connection, text: str, values: Mapping[str, Any] | None = None) -> Rows:
    """Run a statement by PostgreSQL's own driver; returns its rows.

    Errors: as of SQLAlchemy; a connection that was lost is given up.
    """
    return _rows(_cursor(connection, text, values))


def _rows(cursor: Any) -> Rows:
    # set where there are rows; to ask for their description makes one
    return () if cursor.rownumber is None else cursor.fetchall()


def _cursor(connection: Connection, text: str, values: Mapping[str, Any] | None) -> Any:
    raw = _driver(connection)
    driver_error = connection.dialect.loaded_dbapi.Error
    try:
        return raw.execute(text, values)
    except driver_error as error:
        lost = connection.dialect.is_disconnect(error, raw, None)
        if lost:
            connection.invalidate(error)
        raise DBAPIError.instance(
            text,
            None,
            error,
            driver_error,
            hide_parameters=True,
            connection_invalidated=lost,
            dialect=connection.dialect,
        ) from error


def _arranger(order: Sequence[tuple[int | None, Any]], width: int) -> Arrange | None:
    """Puts the values of a row where the statement has them, constants of the statement between.

    ``width``: how many values a row has. None: they stand where they belong.
    """
    constants = tuple(constant for place, constant in order if place is None)
    behind = count(width)
    places = [next(behind) if place is None else place for place, _ in order]
    if places == list(range(width)):
        return None
    if len(places) == 1:
        only = places[0]
        return lambda row: ((row + constants)[only],)
    arrange: Arrange = itemgetter(*places)
    return lambda row: arrange(row + constants)


def insert_into(table: Table, engine: str) -> Any:
    """An INSERT that knows ON CONFLICT, in the dialect of an engine."""
    if engine == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # noqa: PLC0415 - there since the engine was made

    return postgresql.insert(table)


def insert_many(
    table: Table,
    names: Sequence[str],
    *,
    constants: Mapping[str, str] | None = None,
    on_conflict: Callable[[Any], Any] | None = None,
    returning: Sequence[Column[Any]] = (),
    within: Callable[[Any], Executable] | None = None,
) -> Many:
    """An INSERT of these columns. ``on_conflict`` adds its clause to the dialect's own INSERT.

    ``constants``: SQL of columns that are the same in every row, so that no row has to bring them.
    ``returning``: what PostgreSQL gives back. ``within``: makes the statement of which the INSERT
    is a part on PostgreSQL.
    """
    columns = {name: table.c[name].type for name in names}
    alike: dict[str, ColumnElement[Any]] = {
        name: literal_column(sql) for name, sql in (constants or {}).items()
    }

    def each(given: Given) -> Executable:
        values = {name: given(name) for name in names}
        statement: Any = insert_into(table, "sqlite").values(values | alike)
        return statement if on_conflict is None else on_conflict(statement)  # type: ignore[no-any-return]

    def whole(rows: Any) -> Executable:
        statement: Any = insert_into(table, "postgresql").from_select(
            [*names, *alike],
            select(*(_value(rows, name, columns[name]) for name in names), *alike.values()),
        )
        if on_conflict is not None:
            statement = on_conflict(statement)
        if returning:
            statement = statement.returning(*returning)
        return statement if within is None else within(statement)

    return Many(columns, each, whole)


class among(FunctionElement[bool]):  # noqa: N801 - reads as the word it is in a statement
    """Whether a column has one of many values; they are given as JSON text, see ``listed``."""

    type = Boolean()
    inherit_cache = True
    _is_implicitly_boolean = True  # else SQLAlchemy adds "= 1" for SQLite, which hides the index

    def __init__(self, of: ColumnElement[Any], name: str) -> None:
        super().__init__(of, bindparam(name, type_=Text()))


def listed(values: Iterable[Any]) -> str:
    """The parameter for ``among``."""
    return jsontext.dumps(list(values))


@compiles(among, "sqlite")
def _among_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    of, values = (compiler.process(part, **options) for part in element.clauses)
    return f"{of} IN (SELECT value FROM json_each({values}))"  # noqa: S608 - both are compiled expressions


@compiles(among, "postgresql")
def _among_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    of, values = (compiler.process(part, **options) for part in element.clauses)
    kind = (
        "bigint" if isinstance(element.clauses.clauses[0].type, (Integer, BigInteger)) else "text"
    )
    each = f"SELECT json_array_elements_text(CAST({values} AS json))::{kind}"
    return f"{of} = ANY (ARRAY({each}))"
