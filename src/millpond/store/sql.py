"""Small SQL differences between the two databases, each in one place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    ColumnElement,
    Dialect,
    Table,
    Text,
    any_,
    bindparam,
    func,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from millpond.store.engine import Tx


def any_of(
    tx: Tx, column: ColumnElement[Any], values: Collection[int | str]
) -> ColumnElement[bool]:
    """`column IN values` as one parameter, so that it bears any number of values.

    Args:
        tx: The transaction, for its dialect.
        column: An integer or text column.
        values: All int or all str.
    """
    listed = list(values)
    if tx.dialect.name == "postgresql":
        kind = BigInteger() if listed and isinstance(listed[0], int) else Text()
        return column == any_(bindparam(None, listed, type_=ARRAY(kind)))
    document = bindparam(None, msgspec.json.encode(listed).decode(), type_=Text())
    return column.in_(select(func.json_each(document).table_valued("value").c.value))


def insert_or_ignore(tx: Tx, table: Table) -> Any:
    """`INSERT … ON CONFLICT DO NOTHING` in the dialect at hand."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    return dialect.insert(table).on_conflict_do_nothing()


async def insert_many(tx: Tx, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all have the same columns, as quickly as the database can.

    PostgreSQL gets one statement with an array a column: a message a row
    costs it several times what the row itself does.
    """
    if not rows:
        return
    if tx.dialect.name != "postgresql":
        await tx.execute(insert(table), list(rows))
        return
    names = list(rows[0])
    arrays = [_array(tx.dialect, table.columns[name], rows) for name in names]
    kinds = (table.columns[name].type.compile(tx.dialect) for name in names)
    holes = ", ".join(f"${place}::{kind}[]" for place, kind in enumerate(kinds, start=1))
    await tx.exec_driver_sql(
        f"INSERT INTO {table.name} ({', '.join(names)}) SELECT * FROM unnest({holes})",  # noqa: S608 - names of our own columns
        tuple(arrays),
    )


def _array(dialect: Dialect, column: Column[Any], rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    process = column.type.dialect_impl(dialect).bind_processor(dialect)
    values = [row[column.name] for row in rows]
    return values if process is None else [process(value) for value in values]
