"""The two applications: the same server behind each, other routes, another form of bodies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.enums import MediaType
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp

import copernicus
from copernicus.security.policy import Action
from copernicus.server.http.access import does, guard
from copernicus.server.http.auditing import AUDIT_ROUTES
from copernicus.server.http.blobs import USER_BLOB_ROUTES, WORKER_BLOB_ROUTES
from copernicus.server.http.functions import FUNCTION_ROUTES
from copernicus.server.http.joining import JOINING_ROUTES, RENEWAL_ROUTES
from copernicus.server.http.limits import TimedBodies
from copernicus.server.http.looking import LOOKING_ROUTES, QUEUE_ROUTES
from copernicus.server.http.moving import LOAD_ROUTES, SAVE_ROUTES
from copernicus.server.http.operating import OPERATING_ROUTES, Counted
from copernicus.server.http.peeking import PEEKING_ROUTES
from copernicus.server.http.peers import PEER_ROUTES
from copernicus.server.http.projects import PROJECT_ROUTES
from copernicus.server.http.refusals import PAGE_HEADERS, refusal_handlers
from copernicus.server.http.retention import RETENTION_ROUTES
from copernicus.server.http.schema import StructSchemas
from copernicus.server.http.servers import SERVERS_ROUTES, TELLING_ROUTES
from copernicus.server.http.session import SESSION_ROUTES
from copernicus.server.http.shares import SHARES_ROUTES
from copernicus.server.http.tokens import TOKEN_ROUTES
from copernicus.server.http.work import WORK_ROUTES
from copernicus.server.site import Site

_PAGES = Path(copernicus.__file__).parent / "web" / "static"


def user_app(site: Site) -> ASGIApp:
    """The application of the user port."""
    routes: list[Any] = [
        SESSION_ROUTES,
        OPERATING_ROUTES,
        TOKEN_ROUTES,
        AUDIT_ROUTES,
        JOINING_ROUTES,
        PROJECT_ROUTES,
        LOOKING_ROUTES,
        PEEKING_ROUTES,
        QUEUE_ROUTES,
        FUNCTION_ROUTES,
        SHARES_ROUTES,
        RETENTION_ROUTES,
        PEER_ROUTES,
        SERVERS_ROUTES,
        USER_BLOB_ROUTES,
        SAVE_ROUTES,
        LOAD_ROUTES,
    ]
    if _PAGES.is_dir():
        pages = create_static_files_router(
            "/", [_PAGES], html_mode=True, opt=does(Action.SEE_PAGES)
        )
        routes.append(pages)
    schema = OpenAPIConfig(
        title="Copernicus",
        version=copernicus.__version__,
        path="/schema",
        render_plugins=[JsonRenderPlugin()],
        openapi_router=Router("/schema", route_handlers=[], opt=does(Action.SEE_PAGES)),
        use_handler_docstrings=True,
    )
    app = _app(site, routes, MediaType.JSON, schema, site.settings.max_body)
    return Counted(TimedBodies(app), site.metrics, "user")


def machine_app(site: Site) -> ASGIApp:
    """The application of the machine port."""
    routes = [WORK_ROUTES, TELLING_ROUTES, WORKER_BLOB_ROUTES, RENEWAL_ROUTES]
    app = _app(site, routes, MediaType.MESSAGEPACK, None, site.settings.max_result_body)
    return Counted(TimedBodies(app), site.metrics, "machine")


def _app(
    site: Site,
    routes: list[Any],
    media_type: MediaType,
    schema: OpenAPIConfig | None,
    max_body: int,
) -> Litestar:
    app = Litestar(
        routes,
        guards=[guard],
        exception_handlers=refusal_handlers(media_type),
        openapi_config=schema,
        request_max_body_size=max_body,
        response_headers=PAGE_HEADERS,
        state=State({"site": site}),
        logging_config=None,
        plugins=[StructSchemas()],
    )
    check_actions(app)
    return app


def check_actions(app: Litestar) -> None:
    """Refuse to start with a route that declares no action: nobody would know who may use it.

    Raises:
        RuntimeError: naming the routes.
    """
    silent = [
        f"{sorted(handler.http_methods)} {route.path}"
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if handler.http_methods != {"OPTIONS"} and "action" not in handler.opt
    ]
    if silent:
        raise RuntimeError(f"routes without an action: {', '.join(silent)}")
