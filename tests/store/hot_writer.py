"""A process that writes without pause until it is told to stop through the database."""

from __future__ import annotations

import asyncio
import sys

from sqlalchemy import text

from millpond.store import Store


async def write(url: str) -> None:
    """Count turns in the table; stop when the row says so."""
    store = await Store.open(url)
    stop = False
    while not stop:
        async with store.begin() as tx:
            await tx.execute(text("update counter set turns = turns + 1"))
            stop = (await tx.execute(text("select stop from counter"))).scalar_one() == 1
    await store.close()


if __name__ == "__main__":
    asyncio.run(write(sys.argv[1]))
