"""Projects: making, listing, sharing, deleting, editing."""

from __future__ import annotations

import asyncio
import re
import secrets

from litestar import Router, delete, get, post, put
from litestar.params import FromPath, JSONBody
from ulid import ULID

from copernicus.errors import BadValue, Conflict
from copernicus.model.filenames import check_name as check_file_name
from copernicus.model.values import File
from copernicus.protocol import (
    EditReply,
    EditRequest,
    Member,
    NewProject,
    PreviewReply,
    ProjectView,
)
from copernicus.security.policy import Action, Role
from copernicus.server.batch import Batch
from copernicus.server.editing import edit
from copernicus.server.files import files_in_edits, hashes_in, missing_file
from copernicus.server.http.access import (
    AnyRequest,
    caller_of,
    check_role,
    does,
    site_of,
    visible_to,
)
from copernicus.server.http.blobs import user_sender
from copernicus.server.http.withdrawal import withdraw
from copernicus.server.previews import Snapshot, snapshot
from copernicus.server.site import Site
from copernicus.server.uploads import Sender
from copernicus.server.views import project_view
from copernicus.store.records import MemberRecord

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MANY_EDITS = 20_000


def check_name(name: str) -> None:
    """Refuse what cannot be a project's name.

    Raises:
        BadValue: It is too long, or has characters that would need quoting.
    """
    if not _NAME.fullmatch(name):
        raise BadValue(
            f"{name!r} cannot be a project's name: at most 100 letters, digits, '.', '-', "
            "'_', and first a letter or digit."
        )


def new_project_id() -> str:
    """An id that no server gives twice."""
    return f"p{str(ULID()).lower()}"


@get("/projects", opt=does(Action.LIST_PROJECTS))
async def list_projects(request: AnyRequest) -> list[ProjectView]:
    """The projects that the user may see, by name."""
    caller = caller_of(request)

    def look(batch: Batch) -> list[ProjectView]:
        seen = [project_view(batch, project) for project in visible_to(batch.holdings, caller)]
        return sorted(seen, key=lambda view: view.name)

    return await site_of(request).runtime.do(look)


@post("/projects", opt=does(Action.CREATE_PROJECT))
async def create_project(request: AnyRequest, data: JSONBody[NewProject]) -> ProjectView:
    """A new project of this user."""
    caller = caller_of(request)
    check_name(data.name)
    project_id = new_project_id()
    seed = data.seed if data.seed is not None else secrets.randbits(31)

    def create(batch: Batch) -> ProjectView:
        project = batch.create_project(project_id, data.name, caller.name, seed)
        batch.audit(caller.name, caller.address, "project.create", data.name)
        return project_view(batch, project)

    return await site_of(request).runtime.do(create)


@get("/projects/{project:str}", opt=does(Action.SEE_PROJECT))
async def show_project(request: AnyRequest) -> ProjectView:
    """One project."""
    return await site_of(request).runtime.do(
        lambda batch: project_view(batch, check_role(request, batch))
    )


@delete("/projects/{project:str}", opt=does(Action.DELETE_PROJECT, withdraws=True))
async def delete_project(request: AnyRequest) -> None:
    """Delete a project; its running work is told to end."""
    caller = caller_of(request)

    def remove(batch: Batch) -> None:
        project = check_role(request, batch)
        batch.delete_project(project)
        batch.audit(caller.name, caller.address, "project.delete", project.record.name)

    await site_of(request).runtime.do(remove)
    withdraw(site_of(request))


@put("/projects/{project:str}/members", opt=does(Action.SHARE_PROJECT, withdraws=True))
async def set_member(request: AnyRequest, data: JSONBody[Member]) -> ProjectView:
    """Give a user a role in the project."""
    caller = caller_of(request)

    def share(batch: Batch) -> ProjectView:
        project = check_role(request, batch)
        batch.holdings.accounts.user(data.user)
        if data.user == project.record.owner and data.role != "owner":
            raise Conflict(f"{data.user!r} made this project and stays its owner.")
        project.roles[data.user] = Role.named(data.role)
        member = MemberRecord(project.record.id, data.user, data.role)
        batch.touched.add(project.record.id)
        batch.write(lambda tx: tx.set_member(member))
        thing = f"{project.record.name}: {data.user} {data.role}"
        batch.audit(caller.name, caller.address, "project.share", thing)
        return project_view(batch, project)

    view = await site_of(request).runtime.do(share)
    withdraw(site_of(request))
    return view


@delete(
    "/projects/{project:str}/members/{user:str}",
    opt=does(Action.SHARE_PROJECT, withdraws=True),
    status_code=200,
)
async def remove_member(request: AnyRequest, user: FromPath[str]) -> ProjectView:
    """Take a user's role in the project away."""
    caller = caller_of(request)

    def unshare(batch: Batch) -> ProjectView:
        project = check_role(request, batch)
        if user == project.record.owner:
            raise Conflict(f"{user!r} made this project and stays its owner.")
        project.roles.pop(user, Role.VIEWER)
        batch.touched.add(project.record.id)
        batch.write(lambda tx: tx.remove_member(project.record.id, user))
        thing = f"{project.record.name}: {user}"
        batch.audit(caller.name, caller.address, "project.unshare", thing)
        return project_view(batch, project)

    view = await site_of(request).runtime.do(unshare)
    withdraw(site_of(request))
    return view


@post("/projects/{project:str}/edits", opt=does(Action.EDIT_PROJECT), status_code=200)
async def edit_project(request: AnyRequest, data: JSONBody[EditRequest]) -> EditReply:
    """A transaction: all edits are applied, or none; or they are only checked."""
    caller, site = caller_of(request), site_of(request)
    _check_number(data)
    await asyncio.to_thread(_check_files, site, data, user_sender(request))

    def carry_out(batch: Batch) -> EditReply:
        project = check_role(request, batch)
        reply = edit(batch, project, data, caller.name)
        if not data.check_only:
            thing = f"{project.record.name} revision {reply.revision}"
            batch.audit(caller.name, caller.address, "project.edit", thing)
        return reply

    return await site.runtime.do(carry_out)


@post("/projects/{project:str}/preview", opt=does(Action.EDIT_PROJECT), status_code=200)
async def preview_edit(request: AnyRequest, data: JSONBody[EditRequest]) -> PreviewReply:
    """What a transaction would do; nothing is changed. Its files need not be here yet."""
    caller, site = caller_of(request), site_of(request)
    _check_number(data)

    def look(batch: Batch) -> tuple[Snapshot, frozenset[str]]:
        project = check_role(request, batch)
        batch.check_revision(project, data.expected_revision)
        seen = frozenset(one.record.id for one in visible_to(batch.holdings, caller))
        return snapshot(batch, project), seen

    taken, seen = await site.runtime.do(look)
    return await site.previews.make(taken, data, caller.name, seen)


def _check_number(data: EditRequest) -> None:
    if not data.edits:
        raise BadValue("A transaction needs at least one edit.")
    if len(data.edits) > _MANY_EDITS:
        raise BadValue(f"A transaction may have {_MANY_EDITS} edits, not {len(data.edits)}.")


def _check_files(site: Site, data: EditRequest, sender: Sender) -> None:
    """Files of values are here, and the user's to name."""
    files = set(files_in_edits(data.edits))
    for file in files:
        check_file_name(file.name)
    by_hash = {file.sha256: file for file in files}
    # What a project may fetch follows from what its facts name: so the same names are checked.
    for sha256 in sorted(set(hashes_in(data.edits))):
        if not site.uploads.may_name(sender, sha256):
            raise missing_file(by_hash.get(sha256, File(sha256, 0)))
    for file in files:
        if not site.blobs.has(file.sha256) or site.blobs.manifest(file.sha256).size != file.size:
            raise missing_file(file)


PROJECT_ROUTES = Router(
    "/v1",
    route_handlers=[
        list_projects,
        create_project,
        show_project,
        delete_project,
        set_member,
        remove_member,
        edit_project,
        preview_edit,
    ],
    tags=["projects"],
)
