"""What is equal is kept once: of a hundred thousand elements most things are.

What is read from a journal comes as new objects each time. Here it is put into the place of what
is known already, so that a state that was read takes no more memory than one that has grown.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from copernicus.engine.instances import Element
from copernicus.engine.state import ProjectState
from copernicus.model.empty import NOTHING
from copernicus.model.jobs import Command, JobSpec, TaskCall

_OF_JOB: Final = (
    *("function", "function_version", "program", "resources", "permanent", "transient"),
    *("backoff_s", "backoff_max_s"),
)
_OF_COMMAND: Final = (
    *("lines", "outputs", "files", "checkpoint", "progress", "series", "done_when"),
    *("environment", "resources", "from_inputs"),
)


def as_kept(state: ProjectState, element: Element, digest: str) -> str:
    """An equal digest that is kept already: of the work on these inputs, if there was any."""
    last = element.open or element.success
    known = state.activations[last].digest if last is not None else digest
    return known if known == digest else digest


def share_empty(one: msgspec.Struct) -> None:
    """Let every field that holds an empty dict hold the one that all have."""
    for name in one.__struct_fields__:
        if getattr(one, name) == {}:
            setattr(one, name, NOTHING)


def alike(spec: JobSpec, like: JobSpec | None, inputs: dict[str, Any], digest: str) -> JobSpec:
    """An equal job, made as far as can be of the parts of ``like`` and of its activation."""
    task, command = spec.task, spec.command
    kept: dict[str, Any] = {} if like is None else _common(spec, like, _OF_JOB)
    if task is not None:
        entry = task.entry
        if like is not None and like.task is not None and like.task.entry == entry:
            entry = like.task.entry
        if task.inputs is not inputs and task.inputs == inputs:
            kept["task"] = TaskCall(entry, inputs)
    if command is not None and like is not None and like.command is not None:
        kept["command"] = _command_alike(command, like.command)
    if spec.inputs_digest is not digest and spec.inputs_digest == digest:
        kept["inputs_digest"] = digest
    return msgspec.structs.replace(spec, **kept) if kept else spec


def _command_alike(command: Command, like: Command) -> Command:
    if command == like:
        return like
    kept = _common(command, like, _OF_COMMAND)
    return msgspec.structs.replace(command, **kept) if kept else command


def _common(one: msgspec.Struct, like: msgspec.Struct, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields in which ``like`` holds another object that is equal."""
    found = {}
    for name in names:
        held, known = getattr(one, name), getattr(like, name)
        if held is not known and held == known:
            found[name] = known
    return found
