"""The whole site: the API and the pages in one application."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response
from litestar.di import Provide
from litestar.router import Router

from millpond.api import problems
from millpond.api.app import create_app
from millpond.api.core import Core
from millpond.api.deps import ApiDeps
from millpond.api.shell import Shell
from millpond.errors import MillpondError
from millpond.web.admin_pages import HANDLERS as ADMIN_HANDLERS
from millpond.web.assets import Assets
from millpond.web.formatting import sentence
from millpond.web.pages import HANDLERS, HTML
from millpond.web.render import Renderer
from millpond.web.staking_pages import HANDLERS as STAKING_HANDLERS

_HEADINGS = {
    400: "That does not look right",
    401: "Please sign in",
    403: "That is not allowed",
    404: "Nothing here",
    405: "That does not work here",
    429: "Too many requests",
    503: "Back in a moment",
}


def create_site(deps: ApiDeps) -> Shell:
    """Make the ASGI application of the API and the pages."""
    core = Core(deps)
    assets = Assets()
    renderer = Renderer(assets)

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
        answer = problems.handle(request, error)
        wants = request.headers.get("accept", "")
        if request.scope["path"].startswith("/api/") or "text/html" not in wants:
            return answer
        document = problems.from_exception(error)
        text = renderer.page(
            "error.html",
            status=document.status,
            heading=_HEADINGS.get(document.status, "Something went wrong"),
            detail=sentence(document.detail),
        )
        return Response(text, status_code=document.status, media_type=HTML)

    pages = Router(
        "/",
        route_handlers=[*HANDLERS, *STAKING_HANDLERS, *ADMIN_HANDLERS],
        dependencies={
            "renderer": Provide(lambda: renderer, sync_to_thread=False, use_cache=True),
            "assets": Provide(lambda: assets, sync_to_thread=False, use_cache=True),
        },
    )
    return create_app(
        deps,
        core=core,
        pages=[pages],
        exception_handlers={MillpondError: handle, Exception: handle},
    )
