"""Ports from the type hints of a Python function."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar, get_args, get_origin

from copernicus.errors import BadDefinition, UserError
from copernicus.model.docstrings import read_doc
from copernicus.model.functions import OnChange, Port
from copernicus.model.hints import from_hint
from copernicus.model.types import OptionalType, check
from copernicus.model.values import to_plain

T = TypeVar("T")

RESERVED = ("key", "mapped", "resources")
"""What ``net.call`` takes itself, so that no input can have these names."""


@dataclasses.dataclass(frozen=True)
class Marker:
    """What a hint says of its port beyond the type."""

    word: str


LATEST = Marker("latest")
STREAMING = Marker("streaming")
FINAL = Marker("final")

Latest = Annotated[T, LATEST]
"""``Latest[list[File]]``: an input that takes values which move, without waiting."""

Streaming = Annotated[T, STREAMING]
"""``Streaming[File]``: an input of a program or task that takes what running jobs have so far."""

Final = Annotated[T, FINAL]
"""``Final[File]``: an output that is set only when the workflow has ended."""

Outputs = Mapping[str, Any] | type
"""Output ports: names to type hints, or a dataclass whose fields they are."""


def marked(hint: Any, marker: Marker) -> bool:
    """Whether a hint carries the marker."""
    return get_origin(hint) is Annotated and marker in get_args(hint)[1:]


def hints_of(thing: Any, name: str) -> dict[str, Any]:
    """The type hints of a function or a dataclass.

    Raises:
        BadDefinition: One of them names something that is not there.
    """
    try:
        return typing.get_type_hints(thing, include_extras=True)
    except (NameError, AttributeError, TypeError) as error:
        raise BadDefinition(f"{name}: a type hint cannot be read: {error}") from None


def check_input_name(port: str, where: str) -> None:
    """Refuse names that a call has for itself.

    Raises:
        BadDefinition: The name is one of these.
    """
    if port in RESERVED:
        raise BadDefinition(
            f"{where}: an input cannot be called {port!r}, which net.call takes for itself: "
            "choose another name"
        )


def parameters(body: Callable[..., Any], name: str, skip: int) -> dict[str, inspect.Parameter]:
    """The parameters that are inputs.

    Raises:
        BadDefinition: One cannot be given by name.
    """
    found = list(inspect.signature(body).parameters.values())[skip:]
    for parameter in found:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise BadDefinition(
                f"{name}: parameter {parameter} cannot be a port: every input needs a name"
            )
        check_input_name(parameter.name, name)
    return {parameter.name: parameter for parameter in found}


def input_ports(
    body: Callable[..., Any], name: str, skip: int, on_change: Mapping[str, OnChange]
) -> tuple[Port, ...]:
    """One input for every parameter after the first ``skip``.

    Raises:
        BadDefinition: A hint is missing or stands for no port type, or a default is not of it.
    """
    hints, docs = hints_of(body, name), read_doc(body.__doc__).inputs
    found = parameters(body, name, skip)
    unknown = sorted(set(on_change) - set(found))
    if unknown:
        raise BadDefinition(f"{name}: on_change names {', '.join(unknown)}, which is no input")
    ports = []
    for parameter in found.values():
        if parameter.name not in hints:
            raise BadDefinition(f"{name}: input {parameter.name} has no type hint")
        port = _input(name, parameter, hints[parameter.name])
        ports.append(_with(port, docs.get(port.name, ""), on_change.get(parameter.name, "finish")))
    return tuple(ports)


def _with(port: Port, doc: str, on_change: OnChange) -> Port:
    if on_change not in typing.get_args(OnChange):
        raise BadDefinition(
            f"on_change of {port.name} is {on_change!r}: write 'finish', 'cancel' or 'extend'"
        )
    return Port(
        port.name,
        port.type,
        port.required,
        port.default,
        doc=doc,
        on_change=on_change,
        latest=port.latest,
        streaming=port.streaming,
    )


def _input(name: str, parameter: inspect.Parameter, hint: Any) -> Port:
    try:
        port_type = from_hint(hint)
        if parameter.default is parameter.empty:
            required, default = not isinstance(port_type, OptionalType), None
        else:
            required, default = False, check(port_type, to_plain(parameter.default))
    except UserError as error:
        raise BadDefinition(f"{name}: input {parameter.name}: {error.message}") from None
    moves, streams = marked(hint, LATEST), marked(hint, STREAMING)
    return Port(parameter.name, port_type, required, default, latest=moves, streaming=streams)


def output_hints(outputs: Outputs | None, name: str) -> dict[str, Any]:
    """Names to hints, of a mapping or of a dataclass.

    Raises:
        BadDefinition: It is neither.
    """
    if outputs is None:
        return {}
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if dataclasses.is_dataclass(outputs):
        hints = hints_of(outputs, name)
        return {field.name: hints[field.name] for field in dataclasses.fields(outputs)}
    raise BadDefinition(f"{name}: outputs must be a dict of names to types, or a dataclass")


def output_ports(hints: Mapping[str, Any], name: str, docs: Mapping[str, str]) -> tuple[Port, ...]:
    """One output for every hint.

    Raises:
        BadDefinition: A hint stands for no port type.
    """
    ports = []
    for port, hint in hints.items():
        try:
            port_type = from_hint(hint)
        except UserError as error:
            raise BadDefinition(f"{name}: output {port}: {error.message}") from None
        ports.append(
            Port(
                port,
                port_type,
                required=not isinstance(port_type, OptionalType),
                doc=docs.get(port, ""),
                final=marked(hint, FINAL),
            )
        )
    return tuple(ports)
