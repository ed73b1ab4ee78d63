"""Reading numbers and progress from the files of a running job."""

from __future__ import annotations

import time
from collections.abc import Callable

import regex

from copernicus.errors import BadDefinition, BadValue
from copernicus.model.jobs import Number, Progress
from copernicus.protocol import ProgressReport
from copernicus.worker.folder import JobFolder
from copernicus.worker.patterns import find_all

_OVERLAP = 4096
_MOST = 4 << 20


def read_number(folder: JobFolder, number: Number) -> float | None:
    """The number, or None if no file has it.

    Raises:
        BadDefinition: The expression is none, or takes too long.
    """
    path = folder.newest(number.pattern)
    if path is None:
        return None
    try:
        text = folder.text(path)
    except (OSError, BadValue):
        return None
    found = find_all(number.regex, text)
    return (
        _float(found[-1].group(1) if found[-1].groups() else found[-1].group()) if found else None
    )


def _float(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


class ProgressReader:
    """Follows the growing log of a job, reading only what is new."""

    def __init__(
        self, folder: JobFolder, rule: Progress, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._rule = rule
        self._clock = clock
        self._path: str | None = None
        self._offset = 0
        self._is_hopeless = False
        self._values: dict[str, float] = {}
        self._first: tuple[float, float] | None = None

    def read(self) -> ProgressReport | None:
        """How far the job is now, as far as its files tell.

        An expression that takes too long is not tried again: there is no progress then.
        """
        try:
            text = self._new_text()
        except (OSError, BadValue):
            text = ""
        for found in self._found(text):
            for name, value in found.groupdict().items():
                number = _float(value)
                if number is not None:
                    self._values[name] = number
        if not self._values:
            return None
        step = self._values.get("step")
        total = self._values.get("total", self._rule.total)
        speed = self._speed(step)
        return ProgressReport(
            step=step,
            total=total,
            rate=self._rate(speed),
            unit=self._rule.unit,
            remaining_s=_remaining(step, total, speed),
        )

    def _found(self, text: str) -> list[regex.Match[str]]:
        if self._is_hopeless:
            return []
        try:
            return find_all(self._rule.regex, text)
        except BadDefinition:
            self._is_hopeless = True
            return []

    def _rate(self, speed: float | None) -> float | None:
        """What the log says, or what was measured."""
        told, per_step = self._values.get("rate"), self._values.get("per_step")
        if told is not None or speed is None or per_step is None:
            return told
        return speed * per_step * self._rule.scale

    def _new_text(self) -> str:
        path = self._folder.newest(self._rule.pattern)
        if path is None:
            return ""
        if path != self._path:
            self._path, self._offset = path, 0
        with self._folder.reading(path) as file:
            size = file.seek(0, 2)
            if size < self._offset:
                self._offset = 0
            # A line may have been half written at the last look: look at its beginning again.
            start = max(self._offset - _OVERLAP, size - _MOST, 0)
            file.seek(start)
            self._offset = size
            return file.read(size - start).decode("utf-8", "replace")

    def _speed(self, step: float | None) -> float | None:
        """Steps per second since the first one that was seen."""
        if step is None:
            return None
        now = self._clock()
        if self._first is None:
            self._first = (now, step)
            return None
        began, first = self._first
        return (step - first) / (now - began) if step > first and now > began else None


def _remaining(step: float | None, total: float | None, speed: float | None) -> float | None:
    if step is None or total is None or speed is None:
        return None
    return max(0.0, (total - step) / speed)
