"""One attempt at a task: a Python function of a module, called in a task host."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import msgspec

from copernicus.model.jobs import Failure, TaskCall
from copernicus.model.values import files_in
from copernicus.protocol import ProgressReport
from copernicus.worker.bench import Bench, unless_stopped
from copernicus.worker.folder import JobFolder
from copernicus.worker.hosts import Host, HostDied, Hosts, is_empty
from copernicus.worker.hostwire import Order, Raised, Returned
from copernicus.worker.outcome import AttemptFailed, Outcome, explain_exit
from copernicus.worker.transfer import Pending

_INPUTS = "inputs"


class TaskRun:
    """Calls one task. It cannot be stopped half way: it is killed, and begins again elsewhere."""

    def __init__(self, bench: Bench, call: TaskCall, hosts: Hosts) -> None:
        self._bench = bench
        self._call = call
        self._hosts = hosts
        self._host: Host | None = None
        self._stop = asyncio.Event()
        self._progress: ProgressReport | None = None
        bench.progress = lambda: self._progress

    def stop(self) -> None:
        """Kill it: a task has no state to write."""
        self._stop.set()
        if self._host is not None:
            self._host.kill()

    kill = stop

    def suspend(self) -> None:
        """Stop its process where it is."""
        if self._host is not None:
            self._host.process.signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let its process go on."""
        if self._host is not None:
            self._host.process.signal(signal.SIGCONT)

    async def run(self) -> Outcome:
        """Do all of it.

        Raises:
            AttemptFailed: The task failed, or took its process with it.
        """
        bench = self._bench
        cores = bench.taken.cores if bench.tools.pins else ()
        host = self._host = self._hosts.take(bench.environment(), cores)
        bench.log_folder = lambda: host.folder
        bench.meter.program, bench.meter.reused = host.process.number, True
        host.write_log = bench.log.write
        host.on_progress = self._note
        try:
            files: dict[str, str] = {}
            if next(files_in(self._call.inputs), None):
                await unless_stopped(self._stage_in(host, files), self._stop)
            reply = await self._ask(host, cores, files)
        except BaseException:
            self._hosts.drop(host)
            raise
        finally:
            self._host = bench.meter.program = None
        files_out = self._keep_folder(host, reply)
        self._hosts.give_back(host)
        return self._outcome(reply, files_out)

    async def _ask(
        self, host: Host, cores: tuple[int, ...], files: dict[str, str]
    ) -> Returned | Raised | int:
        """The reply, or the exit code of a host that died."""
        if self._stop.is_set():
            return 0
        call = self._call
        order = Order(call.entry, call.inputs, str(host.folder), cores, files)
        try:
            return await host.call(order)
        except HostDied as death:
            return death.code

    def _outcome(self, reply: Returned | Raised | int, files: list[Pending]) -> Outcome:
        if isinstance(reply, Returned):
            return Outcome("completed", reply.outputs, files)
        if self._stop.is_set():
            return Outcome("stopped")
        if isinstance(reply, Raised):
            raise AttemptFailed(Failure(reply.reason, reply.cause, log=reply.log))
        raise explain_exit(f"the process of task {self._bench.name}", reply)

    def _note(self, report: ProgressReport) -> None:
        self._progress = report

    async def _stage_in(self, host: Host, found: dict[str, str]) -> None:
        assignment = self._bench.assignment
        folder = JobFolder(host.folder)
        for file in files_in(self._call.inputs):
            if file.sha256 in found:
                continue
            path = f"{_INPUTS}/{file.sha256}"
            await self._bench.tools.transfer.place(
                assignment.attempt, folder, path, file.sha256, file.size, assignment.inline
            )
            found[file.sha256] = str(host.folder / path)

    def _keep_folder(self, host: Host, reply: Returned | Raised | int) -> list[Pending]:
        """What the task wrote becomes the attempt's own; most tasks write nothing."""
        if is_empty(host.folder):
            return []
        own: Path = self._bench.folder.path
        own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        host.folder.rename(own)
        host.folder.mkdir(mode=0o700)
        self._bench.log_folder = None
        files = reply.files if isinstance(reply, Returned) else ()
        return [msgspec.structs.replace(file, folder=str(own)) for file in files]
