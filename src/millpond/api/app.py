"""The application, put together from its dependencies."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from litestar import Litestar
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from millpond.api import problems, websocket
from millpond.api.core import Core
from millpond.api.deps import ApiDeps
from millpond.api.openapi import CONFIG
from millpond.api.routes import (
    account,
    admin_pools,
    miners,
    oversight,
    pools,
    positions,
    service,
    sign_in,
    staking,
)
from millpond.api.routes.operator import behind_the_door
from millpond.api.shell import Shell
from millpond.errors import MillpondError

ExceptionHandlers = dict[type[Exception] | int, Any]


def create_app(
    deps: ApiDeps,
    *,
    core: Core | None = None,
    pages: Sequence[ControllerRouterHandler] = (),
    exception_handlers: ExceptionHandlers | None = None,
) -> Shell:
    """Make the ASGI application of the API.

    Args:
        deps: What the API works with.
        core: Made from `deps` if the caller did not make it.
        pages: Further routes (`millpond.web` adds the pages).
        exception_handlers: Who answers errors; problem+json if nobody else.
    """
    running = core or Core(deps)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        async with running.running():
            yield

    handlers: ExceptionHandlers = exception_handlers or {
        MillpondError: problems.handle,
        Exception: problems.handle,
    }
    inner = Litestar(
        route_handlers=[
            *pools.HANDLERS,
            *miners.HANDLERS,
            *account.HANDLERS,
            *sign_in.HANDLERS,
            *staking.HANDLERS,
            *positions.HANDLERS,
            *oversight.PUBLIC,
            behind_the_door([*admin_pools.HANDLERS, *oversight.HANDLERS]),
            *service.HANDLERS,
            websocket.live,
            *pages,
        ],
        dependencies={"core": Provide(lambda: running, sync_to_thread=False, use_cache=True)},
        exception_handlers=handlers,
        lifespan=[lifespan],
        state=State({"core": running}),
        openapi_config=CONFIG,
        request_max_body_size=deps.settings.max_body_bytes,
        logging_config=None,
        debug=False,
    )
    return Shell(inner, deps.settings, deps.clock, end_streams=running.hub.shut)
