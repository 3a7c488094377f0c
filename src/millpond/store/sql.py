"""Small SQL differences between the two databases, each in one place."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec
from sqlalchemy import ARRAY, BigInteger, ColumnElement, Table, Text, any_, bindparam, func, select
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
