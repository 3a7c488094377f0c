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


def insert_into(tx: Tx, table: Table) -> Any:
    """`INSERT` in the dialect at hand, which may be given an `ON CONFLICT`."""
    dialect = postgresql if tx.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def insert_or_ignore(tx: Tx, table: Table) -> Any:
    """`INSERT … ON CONFLICT DO NOTHING` in the dialect at hand."""
    return insert_into(tx, table).on_conflict_do_nothing()


async def insert_many(
    tx: Tx, table: Table, rows: Sequence[Mapping[str, Any]], *, ignore: bool = False
) -> None:
    """Insert rows that all have the same columns, as quickly as the database can.

    Values are prepared a column at a time, which costs a third of what the
    library's way of a row at a time does. PostgreSQL gets one statement with an
    array a column: a message a row costs it several times what the row itself does.

    Args:
        tx: A write transaction.
        table: The table.
        rows: What is inserted.
        ignore: Leave out the rows that conflict with those in the table.
    """
    if not rows:
        return
    columns = [table.columns[name] for name in rows[0]]
    into = f"INSERT INTO {table.name} ({', '.join(column.name for column in columns)})"
    if tx.dialect.name == "postgresql":
        sql = f"{into} SELECT * FROM {_unnest(tx.dialect, columns)}"
    else:
        sql = f"{into} VALUES ({', '.join('?' * len(columns))})"
    await _execute_many(tx, sql + " ON CONFLICT DO NOTHING" * ignore, columns, rows)


async def update_many(tx: Tx, table: Table, key: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Set columns of rows that are named by one column, as `insert_many` does it.

    Args:
        tx: A write transaction.
        table: The table.
        key: The column that names a row; a value of each of `rows`.
        rows: All with the same columns: the key, and what is set.
    """
    if not rows:
        return
    names = [name for name in rows[0] if name != key]
    columns = [table.columns[name] for name in [*names, key]]
    if tx.dialect.name == "postgresql":
        sets = ", ".join(f"{name} = new.{name}" for name in names)
        new = f"{_unnest(tx.dialect, columns)} AS new({', '.join([*names, key])})"
        sql = f"UPDATE {table.name} SET {sets} FROM {new} WHERE {table.name}.{key} = new.{key}"
    else:
        sets = ", ".join(f"{name} = ?" for name in names)
        sql = f"UPDATE {table.name} SET {sets} WHERE {key} = ?"
    await _execute_many(tx, sql, columns, rows)


def _unnest(dialect: Dialect, columns: Sequence[Column[Any]]) -> str:
    kinds = (column.type.compile(dialect) for column in columns)
    holes = (f"${place}::{kind}[]" for place, kind in enumerate(kinds, start=1))
    return f"unnest({', '.join(holes)})"


async def _execute_many(
    tx: Tx, sql: str, columns: Sequence[Column[Any]], rows: Sequence[Mapping[str, Any]]
) -> None:
    arrays = [_array(tx.dialect, column, rows) for column in columns]
    if tx.dialect.name == "postgresql":
        await tx.exec_driver_sql(sql, tuple(arrays))
    else:
        await tx.exec_driver_sql(sql, list(zip(*arrays, strict=True)))


def _array(dialect: Dialect, column: Column[Any], rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    process = column.type.dialect_impl(dialect).bind_processor(dialect)
    values = [row[column.name] for row in rows]
    return values if process is None else [process(value) for value in values]
