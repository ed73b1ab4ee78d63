"""Events of a project as lines, for pipes and logs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from copernicus.cli.output import one_line
from copernicus.cli.render.states import progress_text
from copernicus.protocol import FeedEntry, ProgressReport

Event = dict[str, Any]


def event_line(entry: FeedEntry) -> str:
    """One line; empty for what concerns only the machinery."""
    event: Event = entry.event if isinstance(entry.event, dict) else {}
    say = _WORDS.get(entry.kind)
    if say is None:
        return ""
    at = f"{datetime.fromtimestamp(entry.at, UTC).astimezone():%H:%M:%S}"
    return f"{at} {say(event)}"


def _progress(event: Event) -> str:
    body = {name: value for name, value in event.items() if name != "job"}
    job = str(event.get("job", "")).rpartition(".")[2]
    return f"job {job}: {progress_text(msgspec.convert(body, ProgressReport))}"


def _ended(event: Event) -> str:
    failure = event.get("failure") or {}
    reason = f": {one_line(failure['reason'])}" if failure.get("reason") else ""
    return f"{event.get('id')} {event.get('outcome')}{reason}"


def _revision(event: Event) -> str:
    return f"revision {event['number']} by {event['author']}: {'; '.join(event['summary'])}"


_WORDS: dict[str, Callable[[Event], str]] = {
    "progress": _progress,
    "revision_made": _revision,
    "instance_added": lambda e: f"{e['path']} added: {e['function']}",
    "instance_removed": lambda e: f"{e['path']} removed",
    "instance_renamed": lambda e: f"{e['path']} is now {e['new_path']}",
    "instance_retired": lambda e: f"{e['path']} retired",
    "held_set": lambda e: f"{e['path']} {'held' if e['held'] else 'active'}",
    "paused_set": lambda e: "paused" if e["paused"] else "resumed",
    "activation_opened": lambda e: f"{e['id']} fires: {e['path']}{_element(e)}",
    "activation_ended": _ended,
    "activation_reused": lambda e: f"{e['path']}{_element(e)} has its earlier result {e['id']}",
    "element_skipped": lambda e: f"{e['path']}{_element(e)} skipped",
    "decided": lambda e: f"{e['path']} decided {e['kind']} at {e['position']}",
    "evaluation_ended": lambda e: (
        f"{e['path']} evaluation {'failed' if e.get('failure') else 'ended'}"
    ),
}


def _element(event: Event) -> str:
    return f"[{event['eid']}]" if event.get("eid") else ""
