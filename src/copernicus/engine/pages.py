"""A long list in pages: what a page costs is what is in it, not what is in the list."""

from __future__ import annotations

import hashlib

import msgspec

from copernicus.engine import tracing, views
from copernicus.engine.instances import Instance
from copernicus.engine.resolve import resolve
from copernicus.engine.state import ProjectState
from copernicus.model.network import OutRef
from copernicus.model.paths import Address
from copernicus.model.types import ListType, describe, unit_of
from copernicus.protocol import ValueView


def page(state: ProjectState, address: Address, start: int, count: int) -> ValueView:
    """Elements ``start`` to ``start + count`` of the list at a path; a short value whole.

    Raises:
        NotFound: There is no such instance, port or part.
    """
    found = state.instance(address.instance)
    outputs = address.side == "out" and address.port and not address.steps
    if outputs and len(found.eids or ()) > count and _is_whole(state, found):
        return _page_of_outputs(state, found, address, start, count)
    view = views.value(state, address)
    if not isinstance(view.value, list) or len(view.value) <= count:
        return view
    some = view.value[start : start + count]
    return msgspec.structs.replace(
        view, value=some, total=len(view.value), edition=view.digest or view.activation
    )


def _is_whole(state: ProjectState, found: Instance) -> bool:
    """Whether every element of a mapped instance has given its outputs, by a job."""
    return (
        bool(found.mapped and found.eids)
        and not found.not_current
        and not found.retired
        and state.spec(found).kind != "workflow"
        and not any(element.hole for element in found.listed())
    )


def _page_of_outputs(
    state: ProjectState, found: Instance, address: Address, start: int, count: int
) -> ValueView:
    port = state.spec(found).output(address.port or "")
    eids = found.eids or ()
    some = eids[start : start + count]
    parts = [resolve(state, OutRef(found.path, port.name, eid)) for eid in some]
    left_out = [reason for part in parts for reason in part.left_out]
    left_out += tracing.left_out_of(state, [one for part in parts for one in part.origins])
    made = hashlib.sha256()
    for element in found.listed():
        made.update(f"{element.success}\n".encode())
    return ValueView(
        path=str(address),
        type=describe(ListType(port.type)),
        unit=unit_of(ListType(port.type)),
        state="current",
        value=[part.value for part in parts],
        left_out=tuple(dict.fromkeys(left_out)),
        total=len(eids),
        edition=made.hexdigest(),
    )
