"""From plain data to what an author's type hints promise."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_args, get_origin

from copernicus.errors import BadValue
from copernicus.model import values
from copernicus.model.functions import FunctionSpec
from copernicus.model.types import OptionalType, check
from copernicus.model.values import file_of, is_file
from copernicus.sdk.files import File
from copernicus.sdk.hints import hints_of

MakeFile = Callable[[values.File], Any]


def revive(value: Any, make: MakeFile = File.of) -> Any:
    """A plain value with its files as ``File`` objects, and nothing else changed."""
    if is_file(value):
        return make(file_of(value))
    if isinstance(value, Mapping):
        return {name: revive(inner, make) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [revive(inner, make) for inner in value]
    return value


def from_plain(hint: Any, value: Any, make: MakeFile = File.of) -> Any:
    """A plain value as its hint has it: dataclasses rebuilt, files as ``make`` makes them."""
    origin, args = get_origin(hint), get_args(hint)
    if value is None:
        return None
    if origin is Annotated:
        return from_plain(args[0], value, make)
    if origin in (typing.Union, types.UnionType):
        inner = [arg for arg in args if arg is not type(None)]
        return from_plain(inner[0], value, make) if len(inner) == 1 else revive(value, make)
    if origin is list:
        return [from_plain(args[0], item, make) for item in value]
    if origin is tuple:
        return tuple(from_plain(args[0], item, make) for item in value)
    if origin is dict:
        return {name: from_plain(args[1], item, make) for name, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        hints = hints_of(hint, hint.__name__)
        return hint(**{n: from_plain(hints[n], inner, make) for n, inner in value.items()})
    return revive(value, make)


def arguments(
    body: Callable[..., Any],
    spec: FunctionSpec,
    inputs: Mapping[str, Any],
    make: MakeFile = File.of,
) -> dict[str, Any]:
    """Keyword arguments for an author's function from plain inputs by port.

    Raises:
        NotFound: There is no such port.
        BadValue: A value is missing, or not of its port's type.
    """
    hints = hints_of(body, spec.name)
    found = {}
    for name, value in inputs.items():
        port = spec.input(name)
        if value is None and not port.required and not isinstance(port.type, OptionalType):
            found[name] = from_plain(hints[name], port.default, make)
        else:
            checked = check(port.type, value, f"{spec.name}.in.{name}")
            found[name] = from_plain(hints[name], checked, make)
    for port in spec.inputs:
        if port.name not in found and not port.required and port.default is None:
            found[port.name] = None
    missing = [port.name for port in spec.inputs if port.required and port.name not in found]
    if missing:
        raise BadValue(f"{spec.name} needs {', '.join(missing)}")
    return found
