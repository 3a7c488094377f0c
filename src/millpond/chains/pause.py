"""Waiting that a stop signal ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any

from millpond.clock import Clock


async def first_of(*awaitables: Awaitable[Any]) -> None:
    """Return when the first is done; the others are cancelled and waited for."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_all(tasks)


async def cancel_all(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel tasks and wait until they have ended; their errors are not looked at."""
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def pause(clock: Clock, seconds: float, stop: asyncio.Event) -> None:
    """Sleep, or less when `stop` is set."""
    if not stop.is_set():
        await first_of(stop.wait(), clock.sleep(seconds))
