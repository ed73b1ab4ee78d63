"""What was taken out by hand, and comes back: results, checkpoints and what was inside."""

from __future__ import annotations

import dataclasses

from copernicus.engine.indexes import below, forget_turns, index_instance, mark_below, move
from copernicus.engine.instances import Instance
from copernicus.engine.state import ProjectState
from copernicus.model import events as ev


def take_out(state: ProjectState, path: str) -> None:
    """Remove an instance with what is inside; what a person removed is kept."""
    members = {at: state.instances.pop(at) for at in below(state, path)}
    for at, instance in members.items():
        state.dirty.pop(at, None)
        state.opened.pop(at, None)
        numbers = [e.evaluation.number for e in instance.elements.values() if e.evaluation]
        if numbers:
            state.fences[at] = max(state.fences.get(at, 0), *numbers)
        if instance.owner:
            state.children.get(instance.owner.path, set()).discard(at)
    root = members.get(path)
    if root is not None and root.owner is None:
        state.removed[root.incarnation] = members
        return
    for at, instance in members.items():
        for port in instance.pinned:
            state.dangling[at, port] = instance.inputs[port]


def bring_back(state: ProjectState, event: ev.InstanceAdded) -> bool:
    """Take the removed instance of this incarnation back, under the name of now."""
    members = state.removed.pop(event.incarnation, None)
    if members is None:
        return False
    root = next(i for i in members.values() if i.incarnation == event.incarnation)
    moved = {at: event.path + at[len(root.path) :] for at in members}
    incarnations = {at: instance.incarnation for at, instance in members.items()}
    root_now = dataclasses.replace(
        root,
        held=event.held,
        resources=event.resources,
        inputs={},
        former={**root.former, **root.inputs},
    )
    # Copies: a transaction that is only checked must not touch what is kept.
    back = [root_now if one is root else dataclasses.replace(one) for one in members.values()]
    if event.path != root.path:
        for instance in back:
            move(instance, moved)
        for activation in state.activations.values():
            if incarnations.get(activation.path) == activation.incarnation:
                activation.path = moved[activation.path]
    for instance in back:
        state.instances[instance.path] = instance
    for instance in back:
        forget_turns(instance)
        index_instance(state, instance)
    mark_below(state, event.path)
    return True


def removed_like(state: ProjectState, like: Instance) -> int | None:
    """The incarnation of what was removed last under this path, placed in the same way."""
    for number, members in reversed(state.removed.items()):
        root = members.get(like.path)
        if root is None or root.incarnation != number:
            continue
        if (root.function, root.version, root.mapped) == (like.function, like.version, like.mapped):
            return number
    return None
