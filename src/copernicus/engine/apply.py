"""``apply`` records one event. It decides nothing: what happens next is decided elsewhere.

Besides the facts the rules keep the indexes (who depends on whom) and mark what must be looked at.
"""

from __future__ import annotations

from copernicus.engine import apply_evaluations, apply_network, apply_runs
from copernicus.engine.record import record
from copernicus.engine.state import ProjectState
from copernicus.engine.touches import note
from copernicus.model import events as ev

# Importing these modules enters their rules into ``record``.
RULES = (apply_network, apply_runs, apply_evaluations)


def apply(state: ProjectState, event: ev.Event) -> None:
    """Record ``event`` in ``state``."""
    state.position += 1
    record.registry[type(event)](event, state)
    note(state, event)
