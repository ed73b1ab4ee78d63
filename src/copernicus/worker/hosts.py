"""The task hosts of a worker: warm Python processes, one per task under way, used again."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from copernicus.executors.local import LocalExecutor, Process
from copernicus.executors.messages import take_frames
from copernicus.protocol import ProgressReport
from copernicus.worker.hostwire import Order, Progressed, Raised, Returned, pack, read_reply
from copernicus.worker.joblog import LogPipe

_COMMAND = (sys.executable, "-P", "-m", "copernicus.worker.taskhost")


class HostDied(Exception):
    """A task host ended in the middle of a task, with this exit code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"task host ended with {code}")
        self.code = code


def _python_path() -> dict[str, str]:
    """A host starts in a folder of its own: what is relative to ours would be another place."""
    found = os.environ.get("PYTHONPATH")
    if not found:
        return {}
    return {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, found.split(os.pathsep)))}


class Host:
    """One task host. Its folder is where its tasks work, one after the other."""

    def __init__(
        self, executor: LocalExecutor, folder: Path, environment: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self.environment = dict(environment)
        self.cores: Sequence[int] = ()
        self.write_log: Callable[[bytes], None] = lambda _data: None
        self.on_progress: Callable[[ProgressReport], None] = lambda _report: None
        self._loop = asyncio.get_running_loop()
        self._reply: asyncio.Future[Returned | Raised] | None = None
        self._buffer = bytearray()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._log = LogPipe(lambda data: self.write_log(data))
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        with theirs:
            descriptors = (theirs.fileno(), self._log.writer, self._log.writer)
            self.process: Process = executor.start(
                _COMMAND, folder, descriptors, {**_python_path(), **environment}, stays=True
            )
        self._log.close_writer()
        self._loop.add_reader(self._channel, self._read)
        self.process.over.add_done_callback(lambda _over: self._died())

    @property
    def alive(self) -> bool:
        """Whether it can take an order."""
        return not self.process.over.done()

    async def call(self, order: Order) -> Returned | Raised:
        """Run one task.

        Raises:
            HostDied: The task took its host with it.
        """
        self._reply, self.cores = self._loop.create_future(), order.cores
        if not self.alive:
            self._died()
        try:
            await self._loop.sock_sendall(self._channel, pack(order))
        except OSError:
            await self.process.ended()
        try:
            reply = await self._reply
        finally:
            self._reply = None
        self._log.drain()
        return reply

    def kill(self) -> None:
        """End it, and whatever its task has started."""
        self.process.kill()

    def close(self) -> None:
        """Close this side; the host ends by itself."""
        self._loop.remove_reader(self._channel)
        self._channel.close()
        self._log.close()

    def _read(self) -> None:
        try:
            data = self._channel.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._loop.remove_reader(self._channel)
            return
        self._buffer += data
        for body in take_frames(self._buffer):
            reply = read_reply(body)
            if isinstance(reply, Progressed):
                self.on_progress(reply.report)
            elif self._reply is not None and not self._reply.done():
                self._reply.set_result(reply)

    def _died(self) -> None:
        if self._reply is None or self._reply.done():
            return
        over = self.process.over
        self._reply.set_exception(over.exception() or HostDied(over.result()))


class Hosts:
    """Hands out hosts by their environment; keeps a spare one warm."""

    def __init__(self, executor: LocalExecutor, folder: Path, most: int) -> None:
        self._executor = executor
        self._folder = folder
        self._most = most
        self._idle: list[Host] = []
        self._count = 0
        shutil.rmtree(folder, ignore_errors=True)

    def warm(self, environment: Mapping[str, str]) -> None:
        """Start a host before it is needed."""
        if not self._idle:
            self._idle.append(self._start(environment))

    def take(self, environment: Mapping[str, str], cores: Sequence[int]) -> Host:
        """A host with this environment; if there is one, that which is bound to these cores."""
        for host in [host for host in self._idle if not host.alive]:
            self._idle.remove(host)
            host.close()
        fitting = [host for host in self._idle if host.environment == environment]
        if not fitting:
            return self._start(environment)
        chosen = next((host for host in fitting if host.cores == cores), fitting[-1])
        self._idle.remove(chosen)
        return chosen

    def give_back(self, host: Host) -> None:
        """It may serve again, with an empty folder; beyond the number of slots the oldest ends."""
        host.write_log = lambda _data: None
        host.on_progress = lambda _report: None
        if not host.alive:
            host.close()
            return
        self._idle.append(host)
        if len(self._idle) > self._most:
            self._idle.pop(0).close()

    def drop(self, host: Host) -> None:
        """End a host."""
        host.kill()
        host.close()

    def close(self) -> None:
        """End all that are idle."""
        for host in self._idle:
            host.close()
        self._idle.clear()

    def _start(self, environment: Mapping[str, str]) -> Host:
        self._count += 1
        folder = self._folder / str(self._count)
        return Host(self._executor, folder, environment)


def is_empty(folder: Path) -> bool:
    """Whether there is nothing in a folder."""
    with os.scandir(folder) as entries:
        return next(entries, None) is None
