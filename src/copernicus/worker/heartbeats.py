"""Signs of life of all attempts in one request, and what the server wants of them in return."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping

from copernicus.calling.link import Link
from copernicus.calling.waiting import within
from copernicus.errors import CopernicusError, ServerBusy, ServerUnreachable
from copernicus.model.resources import Offer
from copernicus.protocol import Directive, HeartbeatReply, HeartbeatRequest
from copernicus.worker.attempt import Attempt


class Heartbeats:
    """Beats while there are attempts.

    ``on_drain`` hears whether the server drains the worker, ``on_trouble`` why it was not reached
    and in how many seconds the next beat is due.
    """

    def __init__(
        self,
        link: Link,
        attempts: Mapping[str, Attempt],
        offer: Callable[[], Offer],
        on_drain: Callable[[bool], None],
        on_trouble: Callable[[CopernicusError, float], None],
    ) -> None:
        self._link = link
        self._attempts = attempts
        self._offer = offer
        self._on_drain = on_drain
        self._on_trouble = on_trouble
        self._joined = asyncio.Event()
        self._interval_s = math.inf

    def joined(self, attempt: Attempt) -> None:
        """Beat for this attempt too; those that come and go between two beats cost nothing."""
        if attempt.bench.assignment.heartbeat_s < self._interval_s:
            self._joined.set()

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            CopernicusError: The server does not take this worker any more.
        """
        last = 0.0
        while True:
            self._joined.clear()
            wanted = (attempt.beat_s for attempt in self._attempts.values())
            self._interval_s = min(wanted, default=math.inf)
            if self._interval_s == math.inf:
                await self._joined.wait()
                last = time.monotonic()
                continue
            left = last + self._interval_s - time.monotonic()
            if left > 0:
                await within(left, self._joined)
                continue
            last = time.monotonic()
            await self._beat()

    async def _beat(self) -> None:
        beats = await asyncio.gather(*(attempt.beat() for attempt in self._attempts.values()))
        request = HeartbeatRequest(tuple(beats), self._offer())
        try:
            reply = await self._link.ask("/v1/work/heartbeat", request, HeartbeatReply)
        except (ServerUnreachable, ServerBusy) as error:
            self._on_trouble(error, self._interval_s)
            return
        for directive in reply.directives:
            self._follow(directive)
        self._on_drain(reply.drain)

    def _follow(self, directive: Directive) -> None:
        attempt = self._attempts.get(directive.attempt)
        if attempt is None:
            return
        attempt.share(directive.share)
        match directive.action:
            case "stop":
                attempt.stop()
            case "discard":
                attempt.discard()
            case "checkpoint":
                attempt.checkpoint_now()
            case "go":
                pass
