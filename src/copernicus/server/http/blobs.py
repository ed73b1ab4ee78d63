"""Files in chunks: for users within a project, for workers within the attempts that they hold."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated
from urllib.parse import quote

from litestar import Response, Router, get, post, put
from litestar.enums import MediaType
from litestar.params import FromPath, JSONBody, QueryParameter
from litestar.response import Stream

from copernicus.blobs import CHUNK_SIZE
from copernicus.errors import BadValue, NotFound
from copernicus.protocol import BlobManifest, MissingReply, MissingRequest, SmallBlobs
from copernicus.security.policy import Action
from copernicus.server.files import Referred, hashes_in
from copernicus.server.http.access import (
    AnyRequest,
    caller_of,
    does,
    packed,
    project_of,
    site_of,
    visible_to,
    worker_of,
)
from copernicus.server.retention import gone_file
from copernicus.server.site import Site
from copernicus.server.uploads import Sender
from copernicus.store.records import sender_of

_PACKED = MediaType.MESSAGEPACK
_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?|bytes=-(\d{1,18})")
Name = Annotated[str, QueryParameter(name="name", max_length=255)]


# --- users --------------------------------------------------------------------------------------


@post("/blobs/missing", opt=does(Action.EDIT_PROJECT), status_code=200)
async def missing(request: AnyRequest, data: JSONBody[MissingRequest]) -> MissingReply:
    """Which of these chunks and blobs have to be uploaded."""
    return await missing_for(request, user_sender(request), data)


@put(
    "/chunks/{sha256:str}",
    opt=does(Action.EDIT_PROJECT),
    status_code=204,
    request_max_body_size=CHUNK_SIZE,
)
async def put_chunk(request: AnyRequest, sha256: FromPath[str]) -> None:
    """Upload one chunk (the body) of at most 1 MiB."""
    site_of(request).room.refuse_if_low()
    await keep_chunk(request, user_sender(request), sha256)


@post("/blobs", opt=does(Action.EDIT_PROJECT), status_code=204)
async def commit(request: AnyRequest, data: JSONBody[BlobManifest]) -> None:
    """Make a blob of chunks that are here."""
    await commit_blob(request, user_sender(request), data)


@post("/blobs/small", opt=does(Action.EDIT_PROJECT), status_code=204)
async def put_small(request: AnyRequest, data: JSONBody[SmallBlobs]) -> None:
    """Upload many small files at once, each whole (base64)."""
    site_of(request).room.refuse_if_low()
    await keep_small(request, user_sender(request), data)


@get("/blobs/{sha256:str}", opt=does(Action.DOWNLOAD), media_type="application/octet-stream")
async def download(
    request: AnyRequest, sha256: FromPath[str], name: Name = ""
) -> Response[bytes] | Stream:
    """The bytes of a file that the project refers to, or a ``Range`` of them."""
    site, project = site_of(request), project_of(request)
    owner = project.record.id

    def refuse_other() -> None:
        if not site.files.refers(owner, sha256):
            at = site.files.gone(owner, sha256)
            if at is not None:
                raise gone_file(project, sha256, at)
            raise NotFound(f"Project {project.record.name!r} refers to no file {sha256[:80]!r}.")

    return await _send(request, sha256, name, refuse_other)


# --- workers ------------------------------------------------------------------------------------


@post("/blobs/missing", opt=does(Action.WRITE_ATTEMPT_BLOB), media_type=_PACKED, status_code=200)
async def missing_of_worker(request: AnyRequest) -> MissingReply:
    """Which of these chunks and blobs have to be uploaded."""
    data = await packed(request, MissingRequest)
    return await missing_for(request, worker_sender(request), data)


@put(
    "/chunks/{sha256:str}",
    opt=does(Action.WRITE_ATTEMPT_BLOB),
    status_code=204,
    request_max_body_size=CHUNK_SIZE,
)
async def put_chunk_of_worker(request: AnyRequest, sha256: FromPath[str]) -> None:
    """Upload one chunk (the body) of at most 1 MiB."""
    await keep_chunk(request, worker_sender(request), sha256)


@post("/blobs", opt=does(Action.WRITE_ATTEMPT_BLOB), status_code=204)
async def commit_of_worker(request: AnyRequest) -> None:
    """Make a blob of chunks that are here."""
    data = await packed(request, BlobManifest)
    await commit_blob(request, worker_sender(request), data)


@get(
    "/blobs/{sha256:str}", opt=does(Action.READ_ATTEMPT_BLOB), media_type="application/octet-stream"
)
async def download_of_worker(
    request: AnyRequest, sha256: FromPath[str]
) -> Response[bytes] | Stream:
    """The bytes of an input or checkpoint file of an attempt that the worker holds."""
    site, worker = site_of(request), worker_of(request)

    def refuse_other() -> None:
        if sha256 not in _OfAttempts(site, worker.id):
            raise NotFound(f"No attempt that worker {worker.id} holds has a file {sha256[:80]!r}.")

    return await _send(request, sha256, "", refuse_other)


# --- both ---------------------------------------------------------------------------------------


async def missing_for(request: AnyRequest, sender: Sender, data: MissingRequest) -> MissingReply:
    """What this sender has to upload."""
    return await asyncio.to_thread(site_of(request).uploads.missing, sender, data)


async def keep_chunk(request: AnyRequest, sender: Sender, sha256: str) -> None:
    """Keep the body as a chunk."""
    data = await request.body()
    await asyncio.to_thread(site_of(request).uploads.put_chunk, sender, sha256, data)


async def commit_blob(request: AnyRequest, sender: Sender, data: BlobManifest) -> None:
    """Make a blob, and keep who has sent it."""
    site = site_of(request)
    await asyncio.to_thread(site.uploads.commit, sender, data)
    await _note_sent(site, sender, [data.sha256])


async def keep_small(request: AnyRequest, sender: Sender, data: SmallBlobs) -> None:
    """Keep blobs that came whole, and who has sent them."""
    site = site_of(request)
    names = await asyncio.to_thread(site.uploads.put_whole, sender, data.contents)
    await _note_sent(site, sender, names)


async def _note_sent(site: Site, sender: Sender, blobs: Sequence[str]) -> None:
    await site.runtime.do(
        lambda batch: batch.write(lambda tx: tx.note_uploads(sender.name, blobs, batch.now))
    )


def user_sender(request: AnyRequest) -> Sender:
    """The user that asks, and what they may fetch: the files of all their projects."""
    site, caller = site_of(request), caller_of(request)
    here = request.path_params.get("project")
    projects = visible_to(site.runtime.holdings, caller)
    projects.sort(key=lambda project: here not in (project.record.id, project.record.name))
    readable = Referred(site.files, [project.record.id for project in projects])
    # What a token for one project has sent is not what its user has sent elsewhere.
    only_in = caller.principal.project
    name = sender_of(caller.principal.kind, caller.name, only_in)
    return Sender(name, readable, everything=caller.principal.admin and not only_in)


def worker_sender(request: AnyRequest) -> Sender:
    """The worker that asks, and what it may fetch: the files of the attempts that it holds."""
    site, caller = site_of(request), caller_of(request)
    held = _OfAttempts(site, worker_of(request).id)
    return Sender(sender_of(caller.principal.kind, caller.name), held, held.listed)


class _OfAttempts:
    """The inputs and checkpoints of the attempts that a worker holds; looked for when asked."""

    def __init__(self, site: Site, worker: str) -> None:
        self._site = site
        self._worker = worker

    def __contains__(self, sha256: str) -> bool:
        return sha256 in self._files

    def listed(self) -> Iterable[str]:
        return self._files

    @cached_property
    def _files(self) -> set[str]:
        scheduler = self._site.runtime.holdings.scheduler
        found: set[str] = set()
        for attempt in scheduler.attempts_of(self._worker):
            row = scheduler.job_row(attempt.rpartition("#")[0])
            if row is not None and row.spec is not None:
                found.update(hashes_in(row.spec))
                for line in self._site.store.checkpoints(row.project, row.spec.checkpoint_key):
                    found.update(hashes_in(line))
        return found


async def _send(
    request: AnyRequest, sha256: str, name: str, refuse_other: Callable[[], None]
) -> Response[bytes] | Stream:
    """A range of a file that ``refuse_other`` does not refuse; a single piece in one answer."""
    asked = request.headers.get("range", "")
    # All that blocks in one visit to a thread, and before anything is said: what is damaged is
    # refused, not broken off.
    opened = await asyncio.to_thread(_open, site_of(request), sha256, asked, refuse_other)
    headers = {
        "Accept-Ranges": "bytes",
        "Content-Length": str(opened.end - opened.start),
        "ETag": f'"{sha256}"',
        "X-Content-Type-Options": "nosniff",
        # Files come from jobs: never shown by a browser as a page of this server.
        "Content-Security-Policy": "sandbox",
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name or sha256, safe='')}",
    }
    if opened.partial:
        headers["Content-Range"] = f"bytes {opened.start}-{opened.end - 1}/{opened.size}"
    status = 206 if opened.partial else 200
    if len(opened.first) == opened.end - opened.start:
        return Response(opened.first, status_code=status, headers=headers)
    pieces = itertools.chain((opened.first,), opened.rest)
    return Stream(pieces, status_code=status, headers=headers)


@dataclass(frozen=True)
class _Opened:
    """A range of a file: its first piece, and how to come by the rest."""

    size: int
    start: int
    end: int
    partial: bool
    first: bytes
    rest: Iterator[bytes]


def _open(site: Site, sha256: str, asked: str, refuse_other: Callable[[], None]) -> _Opened:
    refuse_other()
    manifest = site.blobs.manifest(sha256)
    start, end, partial = _range(asked, manifest.size)
    pieces = site.blobs.read_from(manifest, start, end)
    return _Opened(manifest.size, start, end, partial, next(pieces, b""), pieces)


def _range(header: str, size: int) -> tuple[int, int, bool]:
    found = _RANGE.fullmatch(header.strip())
    if not found:
        return 0, size, False
    if found[3] is not None:
        start, end = max(size - int(found[3]), 0), size
    else:
        start = int(found[1])
        end = size if found[2] is None else min(int(found[2]) + 1, size)
    if start >= end:
        raise BadValue(f"The file has {size} bytes; there is no range {header!r}.")
    return start, end, True


USER_BLOB_ROUTES = Router(
    "/v1/projects/{project:str}",
    route_handlers=[missing, put_chunk, commit, put_small, download],
    tags=["files"],
)
WORKER_BLOB_ROUTES = Router(
    "/v1/work",
    route_handlers=[missing_of_worker, put_chunk_of_worker, commit_of_worker, download_of_worker],
)
