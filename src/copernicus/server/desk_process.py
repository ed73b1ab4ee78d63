"""The process that talks to the batch system of a pool, started when it is needed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process

import msgspec

from copernicus.provision.messages import Ask, Told
from copernicus.telemetry import get_logger

_LOG = get_logger("provision")
_ANSWER_S = 180.0
_END_S = 2.0
_LONGEST = 64 * 1024 * 1024


class DeskDied(Exception):
    """There is no answer: it is not known what of the request was carried out."""


class DeskProcess:
    """A ``python -m copernicus.provision``, started anew when it has died."""

    def __init__(self) -> None:
        self._process: Process | None = None

    async def ask(self, ask: Ask) -> Told:
        """The answer to a request.

        Raises:
            DeskDied: there is none.
        """
        try:
            async with asyncio.timeout(_ANSWER_S):
                process = await self._started()
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(msgspec.json.encode(ask) + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
            return msgspec.json.decode(line, type=Told)
        except (TimeoutError, OSError, RuntimeError, ValueError, msgspec.DecodeError) as error:
            await self.stop()
            _LOG.warning("the batch system's process ended", reason=repr(error))
            raise DeskDied(repr(error)) from None

    async def stop(self) -> None:
        """End it; what it has submitted stays."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _started(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            # Its own standard error is the server's: what Parsl complains of belongs into the log.
            argv = [sys.executable, "-m", "copernicus.provision", str(os.getpid())]
            self._process = await asyncio.create_subprocess_exec(
                *argv, stdin=PIPE, stdout=PIPE, limit=_LONGEST, start_new_session=True
            )
        return self._process
