"""A model of a worker: what a real one says to the server, with its identity and its client, and
no program run."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from copernicus.calling.link import Link
from copernicus.model.resources import Offer, ProgramOffer
from copernicus.model.values import File
from copernicus.protocol import (
    Assignment,
    Beat,
    HeartbeatReply,
    HeartbeatRequest,
    LeaseReply,
    LeaseRequest,
    ResultReply,
    ResultRequest,
    ResultsReply,
    ResultsRequest,
)
from copernicus.worker.identity import Identity, obtain_identity
from copernicus.worker.probe import Machine

POLL_S = 30.0
EMPTY = File(sha256(b"").hexdigest(), 0, "out.txt").plain()


class ModelWorker:
    """One core, and the programs named; each attempt is held for a time and then completed."""

    def __init__(self, identity: Identity, programs: tuple[str, ...]) -> None:
        bundle = identity.bundle
        self.link = Link(bundle.urls, bundle.server_id, identity.context())
        self.offer = Offer(tuple(ProgramOffer(name, "1.0") for name in programs), 1, 4000)
        self._seq = 0

    async def granted(self) -> Assignment:
        """The next attempt; asks until there is one."""
        while True:
            request = LeaseRequest(uuid.uuid4().hex, self.offer, POLL_S)
            reply = await self.link.persist(
                lambda request=request: self.link.ask("/v1/work/lease", request, LeaseReply)
            )
            if reply.assignments:
                return reply.assignments[0]

    async def hold(self, assignment: Assignment, seconds: float) -> None:
        """Beat for so long, as often as the server wants."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            await asyncio.sleep(min(left, assignment.heartbeat_s))
            if loop.time() >= end:
                break
            self._seq += 1
            beats = HeartbeatRequest((Beat(assignment.attempt, self._seq),))
            await self.link.persist(
                lambda beats=beats: self.link.ask("/v1/work/heartbeat", beats, HeartbeatReply)
            )

    async def complete(
        self, assignment: Assignment, outputs: dict[str, Any], inline: Mapping[str, bytes]
    ) -> None:
        """Deliver a result."""
        result = self._result(assignment, outputs, inline)
        await self.link.persist(lambda: self.link.ask("/v1/work/result", result, ResultReply))

    async def exchange(
        self, assignment: Assignment, outputs: dict[str, Any], inline: Mapping[str, bytes]
    ) -> Assignment:
        """Deliver a result and ask for the next attempt with it; return when there is one."""
        result = self._result(assignment, outputs, inline)
        asked = ResultsRequest((result,), LeaseRequest(uuid.uuid4().hex, self.offer, 0.0))
        reply = await self.link.persist(
            lambda: self.link.ask("/v1/work/results", asked, ResultsReply)
        )
        if reply.lease and reply.lease.assignments:
            return reply.lease.assignments[0]
        return await self.granted()

    def _result(
        self, assignment: Assignment, outputs: dict[str, Any], inline: Mapping[str, bytes]
    ) -> ResultRequest:
        self._seq += 1
        return ResultRequest(
            assignment.attempt, self._seq, "completed", outputs, inline=dict(inline)
        )


async def joined(bundle: Path, folder: Path) -> Identity:
    """The identity of one more worker, kept in a folder that is made for it."""
    return await obtain_identity(bundle, folder, Machine((0,), 4000))
