"""When a worker on somebody's own machine may work: by the hour, by battery, by whether it is used.

The decision is a pure function of what ``look`` finds.
"""

from __future__ import annotations

import contextlib
import datetime
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import psutil

from copernicus.errors import BadSettings

Leaving = Literal["finish", "suspend", "hand-back"]
_SPAN = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_ASK_S = 5.0


class Span(NamedTuple):
    """From one time of the day to another, over midnight if that is earlier."""

    start: datetime.time
    end: datetime.time

    def holds(self, hour: datetime.time) -> bool:
        """Whether a time of the day lies in it."""
        if self.start <= self.end:
            return self.start <= hour < self.end
        return hour >= self.start or hour < self.end


class OwnerRules(msgspec.Struct, frozen=True):
    """When the machine's owner lets a worker work.

    ``hours``: only then (none: always). ``idle_s``: only when nobody has used the machine for so
    long. ``on_battery``: also without mains. ``leaving`` says what becomes of running jobs.
    """

    hours: tuple[Span, ...] = ()
    idle_s: float | None = None
    on_battery: bool = True
    leaving: Leaving = "finish"

    @property
    def any(self) -> bool:
        """Whether there is any rule."""
        return bool(self.hours) or self.idle_s is not None or not self.on_battery


class Sight(NamedTuple):
    """What there is to see: the time, seconds since somebody used the machine, mains or battery."""

    hour: datetime.time
    unused_s: float | None = None
    plugged: bool | None = None


def why_not(rules: OwnerRules, sight: Sight) -> str:
    """Why the worker may not work now, in words; empty if it may."""
    if rules.hours and not any(span.holds(sight.hour) for span in rules.hours):
        spans = ", ".join(f"{s.start:%H:%M}-{s.end:%H:%M}" for s in rules.hours)
        return f"it works only {spans}"
    if not rules.on_battery and sight.plugged is False:
        return "the machine runs on battery"
    if rules.idle_s is not None and sight.unused_s is not None and sight.unused_s < rules.idle_s:
        return "somebody uses the machine"
    return ""


def read_hours(text: str) -> tuple[Span, ...]:
    """The spans of a text such as ``20:00-07:00`` or ``12:00-13:00,20:00-07:00``.

    Raises:
        BadSettings: It is none.
    """
    return tuple(_span(part) for part in (part.strip() for part in text.split(",")) if part)


def _span(text: str) -> Span:
    match = _SPAN.fullmatch(text)
    if match is not None:
        first, second, third, fourth = map(int, match.groups())
        with contextlib.suppress(ValueError):
            return Span(datetime.time(first, second), datetime.time(third, fourth))
    raise BadSettings(f"hours {text!r}: write them as 20:00-07:00, several with commas between")


def look() -> Sight:
    """What there is to see of this machine now."""
    battery = psutil.sensors_battery() if hasattr(psutil, "sensors_battery") else None
    plugged = None if battery is None else bool(battery.power_plugged)
    return Sight(datetime.time(*time.localtime()[3:5]), unused_s(), plugged)


def unused_s() -> float | None:
    """Seconds since somebody typed on a terminal or in the X session; None: there is nobody."""
    found = [time.time() - used for used in _terminals()]
    tool = shutil.which("xprintidle")
    if tool is not None:
        with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
            told = subprocess.run([tool], capture_output=True, timeout=_ASK_S, check=True)
            found.append(int(told.stdout) / 1000)
    return max(0.0, min(found)) if found else None


def _terminals() -> list[float]:
    """When each terminal that somebody is logged in at was last typed on."""
    times = []
    for user in psutil.users():
        if user.terminal:
            with contextlib.suppress(OSError):
                times.append((Path("/dev") / user.terminal).stat().st_atime)
    return times
