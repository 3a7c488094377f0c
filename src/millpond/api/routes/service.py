"""Health, readiness, metrics and the API's own description."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Request, Response, get
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from millpond.api.core import Core, CoreDep
from millpond.api.models import CheckAnswer, Health
from millpond.api.openapi import document
from millpond.api.ports import Check, CheckResult
from millpond.api.routes.account import NO_STORE, bearer
from millpond.errors import MillpondError, NotFoundError
from millpond.identity.errors import AuthenticationError

_CHECK_TIMEOUT_S = 3.0


@get("/healthz", tags=["service"], response_headers=NO_STORE)
async def healthz() -> Health:
    """This process answers."""
    return Health(status="ok")


@get("/readyz", tags=["service"])
async def readyz(core: CoreDep) -> Response[Health]:
    """Everything that the pool needs works; 503 and what does not, otherwise."""
    checks = core.deps.checks
    results = await asyncio.gather(*(_ask(check) for check in checks.values()))
    answers = [
        CheckAnswer(name=name, ok=result.ok, detail=result.detail)
        for name, result in zip(checks, results, strict=True)
    ]
    ready = all(answer.ok for answer in answers)
    return Response(
        Health(status="ready" if ready else "not ready", checks=answers),
        status_code=200 if ready else 503,
        headers=NO_STORE,
    )


async def _ask(check: Check) -> CheckResult:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            return await check()
    except TimeoutError:
        return CheckResult(ok=False, detail=f"no answer in {_CHECK_TIMEOUT_S:g} s")
    except (MillpondError, OSError) as error:
        code = error.code if isinstance(error, MillpondError) else type(error).__name__
        return CheckResult(ok=False, detail=code)


@get("/metrics", include_in_schema=False)
async def metrics(core: CoreDep, request: Request[Any, Any, Any]) -> Response[bytes]:
    """Figures for Prometheus, to whom the setting allows."""
    _allow_metrics(core, request)
    render = core.deps.metrics or generate_latest
    return Response(
        render(), media_type=CONTENT_TYPE_LATEST.removesuffix("; charset=utf-8"), headers=NO_STORE
    )


def _allow_metrics(core: Core, request: Request[Any, Any, Any]) -> None:
    match core.deps.settings.metrics:
        case "open":
            return
        case "off":
            raise NotFoundError("metrics are switched off here")
        case "local" if request.scope["state"]["client_is_local"]:
            return
    if not core.identity.is_operator(bearer(request.headers.get("authorization"))):
        raise AuthenticationError("metrics need the operator's key")


@get("/api/v1/openapi.json", include_in_schema=False)
async def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """This API as OpenAPI 3.1."""
    return Response(
        msgspec.json.encode(document(request.app)), media_type="application/vnd.oai.openapi+json"
    )


HANDLERS = [healthz, readyz, metrics, openapi]
