"""Where the rules that record events are kept, one for each kind of event."""

from __future__ import annotations

import functools

from copernicus.engine.state import ProjectState
from copernicus.model import events as ev


@functools.singledispatch
def record(event: ev.Event, state: ProjectState) -> None:
    """Record ``event`` in ``state``, by the rule of its kind."""
    raise TypeError(f"no rule to record {event!r}")
