"""One attempt of a peer's job, from its files to its result: this server's side of its life."""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from copernicus.blobs import DamagedBlob
from copernicus.calling.waiting import within
from copernicus.errors import (
    CopernicusError,
    InternalError,
    NotFound,
    ServerBusy,
    ServerUnreachable,
)
from copernicus.protocol import Assignment, Beat, Directive, ResultRequest
from copernicus.scheduling.lending import Lent, checkpoint_of, is_new, patience_of, result_of
from copernicus.server.relay import jobs
from copernicus.server.relay.jobs import Seen
from copernicus.server.relay.way import Way, kept
from copernicus.server.site import Site
from copernicus.telemetry import get_logger

_LOG = get_logger("relay")
_INLINE_ONE, _INLINE_ALL = 64 << 10, 1 << 20
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 30.0
_AWAY = (ServerUnreachable, ServerBusy, InternalError)


class Errand:
    """Carries out one attempt of a peer; ``news`` is set when its job is to be looked at."""

    def __init__(self, site: Site, way: Way, lent: Lent) -> None:
        self.lent = lent
        self.way = way
        self.news = asyncio.Event()
        self.fetched: dict[str, int] = {}
        self._site = site
        self._sent = 0
        self._unwanted = False

    # --- before it is in the queue ----------------------------------------------------------------

    async def fetch(self, given: Assignment) -> None:
        """Get the files; what is here already is not sent again.

        Raises:
            CopernicusError: the peer does not give them.
        """
        for data in given.inline.values():
            await asyncio.to_thread(self._site.blobs.put_bytes, data)
        carrier = await self.way.carrier()
        for sha256, size in jobs.larger_inputs_of(given).items():
            is_new = await carrier.fetch(given.attempt, sha256, size)
            self.fetched[sha256] = size
            self._site.metrics.count("peer_job_files_total", way="fetched" if is_new else "found")

    async def refuse(self, reason: str) -> None:
        """Hand an attempt back that was not taken in."""
        _LOG.info("handed back", attempt=self.lent.attempt, reason=reason)
        result = ResultRequest(self.lent.attempt, self.way.next_seq(), "stopped")
        with contextlib.suppress(CopernicusError):
            await self._tell(result)

    # --- while it is ------------------------------------------------------------------------------

    def beat(self, seen: Seen | None) -> Beat:
        """A sign of life, with what the worker told last."""
        seq = self.way.next_seq()
        if seen is None:
            return Beat(self.lent.attempt, seq, begun=False)
        said = seen.sign or Beat("", 0)
        return Beat(
            self.lent.attempt,
            seq,
            said.progress,
            said.log_tail,
            said.log_end,
            losses=seen.row.losses,
            begun=any(row.heard for row in seen.attempts),
        )

    async def obey(self, directive: Directive) -> None:
        """Do what the peer wants of it."""
        if directive.action == "discard":
            await self._discard()
        elif directive.action == "stop":
            await self.give_back()

    async def give_back(self) -> None:
        """End it as far as it has come; the peer gets that."""
        if not self.lent.ending:
            await self._end(checkpoint=True)

    async def _discard(self) -> None:
        """End it at once, unless its result is on its way: then the answer to that decides.

        It may still be the first; or it was taken, and no answer came: its time counts here too,
        also if its worker was held to be lost and is at it again.
        """
        seen = await self._look()
        if seen is not None and seen.is_over:
            return
        await self._end(checkpoint=False)
        seen = await self._look()
        if seen is None or (seen.row.state == "cancelled" and not seen.was_told):
            await self.drop()

    async def drop(self) -> None:
        """End it at once: nobody wants its result. What fails here is left to ``run``."""
        self._unwanted = True
        self.news.set()
        await self._forget()

    async def run(self) -> None:
        """Until the peer has its result, or wants none."""
        interval = max(0.2, min(self._patience_s, self.lent.heartbeat_s / 2))
        delay = _FIRST_DELAY_S
        while True:
            await within(interval, self.news)
            self.news.clear()
            try:
                if await self._is_over():
                    return
            except _AWAY:
                # The peer, or the own disk: both come back.
                delay = min(2 * delay, _LONGEST_DELAY_S)
                await self.way.pause(delay)
                self.news.set()
            else:
                delay = _FIRST_DELAY_S

    async def _is_over(self) -> bool:
        """Do what is next; whether nothing is left of it here. What the peer refuses is ended."""
        if self._unwanted:
            await self._forget()
            return True
        seen = await self._look()
        if seen is None:
            return True
        try:
            if seen.is_over:
                await self._deliver(seen)
                return True
            await self._go_on(seen)
        except _AWAY:
            raise
        except CopernicusError as error:
            _LOG.warning("a peer refused", attempt=self.lent.attempt, reason=error.message)
            await (self.drop() if seen.is_over else self._discard())
            self.news.set()
        return False

    async def _go_on(self, seen: Seen) -> None:
        if seen.waited_s > self._patience_s and not self.lent.ending:
            _LOG.info("handed back", attempt=self.lent.attempt, reason="no worker has begun it")
            await self.give_back()
        elif is_new(seen.newest, seen.row, self._sent) and not self.lent.ending:
            await self._send_checkpoint(seen)

    @property
    def _patience_s(self) -> float:
        return patience_of(self.lent, self._site.settings.peer_patience_s)

    async def _send_checkpoint(self, seen: Seen) -> None:
        assert seen.newest is not None
        made = checkpoint_of(self.lent, seen.newest, self.way.next_seq(), seen.parts)
        carrier, link = await self.way.carrier(), await self.way.link()
        files = [file.sha256 for file in made.files]
        await carrier.upload(
            self.lent.attempt, await asyncio.to_thread(kept, self._site.blobs, files)
        )
        await link.tell("/v1/work/checkpoint", made)
        self._sent = seen.newest.index

    # --- its end ----------------------------------------------------------------------------------

    async def _deliver(self, seen: Seen) -> None:
        """Bring the result; the peer's answer and the end of the job here are one for all."""
        result = await self._result(seen)
        if seen.may_change:
            first = await self._site.runtime.do(lambda batch: jobs.tell(batch, self.lent, result))
            result = msgspec.structs.replace(result, record=first.record)
        verdict = await self._tell(result)
        await self._site.runtime.do(
            lambda batch: jobs.delivered(batch, self.lent, result, counts=verdict != "superseded")
        )

    async def _result(self, seen: Seen) -> ResultRequest:
        seq, last = self.way.next_seq(2), None
        if seen.newest is not None and is_new(seen.newest, seen.row, 0):
            last = checkpoint_of(self.lent, seen.newest, seq - 1, seen.parts)
        result = result_of(self.lent, seen.row, seen.attempts, last, seq)
        try:
            return await self._with_files(result)
        except (NotFound, DamagedBlob) as error:
            _LOG.error("a file of a peer's job is lost", job=self.lent.job, reason=error.message)
            return ResultRequest(self.lent.attempt, seq, "stopped", losses=result.losses)

    async def _with_files(self, result: ResultRequest) -> ResultRequest:
        """The result with its small files; larger ones are sent before it."""
        made = jobs.made_by(result)
        if not made:
            return result
        files = await asyncio.to_thread(kept, self._site.blobs, made)
        left, inline, large = _INLINE_ALL, {}, []
        for file in files:
            if file.manifest.size <= min(_INLINE_ONE, left):
                inline[file.sha256] = await asyncio.to_thread(file.read)
                left -= file.manifest.size
            else:
                large.append(file)
        if large:
            await (await self.way.carrier()).upload(self.lent.attempt, large)
        return msgspec.structs.replace(result, inline=inline)

    async def _tell(self, result: ResultRequest) -> str:
        outbox = await self.way.outbox()
        return (await outbox.send(result)).verdict

    async def _end(self, *, checkpoint: bool) -> None:
        lent = self.lent
        await self._site.runtime.do(lambda batch: jobs.end(batch, lent, checkpoint=checkpoint))
        self.lent = msgspec.structs.replace(lent, ending=True)
        self.news.set()

    async def _forget(self) -> None:
        await self._end(checkpoint=False)
        await self._site.runtime.do(lambda batch: jobs.forget(batch, self.lent))

    async def _look(self) -> Seen | None:
        return await self._site.runtime.do(lambda batch: jobs.look(batch, self.lent))
