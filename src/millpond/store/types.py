"""Column types and the one `MetaData` that all rooms hang their tables on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from sqlalchemy import Dialect, MetaData, Numeric, Text
from sqlalchemy.types import TypeDecorator, TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_DIGITS = 78
"""Digits of 2**256, the largest amount that an ERC-20 token can hold."""

_LIMIT = 10**_DIGITS


class BigInt(TypeDecorator[int]):
    """An integer of up to 78 decimal digits, signed.

    `NUMERIC(78, 0)` on PostgreSQL; decimal text on SQLite, whose integers end
    at 64 bits. On SQLite the column therefore neither sorts nor adds in SQL:
    arithmetic on amounts is done in Python, under the writer's lock.
    """

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type for the database at hand."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Numeric(_DIGITS, 0))
        return dialect.type_descriptor(Text())

    # Whole functions instead of `process_bind_param` and `process_result_value`, which
    # the library calls through two more: amounts are most of what the ledger writes.

    def bind_processor(self, dialect: Dialect) -> Callable[[int | None], Any]:
        """Write an int, and nothing that only looks like one."""
        write: Callable[[int], Any] = int if dialect.name == "postgresql" else str

        def process(value: int | None) -> Any:
            if value is None:
                return None
            assert type(value) is int, f"an amount is an int, not {type(value).__name__}"
            assert -_LIMIT < value < _LIMIT, "an amount has at most 78 digits"
            return write(value)

        return process

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[Any], int | None]:
        """Read the int back."""
        del dialect, coltype
        return _int_of


def _int_of(value: Any) -> int | None:
    return None if value is None else int(value)


class JsonText(TypeDecorator[Any]):
    """A JSON document as text, encoded with sorted keys so that it compares."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Encode."""
        del dialect
        return None if value is None else msgspec.json.encode(value, order="sorted").decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        """Decode."""
        del dialect
        return None if value is None else msgspec.json.decode(value)
