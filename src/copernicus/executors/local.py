"""Programs as processes of this machine, started by a warden that outlives the worker's death."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from copernicus.errors import ServerBusy
from copernicus.executors.messages import (
    NotStarted,
    Order,
    Signal,
    Spawn,
    pack,
    read_report,
    send_with_descriptors,
    take_frames,
)


class ProgramNotStarted(Exception):
    """The operating system refused to start a program; the message is its reason."""


class WardenLost(ServerBusy):
    """The process that watches over this worker's programs died, and they with it."""

    code = "warden_lost"


class Process:
    """A program that was started; ``await ended()`` is its exit code (negative: its signal).

    ``alone``: it has ended, and certainly nothing that it has started is left.
    """

    def __init__(self, executor: LocalExecutor, number: int) -> None:
        self._executor = executor
        self.number = number
        self.alone = False
        self.over: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def ended(self) -> int:
        """Wait for the end.

        Raises:
            ProgramNotStarted: It never began.
            WardenLost: Its warden died; so did it.
        """
        return await asyncio.shield(self.over)

    def signal(self, number: signal.Signals) -> None:
        """Signal its process group."""
        if not self.over.done():
            self._executor.order(Signal(self.number, number))

    def kill(self) -> None:
        """Kill it and everything that came from it, detached or not."""
        if not self.over.done():
            self._executor.order(Signal(self.number, signal.SIGKILL, tree=True))


class LocalExecutor:
    """Starts programs through one warden, which is started again should it die.

    Programs run with a priority that is lower by ``nice`` than that of this process.
    """

    def __init__(self, nice: int = 0) -> None:
        self._nice = nice
        self._channel: socket.socket | None = None
        self._warden: subprocess.Popen[bytes] | None = None
        self._processes: dict[int, Process] = {}
        self._buffer = bytearray()
        self._next = 1

    def start(
        self,
        argv: Sequence[str],
        folder: Path,
        descriptors: tuple[int, int, int],
        environment: Mapping[str, str],
        cores: Sequence[int] = (),
        *,
        ranks: int = 1,
        stays: bool = False,
    ) -> Process:
        """Start a program in ``folder``, bound to ``cores`` (if any); ``stays`` as in ``Spawn``.

        ``ranks``: how many processes its launcher, if it is one, will start.
        ``descriptors`` are its stdin, stdout and stderr; they stay open here.
        """
        argv, environment, cores = self.adapted(argv, environment, cores, ranks)
        process = Process(self, self._next)
        self._next += 1
        self._processes[process.number] = process
        order = Spawn(
            process.number, tuple(argv), str(folder), dict(environment), tuple(cores), stays
        )
        self.order(order, descriptors)
        return process

    @property
    def prefixes(self) -> bool:
        """Whether it knows on which nodes the ranks of a job run, and how to start them there."""
        return False

    def adapted(
        self, argv: Sequence[str], environment: Mapping[str, str], cores: Sequence[int], _ranks: int
    ) -> tuple[Sequence[str], Mapping[str, str], Sequence[int]]:
        """What is really started for a program."""
        return argv, environment, cores

    def ended(self, process: Process, code: int) -> None:
        """A program has ended: whoever waits for it is told."""
        process.over.set_result(code)

    def order(self, order: Order, descriptors: Sequence[int] = ()) -> None:
        """Tell the warden; if it is found dead its programs are lost, and a spawn is repeated."""
        try:
            send_with_descriptors(self._open_channel(), pack(order), descriptors)
        except OSError:
            spawned = self._processes.pop(order.number, None)
            self._lose_warden()
            if isinstance(order, Spawn) and spawned is not None:
                self._processes[order.number] = spawned
                send_with_descriptors(self._open_channel(), pack(order), descriptors)

    @property
    def warden(self) -> int | None:
        """The process id of the warden, while there is one."""
        return self._warden.pid if self._channel is not None and self._warden else None

    def close(self) -> None:
        """Kill every program; returns when the warden has done so."""
        if self._channel is None or self._warden is None:
            return
        asyncio.get_running_loop().remove_reader(self._channel)
        self._channel.close()
        self._channel = None
        self._warden.wait()

    def _open_channel(self) -> socket.socket:
        if self._channel is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._warden = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "copernicus.executors.warden",
                        str(theirs.fileno()),
                        str(self._nice),
                    ],
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            self._channel = ours
            self._buffer.clear()
            asyncio.get_running_loop().add_reader(ours, self._read)
        return self._channel

    def _read(self) -> None:
        assert self._channel is not None
        try:
            data = os.read(self._channel.fileno(), 1 << 16)
        except OSError:
            data = b""
        if not data:
            self._lose_warden()
            return
        self._buffer += data
        for frame in take_frames(self._buffer):
            report = read_report(frame)
            process = self._processes.pop(report.number, None)
            if process is None or process.over.done():
                continue
            if isinstance(report, NotStarted):
                process.over.set_exception(ProgramNotStarted(report.reason))
            else:
                process.alone = report.alone
                self.ended(process, report.code)

    def _lose_warden(self) -> None:
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel)
            self._channel.close()
            self._channel = None
        if self._warden is not None:
            self._warden.kill()
            self._warden.wait()
        lost, self._processes = list(self._processes.values()), {}
        for process in lost:
            if not process.over.done():
                process.over.set_exception(WardenLost())
