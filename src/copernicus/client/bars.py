"""Progress bars on the terminal (standard error), gone when they are done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

from copernicus.protocol import InstanceView


def _bar(*columns: ProgressColumn) -> Progress:
    name = TextColumn("{task.description}", markup=False)
    return Progress(name, BarColumn(24), *columns, console=Console(stderr=True), transient=True)


class WaitingBar:
    """How many elements of what is waited for are done."""

    def __init__(self, label: str) -> None:
        self._bar = _bar(
            MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.fields[note]}")
        )
        self._task = self._bar.add_task(label, total=None, note="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def update(self, views: Sequence[InstanceView]) -> None:
        """Show how far they are."""
        total = sum(view.elements for view in views)
        done = sum(view.counts.get("done", int(view.state == "done")) for view in views)
        first = next((view for view in views if view.state != "done"), None)
        note = "" if first is None else first.state
        self._bar.update(self._task, completed=done, total=total or None, note=note)


class TransferBars:
    """Bytes of the files that are sent or fetched; call it as a ``files.Progress``."""

    def __init__(self, verb: str = "") -> None:
        self._bar = _bar(DownloadColumn(), TransferSpeedColumn())
        self._verb = verb
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, name: str, done: int, total: int) -> None:
        """So much of a file is there."""
        if name not in self._tasks:
            label = f"{self._verb} {name}".strip()
            self._tasks[name] = self._bar.add_task(label, total=total)
        self._bar.update(self._tasks[name], completed=done, total=total)
        if done >= total:
            self._bar.update(self._tasks.pop(name), visible=False)
