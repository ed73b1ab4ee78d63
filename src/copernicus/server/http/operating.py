"""For whoever watches over the server: whether it can work, and what Prometheus collects."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import structlog
from litestar import Response, Router, get
from litestar.datastructures import State
from litestar.enums import MediaType, ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from ulid import ULID

from copernicus.protocol import Readiness
from copernicus.security.policy import Action
from copernicus.server.batch import Batch
from copernicus.server.http.access import AnyRequest, does, site_of
from copernicus.server.metrics import Labels, Metrics
from copernicus.server.site import Site
from copernicus.server.views import worker_views

_TEXT = "text/plain; version=0.0.4; charset=utf-8"
_HEADER = b"x-request-id"


@get("/ready", opt=does(Action.SEE_HEALTH))
async def ready(state: State) -> Response[Readiness]:
    """Whether work is given out (200), or why not (503); needs no login, and names no path."""
    site: Site = state.site
    await site.runtime.do(lambda _batch: None)
    problems = ("the disk is almost full",) if site.room.is_low else ()
    return Response(Readiness(not problems, problems), status_code=503 if problems else 200)


@get("/metrics", opt=does(Action.SEE_METRICS), media_type=MediaType.TEXT)
async def metrics(request: AnyRequest) -> Response[str]:
    """Counters and gauges in the text format of Prometheus; for administrators."""
    site = site_of(request)
    found = await site.runtime.do(lambda batch: _now(site, batch))
    return Response(site.metrics.text(found), media_type=_TEXT)


def _now(site: Site, batch: Batch) -> dict[str, dict[Labels, float]]:
    scheduler, projects = batch.holdings.scheduler, batch.holdings.projects
    states = Counter(view.state for view in worker_views(batch, site.settings.lease_s))
    queue = scheduler.queue_sizes()
    cached = batch.holdings.peers.cached.values()
    return {
        "queue_jobs": {(("state", state),): float(size) for state, size in queue.items()},
        "leases": {(): float(scheduler.lease_count())},
        "workers": {(("state", state),): float(number) for state, number in states.items()},
        "projects": {(): float(len(projects.ids()))},
        "peer_cache_bytes": {(): float(sum(file.size for file in cached))},
        "disk_free_bytes": {(): float(site.room.free)},
        "disk_low": {(): float(site.room.is_low)},
    }


class Counted:
    """Counts what passes through a port; every request has an id, in its answer and its logs."""

    def __init__(self, app: ASGIApp, metrics: Metrics, port: str) -> None:
        self._app = app
        self._metrics = metrics
        self._port = port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        name, begun, port = str(ULID()).lower(), time.monotonic(), self._port

        async def received() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                self._metrics.count("received_bytes_total", len(message["body"]), port=port)
            return message

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._metrics.count("requests_total", port=port, status=str(message["status"]))
                message["headers"] = [*message["headers"], (_HEADER, name.encode())]
            elif message["type"] == "http.response.body":
                self._metrics.count("sent_bytes_total", len(message.get("body", b"")), port=port)
            await send(message)

        with structlog.contextvars.bound_contextvars(request=name):
            try:
                await self._app(scope, received, sent)
            finally:
                self._metrics.took("request_seconds", time.monotonic() - begun, port=port)


OPERATING_ROUTES = Router("/v1", route_handlers=[ready, metrics])
