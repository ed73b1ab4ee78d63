"""A TCP proxy that does to connections what bad networks do, as the test says.

It carries bytes and knows nothing of TLS: what it cuts, holds back or repeats, it does below it.
All settings may be changed at any time; they hold for what passes from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

_PIECE = 65536
_RESET = struct.pack("ii", 1, 0)


@dataclass
class Way:
    """One direction through the proxy.

    Attributes:
        delay_s: for each piece, in order.
        cut_after: the connection that brings so many bytes more is reset, once.
        cut_next: after each cut, the bytes until the next; after the last, all is ``held``.
        held: pieces wait until this is over, as in a partition that heals.
        lost: pieces vanish and nobody is told: the connection is half open for ever.
        bytes: that were passed on so far.
        recorded: what was sent, per connection, if ``record``.
    """

    delay_s: float = 0.0
    cut_after: int | None = None
    cut_next: list[int] = field(default_factory=list)
    held: bool = False
    lost: bool = False
    record: bool = False
    bytes: int = 0
    recorded: list[bytearray] = field(default_factory=list)


class ChaosProxy:
    """``up`` is towards the server, ``down`` from it; ``port`` is where clients connect."""

    def __init__(self, target: int, host: str = "127.0.0.1") -> None:
        self.target = target
        self.up, self.down = Way(), Way()
        self.refuse = False
        self.port = 0
        self.connections = 0
        self.open = 0
        self.cuts = 0
        self._host = host
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="chaos-proxy")
        self._tasks: set[asyncio.Task[Any]] = set()
        self._sockets: set[asyncio.StreamWriter] = set()
        self._free: asyncio.Event | None = None

    # --- what tests say

    def hold(self, *, up: bool = True, down: bool = True) -> None:
        """Nothing passes any more this way, until ``heal``."""
        self.up.held, self.down.held = up, down
        self._loop.call_soon_threadsafe(self._stir)

    def heal(self) -> None:
        """All passes as it should; what was held back first."""
        for way in (self.up, self.down):
            way.held = way.lost = False
            way.delay_s, way.cut_after, way.cut_next = 0.0, None, []
        self.refuse = False
        self._loop.call_soon_threadsafe(self._stir)

    def cut_all(self) -> None:
        """Reset every connection that is open now."""
        self._ask(self._reset_all)

    def replay(self, data: bytes) -> bytes:
        """Send recorded bytes on a connection of its own; all that the server says to it."""
        with socket.create_connection((self._host, self.target), timeout=30) as again:
            again.sendall(data)
            again.shutdown(socket.SHUT_WR)
            said = b""
            with contextlib.suppress(ConnectionError):
                while piece := again.recv(_PIECE):
                    said += piece
            return said

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Wait until what passes through makes it true."""
        with self._changed:
            assert self._changed.wait_for(condition, seconds), f"never: {what}"

    def __enter__(self) -> ChaosProxy:
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(30)
        assert not self._thread.is_alive()

    # --- in the thread of the proxy

    def _run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serve())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self) -> None:
        self._free, self._over = asyncio.Event(), asyncio.Event()
        server = await asyncio.start_server(self._accept, self._host, 0, backlog=2048)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._over.wait()
        server.close()
        # What was accepted just now has not begun yet: it begins, and ends at once.
        self.refuse = True
        self._reset_all()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(others)

    def _end(self) -> None:
        self._over.set()

    def _stir(self) -> None:
        assert self._free is not None
        self._free.set()
        self._free = asyncio.Event()

    def _ask(self, call: Callable[[], None]) -> None:
        done = threading.Event()

        def run() -> None:
            call()
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(30)

    def _passed(self, way: Way, count: int) -> None:
        with self._changed:
            way.bytes += count
            self._changed.notify_all()

    def _count(self, one: int) -> None:
        with self._changed:
            self.open += one
            self.connections += max(one, 0)
            self._changed.notify_all()

    def _reset_all(self) -> None:
        for writer in list(self._sockets):
            _reset(writer)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._sockets.add(writer)
        self._count(1)
        try:
            if not self.refuse:
                await self._carry(reader, writer)
        except OSError:
            pass
        finally:
            _reset(writer)
            self._sockets.discard(writer)
            self._tasks.discard(task)
            self._count(-1)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self.target)
        self._sockets.add(back)
        ways = [
            asyncio.create_task(self._pass_on(self.up, reader, back)),
            asyncio.create_task(self._pass_on(self.down, there, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_EXCEPTION)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            _reset(back)
            self._sockets.discard(back)

    async def _pass_on(
        self, way: Way, source: asyncio.StreamReader, to: asyncio.StreamWriter
    ) -> None:
        kept: bytearray | None = None
        while piece := await source.read(_PIECE):
            if way.record:
                if kept is None:
                    way.recorded.append(kept := bytearray())
                kept += piece
            if way.delay_s:
                await asyncio.sleep(way.delay_s)
            await self._while_held(way)
            if way.lost:
                continue
            if way.cut_after is not None and len(piece) >= way.cut_after:
                await self._cut(way, piece, to)
            if way.cut_after is not None:
                way.cut_after -= len(piece)
            to.write(piece)
            await to.drain()
            self._passed(way, len(piece))
        await self._while_held(way)
        if not way.lost:
            to.write_eof()

    async def _while_held(self, way: Way) -> None:
        while way.held:
            assert self._free is not None
            await self._free.wait()

    async def _cut(self, way: Way, piece: bytes, to: asyncio.StreamWriter) -> None:
        first = piece[: way.cut_after]
        way.cut_after = None
        if way.cut_next:
            way.cut_after = way.cut_next.pop(0)
            way.held = not way.cut_next
        to.write(first)
        await to.drain()
        self._passed(way, len(first))
        self.cuts += 1
        raise ConnectionResetError("cut by the test")


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close without a farewell: the other side gets a reset."""
    raw = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.transport.abort()


@contextlib.contextmanager
def chaos(*targets: int) -> Iterator[list[ChaosProxy]]:
    """A proxy in front of each of these ports of this machine."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(ChaosProxy(port)) for port in targets]
