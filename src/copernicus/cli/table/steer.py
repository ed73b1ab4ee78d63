"""Commands that steer what runs."""

from __future__ import annotations

from copernicus.cli.entries import STEER, Entry

_STEERING = "copernicus.cli.steering"
_WORKFLOWS = "copernicus.cli.workflows"

COMMANDS: tuple[Entry, ...] = (
    Entry(
        "retry",
        f"{_STEERING}:retry",
        "Run again what failed (or an instance or element).",
        ("cpc retry 'run[3]' --memory 8GB", "cpc retry --failed", "cpc retry run --dry-run"),
        STEER,
    ),
    Entry(
        "skip",
        f"{_STEERING}:skip",
        "Accept that an instance or element has no value.",
        ("cpc skip 'run[3]'",),
        STEER,
    ),
    Entry(
        "cancel",
        f"{_STEERING}:cancel",
        "Stop the work of an instance or element.",
        ("cpc cancel run",),
        STEER,
    ),
    Entry(
        "pause",
        f"{_STEERING}:pause",
        "Start nothing more; what runs finishes.",
        ("cpc pause",),
        STEER,
    ),
    Entry("resume", f"{_STEERING}:resume", "End a pause.", ("cpc resume",), STEER),
    Entry(
        "reopen",
        f"{_WORKFLOWS}:reopen",
        "Have a workflow decide anew.",
        ("cpc reopen fe", "cpc reopen fe --decision root:c0"),
        STEER,
    ),
    Entry(
        "upgrade",
        f"{_WORKFLOWS}:upgrade",
        "Take the installed version of a function.",
        ("cpc upgrade fe",),
        STEER,
    ),
)
