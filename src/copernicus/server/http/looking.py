"""Looking into a project: instances, values, traces, history, jobs, journal, live events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import takewhile
from typing import Annotated

import msgspec
from litestar import Router, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.response import Stream

from copernicus.engine import views
from copernicus.engine.core import fold
from copernicus.engine.document import document_of
from copernicus.engine.pages import page
from copernicus.errors import BadValue, Conflict, CopernicusError, NotFound
from copernicus.model.document import NetworkDocument
from copernicus.model.events import Event, RevisionMade
from copernicus.model.paths import parse
from copernicus.protocol import (
    DecisionView,
    FeedEntry,
    FunctionView,
    InstanceDetail,
    InstanceView,
    JobView,
    PinView,
    RevisionView,
    Trace,
    ValueView,
    WhyView,
)
from copernicus.protocol.reproductions import ReproduceRequest, ReproductionView
from copernicus.security.policy import Action
from copernicus.server.batch import Batch
from copernicus.server.feed import feed_entry
from copernicus.server.http.access import (
    ENDS_ITSELF,
    AnyRequest,
    caller_of,
    check_role,
    check_still_holds,
    does,
    project_of,
    site_of,
    visible_to,
)
from copernicus.server.http.functions import function_view
from copernicus.server.reproducing import reproduce, reproduction
from copernicus.server.site import Site
from copernicus.server.views import (
    instance_detail,
    instance_views,
    job_of,
    jobs_of,
    value_of_address,
)
from copernicus.server.why import why

_PAGE = 1000
_PIECE = 1 << 16
_SEE = does(Action.SEE_PROJECT)
Start = Annotated[int, QueryParameter(name="start", ge=0)]
Count = Annotated[int, QueryParameter(name="count", ge=1, le=_PAGE)]
PageSize = Annotated[int, QueryParameter(name="count", ge=0, le=10 * _PAGE)]
Depth = Annotated[int, QueryParameter(name="depth", ge=0)]
Since = Annotated[int, QueryParameter(name="since", ge=0)]
Limit = Annotated[int, QueryParameter(name="limit", ge=1, le=_PAGE)]


@get("/functions", opt=_SEE)
async def list_project_functions(request: AnyRequest) -> list[FunctionView]:
    """The functions that were made known to this project alone."""

    def look(batch: Batch) -> list[FunctionView]:
        state = check_role(request, batch).state
        return [
            function_view(state.functions[name][version])
            for name, version in sorted(state.defined.items())
        ]

    return await site_of(request).runtime.do(look)


@get("/instances", opt=_SEE)
async def list_instances(request: AnyRequest) -> list[InstanceView]:
    """All instances of the project."""
    return await site_of(request).runtime.do(
        lambda batch: instance_views(batch, check_role(request, batch))
    )


@get("/instance", opt=_SEE)
async def show_instance(
    request: AnyRequest, path: FromQuery[str], start: Start = 0, count: Count = 100
) -> InstanceDetail:
    """One instance: its ports, and a page of its elements."""
    return await site_of(request).runtime.do(
        lambda batch: instance_detail(batch, check_role(request, batch), path, start, count)
    )


@get("/value", opt=_SEE)
async def show_value(
    request: AnyRequest, path: FromQuery[str], start: Start = 0, count: PageSize = 0
) -> ValueView:
    """The value at a path such as ``run.out.energy[2]``; with ``count``, that many of a list."""
    address = value_of_address(path, parse(path))

    def look(batch: Batch) -> ValueView:
        state = check_role(request, batch).state
        return page(state, address, start, count) if count else views.value(state, address)

    return await site_of(request).runtime.do(look)


@get("/trace", opt=_SEE)
async def show_trace(request: AnyRequest, path: FromQuery[str], depth: Depth = 0) -> Trace:
    """Where a value (or what an instance, element or activation did) comes from."""
    address = parse(path)
    return await site_of(request).runtime.do(
        lambda batch: views.trace(check_role(request, batch).state, address, depth)
    )


@get("/why", opt=_SEE)
async def show_why(request: AnyRequest, path: FromQuery[str] = "") -> WhyView:
    """Why an instance or an element (without a path: the project) is not done."""
    return await site_of(request).runtime.do(
        lambda batch: why(batch, check_role(request, batch), path)
    )


@get("/decisions", opt=_SEE)
async def list_decisions(request: AnyRequest, path: FromQuery[str]) -> list[DecisionView]:
    """What a workflow instance has decided once, and what that left out."""
    return await site_of(request).runtime.do(
        lambda batch: views.decisions(check_role(request, batch).state, path)
    )


@get("/pins", opt=_SEE)
async def list_pins(request: AnyRequest) -> list[PinView]:
    """Inputs inside workflows that somebody has set by hand."""
    return await site_of(request).runtime.do(
        lambda batch: views.pins(check_role(request, batch).state)
    )


@post("/reproductions", opt=does(Action.RUN_PROJECT))
async def reproduce_value(
    request: AnyRequest, data: JSONBody[ReproduceRequest]
) -> ReproductionView:
    """Run what made a value again, beside the project."""
    caller = caller_of(request)

    def begin(batch: Batch) -> ReproductionView:
        project = check_role(request, batch)
        begun = reproduce(batch, project, data.path, elsewhere=data.elsewhere)
        thing = f"{project.record.name}: {begun.activation}"
        batch.audit(caller.name, caller.address, "project.reproduce", thing)
        return begun

    return await site_of(request).runtime.do(begin)


@get("/reproductions/{job:str}", opt=_SEE)
async def show_reproduction(request: AnyRequest, job: FromPath[str]) -> ReproductionView:
    """How far a repeated run is."""
    return await site_of(request).runtime.do(
        lambda batch: reproduction(batch, check_role(request, batch), job)
    )


@get("/history", opt=_SEE)
async def show_history(request: AnyRequest) -> list[RevisionView]:
    """All revisions, oldest first."""
    return await asyncio.to_thread(_history, site_of(request), project_of(request).record.id)


@get("/network", opt=_SEE)
async def show_network(
    request: AnyRequest, revision: Annotated[int, QueryParameter(name="revision", ge=-1)] = -1
) -> NetworkDocument:
    """The top network as a document: of now, or as it was at a revision."""
    if revision < 0:
        return await site_of(request).runtime.do(
            lambda batch: document_of(check_role(request, batch).state)
        )
    site, project = site_of(request), project_of(request)
    return await asyncio.to_thread(_network_at, site, project.record.id, revision)


def _network_at(site: Site, project: str, revision: int) -> NetworkDocument:
    def before(event: Event) -> bool:
        return not (isinstance(event, RevisionMade) and event.number > revision)

    state = fold(takewhile(before, site.store.load_project(project)))
    if state.revision < revision:
        raise NotFound(
            f"{state.name!r} has no revision {revision}: its newest is {state.revision} "
            "(cpc history)"
        )
    return document_of(state)


@get("/jobs", opt=_SEE)
async def list_jobs(request: AnyRequest) -> list[JobView]:
    """The project's first 1000 jobs: those that run, that wait, then that ended of late."""
    return await site_of(request).runtime.do(
        lambda batch: jobs_of(batch, check_role(request, batch))
    )


@get("/jobs/{job:str}", opt=_SEE)
async def show_job(
    request: AnyRequest, job: FromPath[str], watch: FromQuery[bool] = False
) -> JobView:
    """One job: its log (``watch``: to come often for a while), and why it does not run."""
    return await site_of(request).runtime.do(
        lambda batch: job_of(batch, check_role(request, batch), job, watch=watch)
    )


@get("/journal", opt=_SEE)
async def show_journal(
    request: AnyRequest, since: Since = 0, limit: Limit = _PAGE
) -> list[FeedEntry]:
    """A page of the journal, after position ``since``."""
    site, project = site_of(request), project_of(request).record.id
    entries = await asyncio.to_thread(site.store.journal, project, since, limit)
    return [feed_entry(entry) for entry in entries]


@get("/events", opt={**_SEE, ENDS_ITSELF: True}, media_type="text/event-stream")
async def follow(
    request: AnyRequest, since: Annotated[int, QueryParameter(name="since", ge=-1)] = -1
) -> Stream:
    """Everything after ``since`` (default: from now on) as server-sent events, for ever."""
    site, project = site_of(request), project_of(request)
    head = project.record.position
    position = _resume_from(request, since, head)
    stream = _events(site, request, project.record.id, position)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return Stream(stream, media_type="text/event-stream", headers=headers)


def _resume_from(request: AnyRequest, since: int, head: int) -> int:
    last = request.headers.get("last-event-id", "")
    if last and not (last.isascii() and last.isdigit()):
        raise BadValue(f"Last-Event-ID must be a position of the journal, not {last[:40]!r}.")
    position = int(last) if last else since
    if position > head:
        raise Conflict(
            f"The journal has {head} entries, so there is nothing after {position}: the server was "
            "restored from a backup, or this is another project. Follow from 0."
        )
    return head if position < 0 else position


async def _events(
    site: Site, request: AnyRequest, project: str, since: int
) -> AsyncIterator[bytes]:
    yield b": welcome\n\n"
    async for news in site.feed.follow(project, since):
        for piece in _pieces(news):
            if not _may_still_see(site, request, project):
                return
            yield piece


def _pieces(news: Iterable[FeedEntry]) -> Iterator[bytes]:
    """What has come together goes together, but not all that was missed at once."""
    piece = bytearray()
    for entry in news:
        piece += _sse(entry)
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    if piece or not news:
        yield bytes(piece) or b": alive\n\n"


def _may_still_see(site: Site, request: AnyRequest, project: str) -> bool:
    """Streams outlive the check at their start: a login may end, a role be taken away."""
    try:
        check_still_holds(site, request.scope)
    except CopernicusError:
        return False
    return project in site.runtime.holdings.projects.ids()


def _sse(entry: FeedEntry) -> bytes:
    data = msgspec.json.encode(entry)
    place = f"id: {entry.position}\n" if entry.position else ""
    return place.encode() + b"event: " + entry.kind.encode() + b"\ndata: " + data + b"\n\n"


def _history(site: Site, project: str) -> list[RevisionView]:
    found: list[RevisionView] = []
    since = 0
    while entries := site.store.journal(project, since):
        since = entries[-1].position
        for entry in entries:
            match entry.event:
                case RevisionMade(number=number, author=author, summary=summary):
                    found.append(RevisionView(number, author, entry.at, entry.position, summary))
    return found


async def all_jobs(request: AnyRequest) -> list[JobView]:
    """The jobs of every project that the user may see: the first 1000 of each."""
    caller = caller_of(request)

    def look(batch: Batch) -> list[JobView]:
        return [
            job for project in visible_to(batch.holdings, caller) for job in jobs_of(batch, project)
        ]

    return await site_of(request).runtime.do(look)


LOOKING_ROUTES = Router(
    "/v1/projects/{project:str}",
    route_handlers=[
        list_project_functions,
        list_instances,
        show_instance,
        show_value,
        show_trace,
        reproduce_value,
        show_reproduction,
        show_why,
        list_decisions,
        list_pins,
        show_history,
        show_network,
        list_jobs,
        show_job,
        show_journal,
        follow,
    ],
    tags=["looking"],
)
QUEUE_ROUTES = Router(
    "/v1", route_handlers=[get("/jobs", opt=does(Action.SEE_QUEUE))(all_jobs)], tags=["looking"]
)
