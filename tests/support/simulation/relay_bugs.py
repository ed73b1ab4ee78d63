"""Bugs of the relay, to be put in on purpose: each must be found by some world of two servers."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from copernicus.protocol import Directive
from copernicus.server.relay import jobs
from copernicus.server.relay.errand import Errand
from copernicus.server.relay.jobs import Seen
from support.simulation.bugs import Bug


def a_result_is_forgotten_when_it_was_sent(patch: Any) -> None:
    """Not when it was answered."""
    deliver = Errand._deliver

    async def hasty(self: Errand, seen: Seen) -> None:
        await self._site.runtime.do(lambda batch: jobs.forget(batch, self.lent))
        await deliver(self, seen)

    patch.setattr(Errand, "_deliver", hasty)


def a_result_is_dropped_with_its_lease(patch: Any) -> None:
    """Somebody else may have begun, but has not ended."""

    async def obedient(self: Errand, directive: Directive) -> None:
        if directive.action == "discard":
            await self.drop()
        elif directive.action == "stop":
            await self.give_back()

    patch.setattr(Errand, "obey", obedient)


def time_of_no_use_is_counted(patch: Any) -> None:
    """By the relay alone."""
    delivered = jobs.delivered

    def generous(batch: Any, lent: Any, result: Any, **_: bool) -> None:
        delivered(batch, lent, result, counts=True)

    patch.setattr(jobs, "delivered", generous)


def what_came_ahead_costs_nothing(patch: Any) -> None:
    """It held no core of its own where it came from, but it was work all the same."""
    delivered = jobs.delivered

    def free(batch: Any, lent: Any, result: Any, *, counts: bool) -> None:
        cores = 0 if lent.ahead else lent.cores
        delivered(batch, msgspec.structs.replace(lent, cores=cores), result, counts=counts)

    patch.setattr(jobs, "delivered", free)


def what_came_ahead_is_refused(patch: Any) -> None:
    """Without a word: it is of no use, and its lease goes on."""
    fetch = Errand.fetch

    async def picky(self: Errand, given: Any) -> None:
        if given.ahead:
            await asyncio.Event().wait()
        await fetch(self, given)

    patch.setattr(Errand, "fetch", picky)


RELAY_BUGS: tuple[Bug, ...] = (
    a_result_is_forgotten_when_it_was_sent,
    a_result_is_dropped_with_its_lease,
    time_of_no_use_is_counted,
    what_came_ahead_costs_nothing,
    what_came_ahead_is_refused,
)
