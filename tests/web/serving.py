"""A real server on a free port, in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from millpond.api.deps import ApiDeps
from millpond.api.server import bind, make_server
from millpond.web.site import create_site


@contextlib.asynccontextmanager
async def serving(deps: ApiDeps) -> AsyncIterator[str]:
    """Serve the site; yields its URL."""
    listener = bind(deps.settings)
    listener.listen(128)
    server = make_server(create_site(deps), deps.settings)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        while not server.started:
            assert not task.done(), "the server did not start"
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()
