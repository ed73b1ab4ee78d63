"""What is equal is kept once: of a hundred thousand elements most things are.

What is read from a journal comes as new objects each time. Here it is put into the place of what
is known already, so that a state that was read takes no more memory than one that has grown.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from copernicus.engine.instances import Element
from copernicus.engine.state import ProjectState, field_types
from copernicus.model.empty import NOTHING
from copernicus.model.jobs import Command, JobSpec, TaskCall

_OF_COMMAND: Final = (
    *("lines", "outputs", "files", "checkpoint", "progress", "series", "done_when"),
    *("environment", "resources", "from_inputs"),
)


def same(text: str, known: str) -> str:
    """A text; where an equal one is kept already, that one."""
    return known if known == text else text


def as_kept(state: ProjectState, element: Element, digest: str) -> str:
    """An equal digest that is kept already: of the work on these inputs, if there was any."""
    last = element.open or element.success
    return same(digest, state.activations[last].digest) if last is not None else digest


def share_empty(one: msgspec.Struct) -> None:
    """Let every field that holds an empty dict hold the one that all have."""
    for name in _dicts_of(type(one)):
        if getattr(one, name) == {}:
            setattr(one, name, NOTHING)


@cache
def _dicts_of(kind: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(name for name, of in field_types(kind).items() if of.startswith("dict["))


def alike(spec: JobSpec, like: JobSpec | None, inputs: dict[str, Any], digest: str) -> JobSpec:
    """An equal job, made as far as can be of the parts of ``like`` and of its activation."""
    task, command = spec.task, spec.command
    if like is not None and spec.function is like.function and command is None:
        # It was made here, of the parts of its function.
        return spec
    like = like or spec
    if task is not None and like.task is not None:
        task = TaskCall(like.task.entry, inputs)
    if command is not None and like.command is not None:
        command = _command_alike(command, like.command)
    found = msgspec.structs.replace(
        like,
        inputs_digest=digest,
        checkpoint_key=spec.checkpoint_key,
        label=spec.label,
        task=task,
        command=command,
    )
    return found if found == spec else spec


def _command_alike(command: Command, like: Command) -> Command:
    if command == like:
        return like
    pairs = ((name, getattr(command, name), getattr(like, name)) for name in _OF_COMMAND)
    kept = {name: known for name, held, known in pairs if held is not known and held == known}
    return msgspec.structs.replace(command, **kept) if kept else command
