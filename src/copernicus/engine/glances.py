"""A long list at one glance: how it stands, and its two ends, without building it as a whole."""

from __future__ import annotations

from copernicus.engine.absence import element_name
from copernicus.engine.instances import Instance
from copernicus.engine.resolve import Resolved, Status, Take, resolve
from copernicus.engine.showing import shorten
from copernicus.engine.standing import SETTLED, standing
from copernicus.engine.state import ProjectState
from copernicus.model.network import Collect, OutRef, Source

LONG = 50


def glance(state: ProjectState, source: Source, *, take: Take = "current") -> tuple[Resolved, str]:
    """How a source stands, and its value in at most one line; long lists come without it."""
    found = None if take != "current" else _long(state, source)
    if found is not None:
        return found
    held = resolve(state, source, take=take)
    return held, shorten(held.value) if held.status in ("current", "stale") else ""


def _long(state: ProjectState, source: Source) -> tuple[Resolved, str] | None:
    match source:
        case Collect(items=items, decision=None) if len(items) > LONG:
            if not state.upstream(source):
                ends = (items[0].source, items[-1].source)
                return Resolved("current"), _ends(state, len(items), *ends)
        case OutRef(path=path, port=port, element=None, steps=()) if path in state.instances:
            upstream = state.instances[path]
            plain = upstream.mapped and state.spec(upstream).kind != "workflow"
            if plain and len(upstream.eids or ()) > LONG:
                return _long_output(state, upstream, port)
    return None


def _long_output(state: ProjectState, upstream: Instance, port: str) -> tuple[Resolved, str] | None:
    unsettled = (one for one in upstream.standing if one not in SETTLED)
    if any(element.success is None for element in standing(upstream, unsettled)):
        return None
    held = [element.eid for element in upstream.listed() if not element.hole]
    origins = tuple(made for eid in held if (made := upstream.elements[eid].success))
    if not held:
        return None
    skipped = standing(upstream, ("skipped",))
    holes = tuple(f"{element_name(upstream, element.eid)}: skipped" for element in skipped)
    status: Status = "stale" if upstream.not_current or upstream.retired else "current"
    ends = (OutRef(upstream.path, port, held[place]) for place in (0, -1))
    shown = _ends(state, len(held), *ends)
    return Resolved(status, origins=origins, left_out=holes), shown


def _ends(state: ProjectState, count: int, first: Source, last: Source) -> str:
    shown = [shorten(resolve(state, end).value) for end in (first, last)]
    return f"{count} elements: {', ..., '.join(shown)}"
