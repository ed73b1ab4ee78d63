"""Which results in use are in doubt: they were not the same elsewhere (``verifying``)."""

from __future__ import annotations

from copernicus.engine.absence import element_name
from copernicus.engine.instances import Instance
from copernicus.engine.state import ProjectState
from copernicus.server.batch import Batch
from copernicus.server.holdings import Project


def doubts_of(batch: Batch, project: Project, path: str = "") -> tuple[str, ...]:
    """Those of an instance, an element and what is inside (``""``: the project), in words."""
    found = batch.holdings.verifications.doubts.get(project.record.id, ())
    return tuple(one.says for one in found if _is_at(project.state, one.activation, path))


def doubt_of(batch: Batch, project: Project, activation: str) -> str:
    """The doubt in the result of an activation, in words; ``""``: none."""
    found = batch.holdings.verifications.doubts.get(project.record.id, ())
    told = (one.says for one in found if one.activation == activation)
    return next(told, "") if _instance_of(project.state, activation) else ""


def _is_at(state: ProjectState, activation: str, path: str) -> bool:
    instance = _instance_of(state, activation)
    if instance is None:
        return False
    name = element_name(instance, state.activations[activation].eid)
    return not path or name == path or name.startswith((f"{path}.", f"{path}["))


def _instance_of(state: ProjectState, activation: str) -> Instance | None:
    """Where a result is in use: nothing has succeeded in its place since."""
    made = state.activations.get(activation)
    instance = state.instances.get(made.path) if made is not None else None
    if made is None or instance is None or instance.incarnation != made.incarnation:
        return None
    element = instance.elements.get(made.eid)
    return instance if element is not None and element.success == activation else None
