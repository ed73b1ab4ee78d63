"""Progress bars on the terminal (standard error), gone when they are done."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any, Self

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
        done, total, note = _far(views)
        self._bar.update(self._task, completed=done, total=total or None, note=note)


class NotebookBar:
    """The same in a notebook: one line of the cell's output, drawn anew."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._drawn: tuple[int, int, str] | None = None
        self._line: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, views: Sequence[InstanceView]) -> None:
        """Show how far they are."""
        from copernicus.client.display import progress_html

        far = _far(views)
        if far == self._drawn:
            return
        self._drawn = far
        display: Any = import_module("IPython.display")
        html = display.HTML(progress_html(self._label, *far))
        if self._line is None:
            self._line = display.display(html, display_id=True)
        else:
            self._line.update(html)


def _far(views: Sequence[InstanceView]) -> tuple[int, int, str]:
    """Elements done, elements in all, and the state of the first that is not done."""
    total = sum(view.elements for view in views)
    done = sum(view.counts.get("done", int(view.state == "done")) for view in views)
    first = next((view for view in views if view.state != "done"), None)
    return done, total, "" if first is None else first.state


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


class CountBar:
    """How many of something there are so far."""

    def __init__(self, label: str) -> None:
        self._bar = _bar(TextColumn("{task.completed:.0f}"), TimeElapsedColumn())
        self._task = self._bar.add_task(label, total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, more: int) -> None:
        """So many more."""
        self._bar.advance(self._task, more)
