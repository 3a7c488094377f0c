"""The database of a configuration, for commands."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from millpond.errors import InvalidInputError
from millpond.ops.config import Config
from millpond.store import Store
from millpond.store.migrate import current


@contextlib.asynccontextmanager
async def open_database(config: Config, *, pool_size: int = 1) -> AsyncIterator[Store]:
    """Open a database that has its tables; close it after use.

    Raises:
        InvalidInputError: It has none yet.
    """
    if await current(config.database_url) is None:
        raise InvalidInputError(
            "the database has no tables yet; run `millpond init` with this configuration first"
        )
    store = await Store.open(config.database_url, pool_size=pool_size)
    try:
        yield store
    finally:
        await store.close()
