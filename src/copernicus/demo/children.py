"""The processes that a demo starts: none of them is left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from copernicus.errors import UserError

_SET_PARENT_DEATH_SIGNAL = 1


class DemoFailed(UserError):
    """Something that the demo started did not do its work."""

    code = "demo_failed"


class Child:
    """A command of ``cpc`` as a process; what it says goes to a file."""

    def __init__(self, name: str, words: list[str], folder: Path, log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "copernicus", *words],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                # Ctrl-C is for the demo alone, which then ends its children in order.
                start_new_session=True,
                preexec_fn=_parent_death_signal(),  # no thread runs yet
            )

    def check(self) -> None:
        """See that it is still there.

        Raises:
            DemoFailed: It has ended.
        """
        code = self.process.poll()
        if code is not None:
            raise DemoFailed(f"the {self.name} has ended (exit code {code}): {self._last_words()}")

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return lines[-1].removeprefix("cpc: ") if lines else f"look into {self.log}"

    def stop(self, *signals: signal.Signals, patience_s: float) -> None:
        """Ask it to end, by these signals one after the other, and wait; then kill it."""
        for number in signals:
            if self._ended(0.0 if number == signals[0] else 0.3):
                return
            self.process.send_signal(number)
        if not self._ended(patience_s):
            self.process.kill()
            self.process.wait()

    def _ended(self, within_s: float) -> bool:
        try:
            self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            return False
        return True


def _parent_death_signal() -> Callable[[], None] | None:
    """On Linux, even a killed demo takes its children with it."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return lambda: libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo as Ctrl-C does, so that it cleans up."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, end) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """While the demo cleans up, another Ctrl-C changes nothing."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def available_cores() -> int:
    """The cores that this process may use."""
    from copernicus.worker.probe import probe_machine
    from copernicus.worker.settings import WorkerSettings

    return probe_machine(WorkerSettings(bundle=Path(os.devnull), work_dir=Path())).cores
