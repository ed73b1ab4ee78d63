"""A process that calls task functions for a worker, one after the other.

Its standard input is the channel to the worker; what the functions print goes to the job's log.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from copernicus.blobs import manifest_of
from copernicus.errors import BadDefinition, CopernicusError, NotFound
from copernicus.executors.messages import take_frames
from copernicus.model.values import File
from copernicus.protocol import ProgressReport
from copernicus.sdk.calling import Task, call_task, short_traceback
from copernicus.worker.hostwire import Order, Progressed, Raised, Reply, Returned, pack, read_order
from copernicus.worker.outcome import Cause
from copernicus.worker.transfer import Pending

_OUTSIDE = "outputs"


class Outputs:
    """The files that a task stores: in its folder already, or copied into it."""

    def __init__(self, folder: Path) -> None:
        self._as_given = folder
        self.files: list[Pending] = []

    @cached_property
    def _folder(self) -> Path:
        """Most tasks store nothing: to resolve it costs more than to call a task."""
        return self._as_given.resolve()

    def store(self, path: Path, name: str) -> File:
        """Take note of a file and give what it is stored as."""
        real = path.resolve()
        if not real.is_relative_to(self._folder):
            target = self._folder / _OUTSIDE / str(len(self.files))
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(real, target)
            real = target
        with real.open("rb") as file:
            manifest = manifest_of(file)
        relative = real.relative_to(self._folder).as_posix()
        self.files.append(Pending(manifest, str(self._folder), relative))
        return File(manifest.sha256, manifest.size, name)


class Binding:
    """The cores that this process is bound to."""

    def __init__(self) -> None:
        self._cores: Sequence[int] = ()

    def change(self, cores: Sequence[int]) -> None:
        """Bind every thread: libraries start theirs when they are imported, for an earlier task.

        Those that are started later are bound as who starts them is, so the same cores again
        need nothing, unless the task before has changed them.
        """
        if not cores or not hasattr(os, "sched_setaffinity"):
            return
        if cores == self._cores and os.sched_getaffinity(0) == set(cores):
            return
        try:
            threads = [int(entry.name) for entry in Path("/proc/self/task").iterdir()]
        except OSError:
            threads = [0]
        for thread in threads:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(thread, cores)
        self._cores = cores


def call(order: Order, report: Callable[[ProgressReport], None]) -> Reply:
    """Do what is ordered. Whatever the author's code raises becomes a reply."""
    folder = Path(order.folder)
    outputs = Outputs(folder)
    try:
        os.chdir(folder)
        task = Task(folder, max(1, len(order.cores)), report)
        returned = call_task(order.entry, order.inputs, _fetch(order.files), outputs.store, task)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the author's code may raise anything
        return _raised(error)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return Returned(returned, tuple(outputs.files))


def _fetch(files: Mapping[str, str]) -> Callable[[File], Path]:
    def fetch(file: File) -> Path:
        try:
            return Path(files[file.sha256])
        except KeyError:
            raise NotFound(f"the file {file.name} is none of the task's inputs") from None

    return fetch


def _raised(error: BaseException) -> Raised:
    cause: Cause = "job_error"
    if isinstance(error, NotFound | BadDefinition):
        cause = "definition"
    elif isinstance(error, MemoryError):
        cause = "resource"
    elif isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        cause = "infrastructure"
    if isinstance(error, CopernicusError):
        reason = error.message
    else:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
    return Raised(reason, cause, short_traceback(error))


def serve(channel: socket.socket) -> None:
    """Take orders until the worker closes the channel."""
    buffer, binding = bytearray(), Binding()

    def report(progress: ProgressReport) -> None:
        channel.sendall(pack(Progressed(progress)))

    while data := channel.recv(1 << 16):
        buffer += data
        for body in take_frames(buffer):
            order = read_order(body)
            binding.change(order.cores)
            channel.sendall(pack(call(order, report)))


def main() -> None:
    """Run as ``python -m copernicus.worker.taskhost``."""
    channel = socket.socket(fileno=os.dup(0))
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        serve(channel)


if __name__ == "__main__":
    main()
