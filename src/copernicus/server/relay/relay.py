"""The relay: a worker to the peers, and to this server's workers one who brings them work.

It asks peers for work while workers wait here for some, renews the leases of what it was given,
passes checkpoints on as they come, and delivers results. What it holds is in the store: after a
restart it goes on, as a worker does with its spool.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import msgspec

from copernicus.calling.clocks import ClockIsOff
from copernicus.calling.waiting import within
from copernicus.errors import CopernicusError, NotAllowed, NotAuthenticated, NotFound
from copernicus.protocol import Assignment, HeartbeatReply, HeartbeatRequest
from copernicus.scheduling.lending import Ask, Idle, lent_of, may_pass, plan
from copernicus.server.peers import Peers
from copernicus.server.relay import jobs
from copernicus.server.relay.cache import Cache
from copernicus.server.relay.errand import Errand
from copernicus.server.relay.telling import tell
from copernicus.server.relay.way import Way
from copernicus.server.relay.whereabouts import Whereabouts, find
from copernicus.server.site import Site
from copernicus.telemetry import get_logger

T = TypeVar("T")

_LOG = get_logger("relay")
_ROUND_S = 5.0
_LONG_POLL_S = 20.0
_MOST_KINDS = 8
_TELL_S = 3.0
_REFUSED = (NotAuthenticated, NotAllowed, NotFound)


class Relay:
    """Works for all peers that this server lends to."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._ways: dict[str, Way] = {}
        self._whereabouts = Whereabouts(site)
        self.cache = Cache(site)
        self._errands: dict[str, Errand] = {}
        self._taking: dict[str, Assignment] = {}
        self._beating: set[str] = set()
        self._tell_at: dict[str, float] = {}
        self._sought: set[tuple[Ask, ...]] = set()
        self._idle = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()

    async def run(self) -> None:
        """Until it is cancelled."""
        self._site.runtime.on_idle = self._idle.set
        self._site.runtime.on_lent = self._on_news
        self._spawn(self.cache.run())
        try:
            for lent in tuple(self._peers.lent.values()):
                self._go_on_with(Errand(self._site, self.way_to(lent.peer), lent))
            while True:
                self._look_for_work()
                self._tell_all()
                self._say_where()
                await within(self._pause, self._idle)
                self._idle.clear()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for way in self._ways.values():
                await way.close()

    @property
    def _peers(self) -> Peers:
        """As they are now: they are read anew when a commit has failed."""
        return self._site.runtime.holdings.peers

    @property
    def _pause(self) -> float | None:
        """Without any peer there is nothing to look at now and then."""
        return _ROUND_S if self._peers.records else None

    def way_to(self, peer: str) -> Way:
        """The way to a peer."""
        way = self._ways.get(peer)
        if way is None:
            way = self._ways[peer] = Way(self._site, peer)
        return way

    def look_again(self) -> None:
        """The peers, or what may be done with them, have changed."""
        self._tell_at.clear()
        for way in self._ways.values():
            way.rested()
        self._idle.set()

    def moved(self, peer: str) -> None:
        """A peer is at other addresses, as its record says now."""
        self.way_to(peer).moved()
        self._tell_at.pop(peer, None)
        self._whereabouts.try_again(peer)
        self._idle.set()

    async def give_back(self, peer: str) -> None:
        """End every job of a peer that is here; it gets them back as far as they have come."""
        await asyncio.gather(*(errand.give_back() for errand in self._of(peer)))

    async def part(self, peer: str) -> None:
        """End at once all that is done for a peer, which hears of it if it can."""
        way = self.way_to(peer)
        errands = self._of(peer)
        await asyncio.gather(*(errand.refuse("the peer was removed") for errand in errands))
        await asyncio.gather(*(errand.drop() for errand in errands))
        await way.leave()
        await way.close()
        self._ways.pop(peer, None)

    def _of(self, peer: str) -> list[Errand]:
        return [errand for errand in self._errands.values() if errand.lent.peer == peer]

    # --- asking -------------------------------------------------------------------------------

    def _plan(self) -> list[list[Ask]]:
        lenders = [one for one in self._peers.lenders() if not self.way_to(one.peer).is_resting]
        if not lenders or self._site.runtime.holdings.closed:
            return []
        idle, claimed = [], self._claimed()
        for waiting in self._site.runtime.idle():
            offer = waiting.request.offer
            if claimed > 0:
                claimed -= offer.cores
            else:
                request = waiting.request
                idle.append(Idle(waiting.worker.id, offer, request.via, request.ahead))
        return plan(self._site.authority.server_id, idle, lenders, _MOST_KINDS)

    def _claimed(self) -> int:
        """Cores of what peers gave and no worker has begun: for these, no more is asked.

        What was given ahead takes none: it follows what was given for a free core.
        """
        taking = sum(given.cores for given in self._taking.values() if not given.ahead)
        return self._peers.cores_unbegun() + taking

    def _is_waited_for(self, given: Assignment) -> bool:
        """Whether those who wait and may have it hold all that was taken in for them.

        What was given ahead is for later; it goes back soon if nobody takes it.
        """
        if given.ahead:
            return True
        waiting = self._site.runtime.idle()
        may = [one for one in waiting if not {one.worker.id, *one.request.via} & set(given.via)]
        return self._claimed() <= sum(one.request.offer.cores for one in may)

    def _look_for_work(self) -> None:
        """Have each kind of worker that waits asked for, once at a time."""
        for asks in self._plan():
            kind = tuple(msgspec.structs.replace(ask, ahead=()) for ask in asks)
            if kind not in self._sought:
                self._sought.add(kind)
                self._spawn(self._seek(kind, asks))

    async def _seek(self, kind: tuple[Ask, ...], asks: Sequence[Ask]) -> None:
        """Ask who has work now, in order; if nobody has, wait at all of them for the first."""
        begun = asyncio.get_running_loop().time()
        try:
            for ask in asks if len(asks) > 1 else ():
                if await self._ask(ask, 0.0):
                    return
            # Those that are not waited for any more give way to the next that is asked there.
            waits = [self._spawn(self._ask(ask, _LONG_POLL_S)) for ask in asks]
            for asked in asyncio.as_completed(waits):
                if await asked:
                    return
        finally:
            self._sought.discard(kind)
            if asyncio.get_running_loop().time() - begun >= _ROUND_S:
                self._idle.set()

    async def _ask(self, ask: Ask, wait_s: float) -> bool:
        """Whether the peer has given anything."""
        way = self.way_to(ask.peer)
        try:
            given = await way.lease(ask, wait_s)
        except CopernicusError as error:
            self._trouble(way, error)
            return False
        contact = self._peers.contact(ask.peer)
        contact.at, contact.trouble = self._site.clock.now(), ""
        for one in given:
            if one.attempt not in self._taking:
                self._taking[one.attempt] = one
                self._spawn(self._take(way, one))
        return bool(given)

    def _trouble(self, way: Way, error: CopernicusError) -> None:
        contact = self._peers.contact(way.peer)
        if contact.trouble != error.message:
            _LOG.warning("a peer gives no work", peer=way.peer, reason=error.message)
        contact.trouble = error.message
        way.rest()
        if isinstance(error, _REFUSED):
            way.forget_requests()

    async def _take(self, way: Way, given: Assignment) -> None:
        """Fetch the files of an attempt, then have it queued here."""
        errand = Errand(self._site, way, lent_of(way.peer, given))
        known = self._errands.setdefault(errand.lent.job, errand)
        try:
            if known is not errand:
                return
            self._beat_for(way)
            if not may_pass(self._site.authority.server_id, given.via):
                raise NotAllowed("it has passed this server already, or too many others")
            if not self._is_waited_for(given):
                raise NotAllowed("no worker waits for it any more")
            async with self.cache.using(jobs.inputs_of(given)):
                await errand.fetch(given)
                await self._site.runtime.do(lambda batch: jobs.take_in(batch, way.peer, given))
        except CopernicusError as error:
            await self.cache.keep(errand.fetched)
            await errand.refuse(error.message)
        finally:
            self._taking.pop(given.attempt, None)
            if known is errand and errand.lent.job not in self._peers.lent:
                # Nobody renews the lease of what is not here.
                self._errands.pop(errand.lent.job, None)
        if errand.lent.job in self._peers.lent and known is errand:
            self._carry(errand)
            # Another worker may wait for the like.
            self._idle.set()

    # --- telling ------------------------------------------------------------------------------

    def _tell_all(self) -> None:
        """Tell every peer that this server works for how much there is, now and then."""
        now = self._site.clock.now()
        for peer in self._peers.records.values():
            due = self._tell_at.get(peer.id, 0.0)
            if peer.lends and not peer.suspended and now >= due:
                self._tell_at[peer.id] = now + _TELL_S
                self._spawn(self._tell(self.way_to(peer.id)))

    async def _tell(self, way: Way) -> None:
        """Tell it; if it has not been where it was for a while, look for it."""
        await tell(self._site, way)
        try:
            if way.is_lost and await find(way):
                self.moved(way.peer)
        except CopernicusError as error:
            self._trouble(way, error)

    def _say_where(self) -> None:
        """Tell the peers where this server is now, unless they know."""
        for peer in self._whereabouts.untold():
            self._spawn(self._whereabouts.tell(self.way_to(peer)))

    # --- carrying out ---------------------------------------------------------------------------

    def _go_on_with(self, errand: Errand) -> None:
        """After a restart it may have ended already, and its lease may soon be over."""
        errand.news.set()
        self._carry(errand, at_once=True)

    def _carry(self, errand: Errand, *, at_once: bool = False) -> None:
        self._errands[errand.lent.job] = errand
        self._beat_for(errand.way, at_once=at_once)
        self._spawn(self._carry_out(errand))

    async def _carry_out(self, errand: Errand) -> None:
        try:
            await errand.run()
        finally:
            self._errands.pop(errand.lent.job, None)
            self._idle.set()

    def _beat_for(self, way: Way, *, at_once: bool = False) -> None:
        if way.peer not in self._beating:
            self._beating.add(way.peer)
            self._spawn(self._beat(way, at_once))

    async def _beat(self, way: Way, at_once: bool) -> None:
        """Signs of life of all that a peer has here, in one request, as long as there is any.

        What was just given has its whole lease: if it ends between two beats, it costs none.
        """
        try:
            if at_once:
                await self._beat_all(way)
            while errands := self._of(way.peer):
                await asyncio.sleep(min(errand.lent.heartbeat_s for errand in errands))
                await self._beat_all(way)
        finally:
            self._beating.discard(way.peer)

    async def _beat_all(self, way: Way) -> None:
        errands = self._of(way.peer)
        try:
            if errands:
                await self._beat_once(way, errands)
        except NotAuthenticated as error:
            self._trouble(way, error)
            # Only dates stand in the way if it is the clocks: they are set again.
            for errand in () if isinstance(error, ClockIsOff) else errands:
                with contextlib.suppress(CopernicusError):
                    await errand.drop()
        except CopernicusError as error:
            self._trouble(way, error)

    async def _beat_once(self, way: Way, errands: Sequence[Errand]) -> None:
        seen = await self._site.runtime.do(
            lambda batch: [jobs.look(batch, errand.lent) for errand in errands]
        )
        beats = tuple(one.beat(known) for one, known in zip(errands, seen, strict=True))
        link = await way.link()
        reply = await link.ask("/v1/work/heartbeat", HeartbeatRequest(beats), HeartbeatReply)
        self._peers.contact(way.peer).at = self._site.clock.now()
        wanted = {directive.attempt: directive for directive in reply.directives}
        for errand in errands:
            directive = wanted.get(errand.lent.attempt)
            if directive is not None:
                await errand.obey(directive)

    def _on_news(self, changed: list[str]) -> None:
        for job in changed:
            errand = self._errands.get(job)
            if errand is not None:
                errand.news.set()

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("bug", exc_info=error)
