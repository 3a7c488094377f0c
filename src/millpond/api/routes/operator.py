"""The operator's door: one guard for every route behind it, and the name that acts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from litestar import Request, Response, Router
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.handlers import BaseRouteHandler
from litestar.params import SkipValidation
from litestar.types import ControllerRouterHandler
from msgspec import Meta

from millpond.api.core import Core
from millpond.api.idempotency import Answer
from millpond.api.idempotency import Request as IdempotentRequest
from millpond.api.routes.account import Key
from millpond.api.routes.positions import answer_once
from millpond.risk import Scope
from millpond.store import Tx

T = TypeVar("T")
PREFIX = "/api/v1/admin"
Reason = Annotated[str, Meta(min_length=1, max_length=300)]
ScopePath = Annotated[str, Meta(min_length=1, max_length=200)]


async def operator_only(
    connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler
) -> None:
    """Let nobody but the operator pass.

    Raises:
        AuthenticationError: Nobody is signed in.
        PermissionDeniedError: Somebody else is.
    """
    core: Core = connection.app.state["core"]
    connection.scope["state"]["operator"] = await core.callers.operator(connection.headers)


def operator_name(request: Request[Any, Any, Any]) -> str:
    """What the trail calls the operator; set by the guard."""
    return str(request.scope["state"]["operator"])


ActorDep = NamedDependency[SkipValidation[str]]


@dataclass(frozen=True, slots=True)
class Deed:
    """An act that the operator asks for.

    Attributes:
        actor: What the trail calls the operator.
        request: The request.
        key: Its idempotency key.
    """

    actor: str
    request: Request[Any, Any, Any]
    key: str | None

    async def once(self, core: Core, act: Callable[[Tx], Awaitable[T]]) -> Response[T]:
        """Do it in one transaction, once for a key, and answer with what it returns."""

        async def keep(tx: Tx) -> Answer:
            return Answer(200, msgspec.json.encode(await act(tx)))

        target = f"{self.request.method} {self.request.scope['path']}"
        body = await self.request.body()
        return await answer_once(core, IdempotentRequest("operator", target, self.key, body), keep)


def operators_deed(request: Request[Any, Any, Any], idempotency_key: Key = None) -> Deed:
    """The act that a request asks for."""
    return Deed(operator_name(request), request, idempotency_key)


DeedDep = NamedDependency[SkipValidation[Deed]]


def behind_the_door(handlers: Sequence[ControllerRouterHandler]) -> Router:
    """Routes that only the operator may use."""
    return Router(
        path=PREFIX,
        route_handlers=handlers,
        guards=[operator_only],
        dependencies={
            "actor": Provide(operator_name, sync_to_thread=False),
            "deed": Provide(operators_deed, sync_to_thread=False),
        },
        security=[{"operator": []}],
        response_headers={"Cache-Control": "no-store"},
    )


def scope_of(path: str | None) -> Scope | None:
    """A scope as written, such as `pool:btcd-main-pool`.

    Raises:
        ScopeError: It is none.
    """
    return None if path is None else Scope.parse(path)
