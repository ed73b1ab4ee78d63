"""How long a project keeps files that nothing in it uses, and removing what it does not keep."""

from __future__ import annotations

import asyncio

import msgspec
from litestar import Router, post, put
from litestar.params import JSONBody

from copernicus.crashpoints import passing
from copernicus.model.retention import Retention, check_retention
from copernicus.protocol import CollectReply, CollectRequest, ProjectView
from copernicus.security.policy import Action
from copernicus.server.batch import Batch
from copernicus.server.files import Referred
from copernicus.server.http.access import (
    AnyRequest,
    caller_of,
    check_role,
    does,
    project_of,
    site_of,
    visible_to,
)
from copernicus.server.retention import collect
from copernicus.server.shares import RETENTION
from copernicus.server.views import project_view


@put("/projects/{project:str}/retention", opt=does(Action.REMOVE_FILES))
async def set_retention(request: AnyRequest, data: JSONBody[Retention]) -> ProjectView:
    """Set for how long files of results stay that nothing uses any more."""
    caller = caller_of(request)
    check_retention(data)

    def change(batch: Batch) -> ProjectView:
        project = check_role(request, batch)
        name = project.record.id
        batch.holdings.decided.retention[name] = data
        batch.touched.add(name)
        batch.write(RETENTION.keep(name, data))
        thing = f"{project.record.name}: {msgspec.json.encode(data).decode()[:200]}"
        batch.audit(caller.name, caller.address, "project.set_retention", thing)
        return project_view(batch, project)

    return await site_of(request).runtime.do(change)


@post("/projects/{project:str}/collect", opt=does(Action.REMOVE_FILES), status_code=200)
async def collect_files(request: AnyRequest, data: JSONBody[CollectRequest]) -> CollectReply:
    """Remove the files that go by the rules, or only tell which."""
    caller, site = caller_of(request), site_of(request)
    here = project_of(request).record.id
    # A long journal is read before the batch, in which little of it is new.
    await asyncio.to_thread(site.files.in_sources, here)

    def carry_out(batch: Batch) -> CollectReply:
        project = check_role(request, batch)
        found = collect(batch, project, site.store, site.files, dry_run=data.dry_run)
        if not data.dry_run:
            thing = f"{project.record.name}: {len(found.files)} files, {found.bytes} bytes"
            batch.audit(caller.name, caller.address, "project.collect", thing)
        return found

    found = await site.runtime.do(carry_out)
    if not data.dry_run and found.files:
        passing("collect.decided")
        site.sweep_now()
    # Of projects that they may not see, nobody is to learn what they hold.
    others = [p.record.id for p in visible_to(site.runtime.holdings, caller)]
    elsewhere = Referred(site.files, [other for other in others if other != here])
    return await asyncio.to_thread(_less_shared, found, elsewhere)


def _less_shared(found: CollectReply, elsewhere: Referred) -> CollectReply:
    files = tuple(
        msgspec.structs.replace(file, elsewhere=file.sha256 in elsewhere) for file in found.files
    )
    size = sum(file.size for file in files if not file.elsewhere)
    return msgspec.structs.replace(found, files=files, bytes=size)


RETENTION_ROUTES = Router("/v1", route_handlers=[set_retention, collect_files], tags=["retention"])
