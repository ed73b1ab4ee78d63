"""Bringing results to the server: none is forgotten before the server has it."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
from pathlib import Path

from copernicus.calling.link import Link
from copernicus.errors import BadSettings, CopernicusError, ServerBusy, ServerUnreachable
from copernicus.protocol import ResultReply
from copernicus.worker.bench import WORK
from copernicus.worker.console import Console
from copernicus.worker.outbox import Outbox
from copernicus.worker.spool import Finished, Spool
from copernicus.worker.transfer import Transfer

_FEW = 8
_SMALL = 1 << 20


class Delivery:
    """Delivers finished attempts; with ``ending`` set, trouble leaves them in the spool."""

    def __init__(
        self, link: Link, transfer: Transfer, spool: Spool, console: Console, ending: asyncio.Event
    ) -> None:
        self.outbox = Outbox(link)
        self._link = link
        self._transfer = transfer
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
        if finished.folder and not _removed_if_small(finished.folder):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, _remove, Path(finished.folder))
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


def _removed_if_small(folder: str) -> bool:
    """Most small jobs leave a few files behind, or none: removing these is not worth a thread."""
    try:
        with os.scandir(f"{folder}/{WORK}") as found:
            files = list(itertools.islice(found, _FEW + 1))
        if (
            len(files) > _FEW
            or sum(file.stat(follow_symlinks=False).st_size for file in files) > _SMALL
        ):
            return False
        for file in files:
            os.unlink(file.path)  # noqa: PTH108 - as cheap as can be
    except FileNotFoundError:
        pass
    except OSError:
        return False
    for path in (f"{folder}/{WORK}", folder):
        try:
            os.rmdir(path)  # noqa: PTH106 - as cheap as can be
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
