"""The audit log, for administrators: searching it, and whether its chain holds."""

from __future__ import annotations

import asyncio
from typing import Annotated

from litestar import Router, get
from litestar.params import FromQuery, QueryParameter

from copernicus.protocol.accounts import AuditChain, AuditView
from copernicus.security.policy import Action
from copernicus.server.http.access import AnyRequest, does, site_of
from copernicus.store.audit import AuditSearch

_READ = does(Action.READ_AUDIT)
Older = Annotated[int | None, QueryParameter(name="older", ge=1, le=2**62)]
Count = Annotated[int, QueryParameter(name="count", ge=1, le=1000)]
Number = Annotated[int, QueryParameter(name="number", ge=0, le=2**62)]


@get("/audit", opt=_READ)
async def search_audit(
    request: AnyRequest,
    actor: FromQuery[str] = "",
    source: FromQuery[str] = "",
    action: FromQuery[str] = "",
    about: FromQuery[str] = "",
    outcome: FromQuery[str] = "",
    after: FromQuery[float | None] = None,
    before: FromQuery[float | None] = None,
    older: Older = None,
    count: Count = 100,
) -> list[AuditView]:
    """The newest entries that fit, newest first; ``older``: from before this number."""
    wanted = AuditSearch(actor, source, action, about, outcome, after, before)
    found = await asyncio.to_thread(site_of(request).store.audit_page, wanted, older, count)
    return [
        AuditView(one.number, one.at, one.actor, one.source, one.action, one.object, one.outcome)
        for one in found
    ]


@get("/audit/chain", opt=_READ)
async def check_audit(request: AnyRequest, number: Number = 0) -> AuditChain:
    """Whether every entry follows from the one before; with a number, the link of that entry."""
    checked = await asyncio.to_thread(site_of(request).store.check_audit, number)
    return AuditChain(checked.entries, checked.head, checked.broken, checked.noted)


AUDIT_ROUTES = Router("/v1", route_handlers=[search_audit, check_audit], tags=["audit"])
