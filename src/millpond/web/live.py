"""Server-sent events that keep the first page up to date."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from markupsafe import Markup

from millpond.api.core import Core
from millpond.api.hub import SNAPSHOT_TOPIC, Watcher
from millpond.api.models import Pool
from millpond.api.poller import Snapshot
from millpond.web.render import Renderer, partials


def pool_of(snapshot: Snapshot, pool_id: str | None) -> Pool | None:
    """The pool that a page shows: the named one, or the first; None: there is none."""
    return next((pool for pool in snapshot.pools if pool_id in {None, pool.id}), None)


async def stream(
    core: Core, renderer: Renderer, pool_id: str, address: str
) -> AsyncIterator[bytes]:
    """Events until the client leaves, is too slow, or the server stops.

    The place among the watchers is taken here, where it is surely given back.
    """
    watcher = core.hub.open(address)
    try:
        core.hub.subscribe(watcher, (SNAPSHOT_TOPIC,))
        shown: dict[str, Markup] = {}
        yield b"retry: 2000\n\n"
        while True:
            snapshot = await core.poller.snapshot()
            pool = pool_of(snapshot, pool_id)
            if pool is None:
                return
            sections = renderer.sections(snapshot, pool)
            html = partials(shown, sections)
            shown = dict(sections)
            if html:
                yield _message(html)
            if not await _wait(core, watcher):
                return
            # A burst of changes is one look.
            yield b": \n\n"
    finally:
        core.hub.close(watcher)


async def _wait(core: Core, watcher: Watcher) -> bool:
    """Wait for a change or a heartbeat; False when there is nobody to serve."""
    try:
        async with asyncio.timeout(core.deps.settings.heartbeat_s):
            return await watcher.next() is not None
    except TimeoutError:
        return True


def _message(html: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"{lines}\n".encode()
