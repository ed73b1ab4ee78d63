"""One evaluator process and the pipe to it: one request at a time, each with a time limit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque

from copernicus.evaluator.frames import (
    LENGTH_BYTES,
    BrokenFrame,
    Catalog,
    Hello,
    Reply,
    Request,
    body_length,
    pack,
    unpack_reply,
)
from copernicus.telemetry import get_logger

_LOG = get_logger("evaluator")
_TAIL_LINES = 20
_START_S = 60.0
_END_S = 2.0


class EvaluatorDied(Exception):
    """The process ended, hung or sent nonsense. The message is for the instance's user."""


class EvaluatorProcess:
    """A running ``python -m copernicus.evaluator``."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._listening = asyncio.create_task(self._listen())
        self.catalog = Catalog((), {})

    @classmethod
    async def start(cls) -> EvaluatorProcess:
        """Start one, and wait until it has told what it has.

        Raises:
            EvaluatorDied: it does not start; the message holds what it printed last.
        """
        argv = [sys.executable, "-m", "copernicus.evaluator", "--parent", str(os.getpid())]
        process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        started = cls(process)
        try:
            reply = await started.ask(Hello(), _START_S)
        except BaseException:
            await started.stop()
            raise
        if not isinstance(reply, Catalog):
            await started.stop()
            raise EvaluatorDied(f"it answered its greeting with {type(reply).__name__}")
        started.catalog = reply
        return started

    async def ask(self, request: Request, timeout_s: float) -> Reply:
        """The reply to a request.

        Raises:
            EvaluatorDied: there is none; the process is of no use any more.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._exchange(request)
        except TimeoutError:
            raise EvaluatorDied(f"it did not come to rest within {timeout_s:g} s") from None
        except (OSError, EOFError, BrokenFrame) as error:
            raise EvaluatorDied(await self._last_words(error)) from None

    async def stop(self) -> None:
        """End the process, kindly first."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
        await self._listening

    async def kill(self) -> None:
        """End the process at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        await self._listening

    async def _exchange(self, request: Request) -> Reply:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        if stdin.is_closing():
            # It has died since it was last asked; uvloop refuses to write with a RuntimeError.
            raise BrokenPipeError
        stdin.write(pack(request))
        await stdin.drain()
        prefix = await stdout.readexactly(LENGTH_BYTES)
        return unpack_reply(await stdout.readexactly(body_length(prefix)))

    async def _last_words(self, error: Exception) -> str:
        try:
            async with asyncio.timeout(_END_S):
                await self._process.wait()
                await asyncio.shield(self._listening)
        except TimeoutError:
            return f"it sent what is no answer ({error})"
        said = "\n".join(self._tail)
        return f"it ended with exit code {self._process.returncode}" + (
            f":\n{said}" if said else ""
        )

    async def _listen(self) -> None:
        stderr = self._process.stderr
        assert stderr is not None
        while piece := await stderr.read(8192):
            for line in piece.decode(errors="replace").splitlines():
                self._tail.append(line[:500])
                _LOG.debug("printed", line=line[:500])
