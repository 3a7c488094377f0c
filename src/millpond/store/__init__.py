"""The database: one engine over SQLite and PostgreSQL, and what tables need.

Knows nothing of pools or money. Promises: a write transaction (`Store.begin`)
is all or nothing and durable when it returns; on SQLite there is one writer
at a time, in the order of asking, over all processes; on PostgreSQL writers
order themselves by row locks; every reader (`Store.read`) sees one snapshot.
"""

from typing import TYPE_CHECKING

from millpond.lazy import lazily

if TYPE_CHECKING:
    from millpond.store.engine import Store, Tx
    from millpond.store.types import BigInt, JsonText, metadata
else:
    __getattr__ = lazily(
        __name__,
        {
            "engine": ("Store", "Tx"),
            "types": ("BigInt", "JsonText", "metadata"),
        },
    )

__all__ = ["BigInt", "JsonText", "Store", "Tx", "metadata"]
