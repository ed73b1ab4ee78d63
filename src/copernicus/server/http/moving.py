"""Whole projects from server to server: saved as frames, loaded as a new project of the caller."""

from __future__ import annotations

import asyncio

from litestar import Router, get, post, put
from litestar.params import FromPath, JSONBody
from litestar.response import Stream

from copernicus.blobs import CHUNK_SIZE
from copernicus.errors import Conflict
from copernicus.protocol import (
    BlobManifest,
    MissingReply,
    MissingRequest,
    ProjectView,
    SmallBlobs,
)
from copernicus.protocol.saved import LoadRequest
from copernicus.security.policy import Action
from copernicus.server.batch import Batch
from copernicus.server.holdings import Loaded
from copernicus.server.http.access import (
    AnyRequest,
    caller_of,
    check_role,
    does,
    site_of,
)
from copernicus.server.http.blobs import (
    commit_blob,
    keep_chunk,
    keep_small,
    missing_for,
    user_sender,
)
from copernicus.server.http.projects import check_name, new_project_id
from copernicus.server.loading import Saved, as_new, only_theirs, read_saved
from copernicus.server.saving import Snapshot, saved_frames, snapshot
from copernicus.server.site import Site
from copernicus.server.uploads import Sender
from copernicus.server.views import project_view


@get("/saved", opt=does(Action.EXPORT_PROJECT), media_type="application/octet-stream")
async def save_project(request: AnyRequest) -> Stream:
    """The project as frames: journal, open work, and the list of its files."""
    site, caller = site_of(request), caller_of(request)
    server = site.authority.server_id

    def look(batch: Batch) -> Snapshot:
        project = check_role(request, batch)
        batch.audit(caller.name, caller.address, "project.save", project.record.name)
        return snapshot(batch, project, server)

    taken = await site.runtime.do(look)
    return Stream(saved_frames(site, taken), media_type="application/octet-stream")


@post("/blobs/missing", opt=does(Action.CREATE_PROJECT), status_code=200)
async def missing_for_load(request: AnyRequest, data: JSONBody[MissingRequest]) -> MissingReply:
    """Which chunks and blobs have to be uploaded before a project can be loaded."""
    return await missing_for(request, user_sender(request), data)


@put(
    "/chunks/{sha256:str}",
    opt=does(Action.CREATE_PROJECT),
    status_code=204,
    request_max_body_size=CHUNK_SIZE,
)
async def put_chunk_for_load(request: AnyRequest, sha256: FromPath[str]) -> None:
    """Upload one chunk (the body) of at most 1 MiB."""
    site_of(request).room.refuse_if_low()
    await keep_chunk(request, user_sender(request), sha256)


@post("/blobs", opt=does(Action.CREATE_PROJECT), status_code=204)
async def commit_for_load(request: AnyRequest, data: JSONBody[BlobManifest]) -> None:
    """Make a blob of chunks that are here."""
    await commit_blob(request, user_sender(request), data)


@post("/blobs/small", opt=does(Action.CREATE_PROJECT), status_code=204)
async def put_small_for_load(request: AnyRequest, data: JSONBody[SmallBlobs]) -> None:
    """Upload many small files at once, each whole (base64)."""
    site_of(request).room.refuse_if_low()
    await keep_small(request, user_sender(request), data)


@post("/", opt=does(Action.CREATE_PROJECT))
async def load_project(request: AnyRequest, data: JSONBody[LoadRequest]) -> ProjectView:
    """Make a project of frames and files that were uploaded; paused unless ``resume``."""
    site, caller = site_of(request), caller_of(request)
    loaded = await asyncio.to_thread(_loaded, site, data, caller.name, user_sender(request))

    def adopt(batch: Batch) -> ProjectView:
        project = batch.load_project(loaded, resume=data.resume)
        origin = loaded.origin
        thing = f"{loaded.record.name} from {origin.name} at {origin.server}"
        batch.audit(caller.name, caller.address, "project.load", thing)
        return project_view(batch, project)

    return await site.runtime.do(adopt)


def _loaded(site: Site, data: LoadRequest, owner: str, sender: Sender) -> Loaded:
    if not site.uploads.may_name(sender, data.sha256):
        raise _not_here({data.sha256})
    saved = read_saved(site.blobs.read(data.sha256))
    assert saved.head is not None
    name = data.name or saved.head.name
    check_name(name)
    if site.runtime.holdings.projects.find(name) is not None:
        raise Conflict(f"There is already a project {name!r}: choose another name (--name).")
    _check_files(site, saved)
    owned = only_theirs(saved, lambda sha256: site.uploads.may_name(sender, sha256))
    return as_new(owned, new_project_id(), name, owner, site.runtime.holdings.catalog)


def _check_files(site: Site, saved: Saved) -> None:
    """Asking keeps them from a sweep until the journal names them."""
    absent = {file.sha256 for file in saved.files if not site.blobs.has(file.sha256)}
    if absent:
        raise _not_here(absent)


def _not_here(absent: set[str]) -> Conflict:
    return Conflict(
        f"{len(absent)} files of the project are not on this server, first {min(absent)}: "
        "load it again; what is here is not sent again."
    )


SAVE_ROUTES = Router("/v1/projects/{project:str}", route_handlers=[save_project], tags=["projects"])
LOAD_ROUTES = Router(
    "/v1/loads",
    route_handlers=[
        missing_for_load,
        put_chunk_for_load,
        commit_for_load,
        put_small_for_load,
        load_project,
    ],
    tags=["projects"],
)
