"""Bringing results to the server: none is forgotten before the server has it."""

from __future__ import annotations

import asyncio

from copernicus.calling.link import Link
from copernicus.calling.outbox import Outbox
from copernicus.errors import BadSettings, CopernicusError, ServerBusy, ServerUnreachable
from copernicus.protocol import ResultReply
from copernicus.worker.console import Console
from copernicus.worker.grounds import Grounds
from copernicus.worker.spool import Finished, Spool
from copernicus.worker.transfer import Transfer


class Delivery:
    """Delivers finished attempts; with ``ending`` set, trouble leaves them in the spool."""

    def __init__(
        self,
        link: Link,
        transfer: Transfer,
        grounds: Grounds,
        spool: Spool,
        console: Console,
        ending: asyncio.Event,
    ) -> None:
        self.outbox = Outbox(link)
        self._link = link
        self._transfer = transfer
        self._grounds = grounds
        self._spool = spool
        self._console = console
        self._ending = ending

    async def deliver(self, finished: Finished, *, spool_first: bool) -> bool:
        """Return when the server has the result (True), or it has to wait in the spool (False)."""
        if spool_first:
            self._keep(finished)

        def trouble(_error: CopernicusError, _delay: float) -> None:
            self._keep(finished)

        try:
            reply = await self._link.persist(
                lambda: self._send(finished), on_trouble=trouble, until=self._ending
            )
        except asyncio.CancelledError:
            self._keep(finished)
            raise
        except (ServerUnreachable, ServerBusy):
            self._keep(finished)
            return False
        except CopernicusError as error:
            self._refused(finished, error)
            return True
        if reply.verdict != "accepted":
            self._console.say(
                reply.verdict,
                f"result of {finished.result.attempt} was {reply.verdict}",
                attempt=finished.result.attempt,
            )
        self._spool.forget(finished.result.attempt)
        if finished.folder:
            await self._grounds.clear(finished.folder, vacant=finished.vacant)
        return True

    async def _send(self, finished: Finished) -> ResultReply:
        if finished.uploads:
            await self._transfer.upload(finished.result.attempt, finished.uploads)
        return await self.outbox.send(finished.result)

    def _keep(self, finished: Finished) -> None:
        try:
            self._spool.keep(finished)
        except BadSettings as error:
            self._console.say("spool_full", f"a result cannot be kept on disk: {error.message}")

    def _refused(self, finished: Finished, error: CopernicusError) -> None:
        attempt = finished.result.attempt
        self._spool.set_aside(attempt)
        self._console.say(
            "refused",
            f"the server refuses the result of {attempt}: {error.message}",
            attempt=attempt,
        )
