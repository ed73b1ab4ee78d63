"""Port types: ordinary Python type hints, turned into data that can be sent, checked and shown.

``from_hint`` reads a hint, ``check`` holds a value against a type and returns its canonical form,
``accepts`` says whether an output may be connected to an input, ``json_schema`` and ``describe``
show a type to machines and to people.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from copernicus.errors import BadDefinition, BadValue
from copernicus.model.values import File, is_file


class Unit(msgspec.Struct, frozen=True):
    """Annotation of a number: ``Annotated[float, Unit("kJ/mol")]``."""

    name: str


class BoolType(msgspec.Struct, frozen=True, tag="bool"):
    """True or false."""


class IntType(msgspec.Struct, frozen=True, tag="int"):
    """A whole number, with an optional unit."""

    unit: str | None = None


class FloatType(msgspec.Struct, frozen=True, tag="float"):
    """A finite number, with an optional unit."""

    unit: str | None = None


class StrType(msgspec.Struct, frozen=True, tag="str"):
    """Text."""


class FileType(msgspec.Struct, frozen=True, tag="file"):
    """A file: a blob and a name."""


class AnyType(msgspec.Struct, frozen=True, tag="any"):
    """Opaque JSON."""


class EnumType(msgspec.Struct, frozen=True, tag="enum"):
    """One of a fixed set of words or numbers."""

    choices: tuple[str | int, ...]


class ListType(msgspec.Struct, frozen=True, tag="list"):
    """A list of elements of one type."""

    item: PortType


class DictType(msgspec.Struct, frozen=True, tag="dict"):
    """Names to values of one type."""

    value: PortType


class OptionalType(msgspec.Struct, frozen=True, tag="optional"):
    """A value of the item's type, or nothing."""

    item: PortType


class Field(msgspec.Struct, frozen=True):
    """A named member of a record."""

    name: str
    type: PortType
    required: bool = True


class RecordType(msgspec.Struct, frozen=True, tag="record"):
    """A fixed set of named members."""

    name: str
    fields: tuple[Field, ...]


PortType = (
    BoolType
    | IntType
    | FloatType
    | StrType
    | FileType
    | AnyType
    | EnumType
    | ListType
    | DictType
    | OptionalType
    | RecordType
)

_PLAIN: dict[Any, PortType] = {
    bool: BoolType(),
    int: IntType(),
    float: FloatType(),
    str: StrType(),
    File: FileType(),
    Any: AnyType(),
    dict: DictType(AnyType()),
    list: ListType(AnyType()),
}


def from_hint(hint: Any) -> PortType:
    """The port type that a Python type hint stands for.

    Raises:
        BadDefinition: The hint is none that a port can have.
    """
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _with_unit(from_hint(args[0]), args[1:])
    if origin in (list, tuple) and args and (origin is list or args[-1] is Ellipsis):
        return ListType(from_hint(args[0]))
    if origin is dict and args[0] is str:
        return DictType(from_hint(args[1]))
    if origin is Literal:
        return EnumType(tuple(args))
    if origin in (typing.Union, types.UnionType) and type(None) in args and len(args) == 2:
        return OptionalType(from_hint(next(a for a in args if a is not type(None))))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _record(hint)
    if isinstance(hint, type) and issubclass(hint, File):
        return FileType()
    raise BadDefinition(
        f"no port can have the type {hint!r}: use bool, int, float, str, File, list[T], "
        "dict[str, T], a frozen dataclass, Literal[...], T | None or Any"
    )


def _with_unit(base: PortType, extras: tuple[Any, ...]) -> PortType:
    unit = next((extra.name for extra in extras if isinstance(extra, Unit)), None)
    if unit and isinstance(base, IntType | FloatType):
        return msgspec.structs.replace(base, unit=unit)
    return base


def _record(cls: type) -> RecordType:
    hints = typing.get_type_hints(cls, include_extras=True)
    fields = []
    for field in dataclasses.fields(cls):
        required = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        fields.append(Field(field.name, from_hint(hints[field.name]), required))
    return RecordType(cls.__name__, tuple(fields))


def describe(port_type: PortType) -> str:  # noqa: C901 - one plain case for each type
    """The type as its author would write it: ``list[File]``, ``float (kJ/mol)``."""
    match port_type:
        case ListType(item=item):
            return f"list[{describe(item)}]"
        case DictType(value=value):
            return f"dict[str, {describe(value)}]"
        case OptionalType(item=item):
            return f"{describe(item)} | None"
        case EnumType(choices=choices):
            return " | ".join(repr(choice) for choice in choices)
        case RecordType(name=name):
            return name
        case FileType():
            return "File"
        case AnyType():
            return "Any"
        case IntType(unit=unit) | FloatType(unit=unit):
            word = "int" if isinstance(port_type, IntType) else "float"
            return f"{word} ({unit})" if unit else word
        case BoolType():
            return "bool"
        case StrType():
            return "str"


def _what(value: Any) -> str:
    if value is None:
        return "nothing"
    if is_file(value):
        return f"file {value.get('name')!r}"
    shown = repr(value)
    return f"{type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"


def _wrong(port_type: PortType, value: Any, where: str) -> BadValue:
    at = f" at {where}" if where else ""
    named = isinstance(port_type, FileType) and isinstance(value, str)
    hint = " (a file's name: cpc set-file, or Path(...) in Python)" if named else ""
    return BadValue(f"expected {describe(port_type)}{at}, got {_what(value)}{hint}")


def check(port_type: PortType, value: Any, where: str = "") -> Any:
    """The canonical plain form of ``value`` as a ``port_type``; ``where`` names it in errors.

    Raises:
        BadValue: It is none; the message says what was expected, where, and what came.
    """
    match port_type:
        case AnyType():
            return _check_json(value, where)
        case OptionalType(item=item):
            return None if value is None else check(item, value, where)
        case ListType(item=item):
            if not isinstance(value, list | tuple):
                raise _wrong(port_type, value, where)
            return [check(item, v, f"{where}[{i}]") for i, v in enumerate(value)]
        case DictType(value=inner):
            if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
                raise _wrong(port_type, value, where)
            return {k: check(inner, v, f"{where}.{k}") for k, v in value.items()}
        case RecordType():
            return _check_record(port_type, value, where)
        case _:
            return _check_scalar(port_type, value, where)


def _check_scalar(port_type: PortType, value: Any, where: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match port_type:
        case BoolType() if isinstance(value, bool):
            return value
        case IntType() if number and math.isfinite(value) and int(value) == value:
            return int(value)
        case FloatType() if number and math.isfinite(value):
            return float(value)
        case StrType() if isinstance(value, str):
            return value
        case FileType() if is_file(value):
            return dict(value)
        case EnumType(choices=choices) if not isinstance(value, bool) and value in choices:
            return value
    raise _wrong(port_type, value, where)


def _check_record(record: RecordType, value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(record, value, where)
    known = {field.name for field in record.fields}
    for name in value:
        if name not in known:
            raise BadValue(f"{record.name} has no member {name!r} (at {where}); it has {known}")
    missing = [f.name for f in record.fields if f.required and f.name not in value]
    if missing:
        raise BadValue(f"{record.name} at {where} lacks {', '.join(missing)}")
    return {
        field.name: check(field.type, value[field.name], f"{where}.{field.name}")
        for field in record.fields
        if field.name in value
    }


def _check_json(value: Any, where: str) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [_check_json(v, f"{where}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value):
        return {k: _check_json(v, f"{where}.{k}") for k, v in value.items()}
    raise BadValue(f"not JSON at {where}: {_what(value)}")


def accepts(target: PortType, source: PortType) -> bool:
    """Whether every value of ``source`` is good for ``target`` (units are not compared here)."""
    if isinstance(target, AnyType) or isinstance(source, AnyType):
        return True
    match target, source:
        case OptionalType(item=wanted), OptionalType(item=given):
            return accepts(wanted, given)
        case OptionalType(item=wanted), _:
            return accepts(wanted, source)
        case ListType(item=wanted), ListType(item=given):
            return accepts(wanted, given)
        case DictType(value=wanted), DictType(value=given):
            return accepts(wanted, given)
        case FloatType(), IntType() | FloatType():
            return True
        case EnumType(choices=wanted_words), EnumType(choices=given_words):
            return set(given_words) <= set(wanted_words)
        case RecordType(fields=wanted_fields), RecordType(fields=given_fields):
            given_types = {f.name: f for f in given_fields}
            return all(
                (f.name in given_types and accepts(f.type, given_types[f.name].type))
                or (not f.required and f.name not in given_types)
                for f in wanted_fields
            )
        case _:
            return type(target) is type(source)


def json_schema(port_type: PortType) -> dict[str, Any]:  # noqa: C901 - one case for each type
    """The JSON Schema of the type's plain form."""
    match port_type:
        case BoolType():
            return {"type": "boolean"}
        case IntType(unit=unit):
            return {"type": "integer", **({"unit": unit} if unit else {})}
        case FloatType(unit=unit):
            return {"type": "number", **({"unit": unit} if unit else {})}
        case StrType():
            return {"type": "string"}
        case AnyType():
            return {}
        case EnumType(choices=choices):
            return {"enum": list(choices)}
        case ListType(item=item):
            return {"type": "array", "items": json_schema(item)}
        case DictType(value=value):
            return {"type": "object", "additionalProperties": json_schema(value)}
        case OptionalType(item=item):
            return {"anyOf": [json_schema(item), {"type": "null"}]}
        case RecordType(name=name, fields=fields):
            return {
                "type": "object",
                "title": name,
                "properties": {f.name: json_schema(f.type) for f in fields},
                "required": [f.name for f in fields if f.required],
                "additionalProperties": False,
            }
        case FileType():
            return {
                "type": "object",
                "properties": {
                    "$file": {"type": "string"},
                    "size": {"type": "integer"},
                    "name": {"type": "string"},
                },
                "required": ["$file", "size", "name"],
            }


def strip_optional(port_type: PortType) -> PortType:
    """The type below an optional one."""
    return port_type.item if isinstance(port_type, OptionalType) else port_type
