"""Checks of what a program function describes, before a worker meets it."""

from __future__ import annotations

from pathlib import PurePosixPath

import msgspec

from copernicus.errors import BadDefinition
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import Command
from copernicus.model.resources import check_resources


def check_command(spec: FunctionSpec, command: Command) -> Command:
    """``command`` if a worker can run it and read all outputs of ``spec`` from it.

    Raises:
        BadDefinition: It has no line, a member of another type, an output is missing or unknown,
            or a file would lie outside of the work folder.
    """
    if not command.lines:
        raise BadDefinition(f"{spec.name}: its Command has no lines: there is nothing to run")
    for line in command.lines:
        if not line.argv or not all(isinstance(part, str) for part in line.argv):
            raise BadDefinition(f"{spec.name}: the arguments {line.argv!r} must be texts")
    _check_types(spec, command)
    if command.resources is not None:
        check_resources(command.resources, spec.name)
    ports = {port.name: port for port in spec.outputs}
    read = [output.port for output in command.outputs]
    unknown = [port for port in read if port not in ports]
    if unknown:
        raise BadDefinition(
            f"{spec.name}: its Command reads {unknown[0]!r}, which is none of its outputs: "
            f"{', '.join(ports) or 'none'}"
        )
    doubled = [port for port in read if read.count(port) > 1]
    if doubled:
        raise BadDefinition(f"{spec.name}: its Command reads the output {doubled[0]!r} twice")
    missing = [name for name, port in ports.items() if port.required and name not in read]
    if missing:
        raise BadDefinition(
            f"{spec.name}: its Command does not say how to read {', '.join(missing)}: "
            f"add Output({missing[0]!r}, pattern=...)"
        )
    _check_places(spec, command)
    return command


def _check_types(spec: FunctionSpec, command: Command) -> None:
    """Every member has its type: Python does not look, but whoever is sent the Command does."""
    try:
        msgspec.convert(msgspec.to_builtins(command), Command)
    except (msgspec.ValidationError, TypeError) as error:
        raise BadDefinition(f"{spec.name}: its Command is none: {error}") from None


def _check_places(spec: FunctionSpec, command: Command) -> None:
    taken: set[str] = set()
    for file in command.files:
        path = PurePosixPath(file.path)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise BadDefinition(
                f"{spec.name}: {file.path!r} lies outside of the work folder: write a relative path"
            )
        if str(path) in taken:
            raise BadDefinition(f"{spec.name}: two files are placed at {file.path!r}")
        taken.add(str(path))
