"""Looking at running jobs: outputs before their end, series, logs; and jobs that have ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

from litestar import Router, get
from litestar.params import FromQuery, QueryParameter

from copernicus.protocol import JobPage, PartialView
from copernicus.security.policy import Action
from copernicus.server.batch import Batch
from copernicus.server.holdings import Project
from copernicus.server.http.access import AnyRequest, check_role, does, project_of, site_of
from copernicus.server.peeking import (
    Target,
    ask_outputs,
    ask_series,
    is_waiting,
    partial_views,
)
from copernicus.server.views import ended_jobs

_SEE = does(Action.SEE_PROJECT)
_LOOK_AGAIN_S = 1.0
Wait = Annotated[float, QueryParameter(name="wait_s", ge=0)]
Count = Annotated[int, QueryParameter(name="count", ge=1, le=200)]
Ask = Callable[[Batch, Project, str], list[Target]]


@get("/partial", opt=_SEE)
async def show_partial(
    request: AnyRequest, path: FromQuery[str], wait_s: Wait = 30.0
) -> list[PartialView]:
    """What running jobs have made so far of an output: asked for, and waited for until then."""
    return await _look(request, ask_outputs, path, wait_s)


@get("/series", opt=_SEE)
async def show_series(
    request: AnyRequest, path: FromQuery[str], wait_s: Wait = 30.0
) -> list[PartialView]:
    """The series of a job, as CSV files: of a running one, as they are so far."""
    return await _look(request, ask_series, path, wait_s)


async def _look(request: AnyRequest, ask: Ask, path: str, wait_s: float) -> list[PartialView]:
    site = site_of(request)
    runtime = site.runtime
    targets = await runtime.do(lambda batch: ask(batch, check_role(request, batch), path))
    loop = asyncio.get_running_loop()
    until = loop.time() + min(wait_s, site.settings.max_wait_s)
    while (left := until - loop.time()) > 0 and await runtime.do(
        lambda batch: is_waiting(batch, targets)
    ):
        await site.knocks.next(min(left, _LOOK_AGAIN_S))
    return await runtime.do(lambda batch: partial_views(batch, targets))


@get("/ended-jobs", opt=_SEE)
async def list_ended(
    request: AnyRequest, older: FromQuery[str] = "", count: Count = 100
) -> JobPage:
    """Jobs that have ended, newest first; ``older`` is that of the page before."""
    site = site_of(request)
    project = project_of(request).record.id
    rows = await asyncio.to_thread(site.store.ended_jobs, project, older, count)
    return await site.runtime.do(
        lambda batch: ended_jobs(batch, check_role(request, batch), rows, count)
    )


PEEKING_ROUTES = Router(
    "/v1/projects/{project:str}",
    route_handlers=[show_partial, show_series, list_ended],
    tags=["looking"],
)
