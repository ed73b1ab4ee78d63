"""Who works for whom: priorities of jobs, shares of projects, rules of pools."""

from __future__ import annotations

import secrets

import msgspec
from litestar import Router, delete, get, put
from litestar.params import FromPath, FromQuery, JSONBody

from copernicus.errors import NotAllowed
from copernicus.model.pools import Provision, check_provision
from copernicus.model.shares import PoolRules
from copernicus.model.verification import Verification, check_verification
from copernicus.protocol import (
    JobPriority,
    JobView,
    PoolChange,
    PoolView,
    ProjectView,
    ShareChange,
)
from copernicus.security.policy import Action
from copernicus.server.batch import Batch
from copernicus.server.http.access import AnyRequest, caller_of, check_role, does, site_of
from copernicus.server.provisioning import decide_provision, leave
from copernicus.server.shares import POOL_RULES, SHARES, changed
from copernicus.server.verifications import RULES, KeptRule
from copernicus.server.views import job_of, pool_views, project_view


@put("/projects/{project:str}/share", opt=does(Action.SHARE_PROJECT))
async def set_share(request: AnyRequest, data: JSONBody[ShareChange]) -> ProjectView:
    """Change a project's weight (administrators), its priority, or the pools that it uses."""
    caller = caller_of(request)
    if data.weight is not None and not caller.principal.admin:
        raise NotAllowed(
            "Only an administrator may change a project's weight: it is taken from the others."
        )

    def change(batch: Batch) -> ProjectView:
        project = check_role(request, batch)
        share = changed(batch.holdings.decided.share(project.record.id), data)
        batch.holdings.decided.shares[project.record.id] = share
        batch.holdings.scheduler.set_share(project.record.id, share)
        batch.write(SHARES.keep(project.record.id, share))
        said = f"weight {share.weight:g} priority {share.priority} pools {','.join(share.pools)}"
        thing = f"{project.record.name}: {said}"
        batch.audit(caller.name, caller.address, "project.set_share", thing)
        return project_view(batch, project)

    return await site_of(request).runtime.do(change)


@put("/projects/{project:str}/verification", opt=does(Action.MANAGE_PEERS))
async def set_verification(request: AnyRequest, data: JSONBody[Verification]) -> ProjectView:
    """Set how much of what peers gave a project is run again elsewhere.

    Only administrators may: a difference takes work from a peer for all projects.
    """
    caller = caller_of(request)

    def change(batch: Batch) -> ProjectView:
        project = check_role(request, batch)
        check_verification(data, {*project.state.functions, *batch.holdings.catalog})
        name, rules = project.record.id, batch.holdings.verifications.rules
        kept = KeptRule(data, rules[name].key if name in rules else secrets.token_hex(16))
        rules[name] = kept
        batch.touched.add(name)
        batch.write(RULES.keep(name, kept))
        thing = f"{project.record.name}: {msgspec.json.encode(data).decode()[:200]}"
        batch.audit(caller.name, caller.address, "project.set_verification", thing)
        return project_view(batch, project)

    return await site_of(request).runtime.do(change)


@put("/projects/{project:str}/jobs/{job:str}/priority", opt=does(Action.RUN_PROJECT))
async def set_priority(
    request: AnyRequest, job: FromPath[str], data: JSONBody[JobPriority]
) -> JobView:
    """Let a job run before others, or after them; also while it is queued."""
    caller = caller_of(request)

    def change(batch: Batch) -> JobView:
        project = check_role(request, batch)
        found = job_of(batch, project, job)
        batch.holdings.scheduler.set_priority(found.id, data.priority)
        batch.touched.add(project.record.id)
        batch.audit(caller.name, caller.address, "job.priority", f"{found.id} {data.priority}")
        return job_of(batch, project, job)

    return await site_of(request).runtime.do(change)


@get("/pools", opt=does(Action.SEE_WORKERS))
async def list_pools(request: AnyRequest) -> list[PoolView]:
    """The pools that have workers or rules, by name."""
    site = site_of(request)
    return await site.runtime.do(lambda batch: pool_views(batch, site.settings.lease_s))


@put("/pools/{pool:str}", opt=does(Action.MANAGE_POOLS))
async def set_pool(
    request: AnyRequest, pool: FromPath[str], data: JSONBody[PoolChange]
) -> list[PoolView]:
    """Say which projects the workers of a pool serve."""
    caller, site = caller_of(request), site_of(request)

    def change(batch: Batch) -> list[PoolView]:
        found = [batch.holdings.projects.get(name).record.id for name in data.projects]
        rules = PoolRules(tuple(dict.fromkeys(found)))
        batch.holdings.decided.pools[pool] = rules
        batch.holdings.scheduler.set_pool(pool, rules)
        batch.write(POOL_RULES.keep(pool, rules))
        thing = f"{pool}: {', '.join(data.projects) or 'all projects'}"
        batch.audit(caller.name, caller.address, "pool.set", thing)
        return pool_views(batch, site.settings.lease_s)

    return await site.runtime.do(change)


@put("/pools/{pool:str}/provision", opt=does(Action.MANAGE_POOLS))
async def set_provision(
    request: AnyRequest, pool: FromPath[str], data: JSONBody[Provision]
) -> list[PoolView]:
    """Let a pool start its workers itself, or change how; what runs already stays as it is."""
    caller, site = caller_of(request), site_of(request)
    check_provision(pool, data)
    await site.provisioner.check(data)

    def change(batch: Batch) -> list[PoolView]:
        decide_provision(batch, pool, data)
        batch.audit(caller.name, caller.address, "pool.provision", f"{pool} by {data.provider}")
        return pool_views(batch, site.settings.lease_s)

    found = await site.runtime.do(change)
    site.provisioner.wake(pool)
    return found


@delete("/pools/{pool:str}/provision", opt=does(Action.MANAGE_POOLS), status_code=200)
async def end_provision(
    request: AnyRequest, pool: FromPath[str], now: FromQuery[bool] = False
) -> list[PoolView]:
    """Let a pool start no more workers, cancel those that wait, and let the others finish.

    ``now``: end the others, too; their jobs go back with checkpoints.

    Raises:
        NotFound: the pool starts no workers.
    """
    caller, site = caller_of(request), site_of(request)

    def change(batch: Batch) -> list[PoolView]:
        leave(batch, pool, at_once=now)
        batch.audit(caller.name, caller.address, "pool.remove", f"{pool}{' now' if now else ''}")
        return pool_views(batch, site.settings.lease_s)

    found = await site.runtime.do(change)
    site.provisioner.wake(pool)
    return found


SHARES_ROUTES = Router(
    "/v1",
    route_handlers=[
        set_share,
        set_verification,
        set_priority,
        list_pools,
        set_pool,
        set_provision,
        end_provision,
    ],
    tags=["shares"],
)
