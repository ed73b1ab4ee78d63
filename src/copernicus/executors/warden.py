"""The warden: a small process that starts a worker's programs and lets none of them outlive it.

It is a child of the worker and the adopter (subreaper) of everything below it, so that a process
that detaches itself from its program is still found here. When the worker is gone, for whatever
reason, its end of the channel closes, and the warden kills all that is left. Linux could signal
each program itself when its parent dies (PR_SET_PDEATHSIG), but that needs code between fork and
exec, which costs several times a plain spawn and would still miss what a program has started.

Above it stands a guard, a copy that does nothing but wait for its end. Should the warden be killed
together with the worker, what it leaves falls to the guard, the next adopter, which kills it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil

from copernicus.executors.messages import (
    Ended,
    NotStarted,
    OrderReader,
    Signal,
    Spawn,
    pack,
)

MARK = "COPERNICUS_SPAWN"
_PR_SET_CHILD_SUBREAPER = 36
_SWEEP_S = 0.5
_LAST_KILL_S = 10.0


class Warden:
    """The programs that run, and the channel to the worker."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._orders = OrderReader(channel)
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._numbers: dict[int, int] = {}
        self._staying: set[int] = set()
        self._all_cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
        self._environment = dict(os.environ)
        self._sweep_due: float | None = None
        self._children = Path(f"/proc/self/task/{os.getpid()}/children")
        self._wake, wake_end = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake_end, False)
        signal.set_wakeup_fd(wake_end, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def run(self) -> None:
        """Serve until the worker is gone, then kill what is left."""
        poll = select.poll()
        poll.register(self._channel, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        try:
            while self._serve_once(poll):
                pass
        finally:
            kill_all_below()

    def _serve_once(self, poll: select.poll) -> bool:
        ready = dict(poll.poll(self._wait_ms()))
        if self._wake in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake, 4096)
            self._reap()
        if self._channel.fileno() in ready:
            orders = self._orders.read()
            if orders is None:
                return False
            for order, descriptors in orders:
                if isinstance(order, Spawn):
                    self._spawn(order, descriptors)
                else:
                    self._signal(order)
        if self._sweep_due is not None and time.monotonic() >= self._sweep_due:
            self._sweep()
        return True

    def _wait_ms(self) -> float | None:
        if self._sweep_due is None:
            return None
        return max(0.0, (self._sweep_due - time.monotonic()) * 1000)

    def _spawn(self, order: Spawn, descriptors: list[int]) -> None:
        stdin, stdout, stderr = descriptors
        try:
            if order.cores:
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(0, order.cores)
            program = subprocess.Popen(
                order.argv,
                cwd=order.folder,
                env={**self._environment, **order.environment, MARK: str(order.number)},
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            self._report(NotStarted(order.number, f"{order.argv[0]}: {reason}"))
        else:
            self._running[order.number] = program
            self._numbers[program.pid] = order.number
            if order.stays:
                self._staying.add(order.number)
        finally:
            if order.cores:
                os.sched_setaffinity(0, self._all_cores)
            for descriptor in descriptors:
                os.close(descriptor)

    def _signal(self, order: Signal) -> None:
        program = self._running.get(order.number)
        if program is None:
            return
        if order.tree:
            self._kill_tree(order.number, program.pid)
        else:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, order.signal)

    def _reap(self) -> None:
        while True:
            try:
                # Looked at before it is reaped: until then its group id cannot belong to others.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            pid = found.si_pid
            number = self._numbers.pop(pid, None)
            if number is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            if number is None:
                continue
            program = self._running.pop(number)
            self._staying.discard(number)
            program.returncode = os.waitstatus_to_exitcode(status)
            alone = not self._may_have_strays()
            if not alone:
                self._sweep_due = self._sweep_due or time.monotonic() + _SWEEP_S
            self._report(Ended(number, program.returncode, alone))

    def _may_have_strays(self) -> bool:
        """Whether there may be children that no program running now accounts for.

        None can leave the kernel's list while it is read: only this thread reaps them.
        """
        try:
            children = self._children.read_bytes().split()
        except OSError:
            return True
        return any(int(pid) not in self._numbers for pid in children)

    def _sweep(self) -> None:
        """Kill what detached itself from programs that are over."""
        self._sweep_due = None
        for child in psutil.Process().children():
            if child.pid in self._numbers:
                continue
            if self._owner_of(child) not in self._running:
                _kill([child, *_below(child)])

    def _kill_tree(self, number: int, pid: int) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            main = psutil.Process(pid)
            strays = [
                child
                for child in psutil.Process().children()
                if child.pid != pid
                and child.pid not in self._numbers
                and self._owner_of(child) == number
            ]
            family = [process for stray in strays for process in (stray, *_below(stray))]
            _kill([main, *_below(main), *family])
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        self._sweep_due = time.monotonic() + _SWEEP_S

    def _owner_of(self, process: psutil.Process) -> int | None:
        """The program that a stray process came from; without a mark, the only one there is."""
        mark = _mark_of(process)
        others = self._running.keys() - self._staying
        return next(iter(others)) if mark is None and len(others) == 1 else mark

    def _report(self, report: Ended | NotStarted) -> None:
        # A worker that is gone is noticed by the next read.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._channel.sendall(pack(report))


def kill_all_below() -> None:
    """Kill every descendant, again and again while they keep forking."""
    end = time.monotonic() + _LAST_KILL_S
    while time.monotonic() < end:
        left = psutil.Process().children(recursive=True)
        if not left:
            return
        _kill(left)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def _mark_of(process: psutil.Process) -> int | None:
    """The number of the spawn that a process came from, if it still carries it."""
    try:
        mark = process.environ().get(MARK, "")
    except (psutil.Error, OSError):
        return None
    return int(mark) if mark.isdigit() else None


def _below(process: psutil.Process) -> list[psutil.Process]:
    try:
        below: list[psutil.Process] = process.children(recursive=True)
    except psutil.Error:
        return []
    return below


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def main() -> None:
    """Run as ``python -m copernicus.executors.warden DESCRIPTOR NICE``."""
    # The worker decides when its programs end: a ^C of the terminal must not come before it.
    # Handlers, since an ignored signal would stay ignored in the programs.
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda _number, _frame: None)
    os.nice(int(sys.argv[2]))
    os.chdir(Path("/"))
    _adopt_orphans()
    warden = os.fork()
    if warden:
        # The channel stays open here: its end tells the worker that nothing is left.
        os.waitpid(warden, 0)
        kill_all_below()
        return
    os.setpgid(0, 0)
    _adopt_orphans()
    Warden(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
