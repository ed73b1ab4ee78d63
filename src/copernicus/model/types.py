"""Port types as data that can be sent, checked and shown (``model.hints`` reads them from Python).

``check`` holds a value against a type and returns its canonical form, ``accepts`` says whether an
output may be connected to an input, ``json_schema`` and ``describe`` show a type to machines and to
people.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from copernicus.errors import BadValue
from copernicus.model.paths import APPEND, Step
from copernicus.model.units import magnitude, same_unit
from copernicus.model.values import is_file

MOST_NESTED = 100


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
    """A named member of a record; one that is left out has its ``default``."""

    name: str
    type: PortType
    required: bool = True
    default: Any = None
    doc: str = ""


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
    hint = ""
    if isinstance(port_type, FileType) and isinstance(value, str):
        hint = " (a file's name: cpc set-file, or Path(...) in Python)"
    elif isinstance(port_type, IntType | FloatType) and port_type.unit and isinstance(value, str):
        hint = f" (a number in {port_type.unit}, or one with its unit)"
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
    match port_type:
        case IntType() | FloatType():
            return _check_number(port_type, value, where)
        case BoolType() if isinstance(value, bool):
            return value
        case StrType() if isinstance(value, str):
            return value
        case FileType() if is_file(value):
            return dict(value)
        case EnumType(choices=choices) if not isinstance(value, bool) and value in choices:
            return choices[choices.index(value)]
    raise _wrong(port_type, value, where)


def _check_number(port_type: IntType | FloatType, value: Any, where: str) -> int | float:
    number = value
    if isinstance(value, str) and port_type.unit:
        number = _in_unit(port_type, value, where)
    if isinstance(number, bool) or not isinstance(number, int | float) or not _fits(number):
        raise _wrong(port_type, value, where)
    if isinstance(port_type, FloatType):
        return float(number)
    whole = round(number)
    # What was converted, such as 0.1 ns into ps, may miss the whole number by a rounding.
    exact = whole == number or (number is not value and math.isclose(whole, number, rel_tol=1e-12))
    if not exact or not -(2**63) <= whole < 2**63:
        raise _wrong(port_type, value, where)
    return whole


def _in_unit(port_type: IntType | FloatType, text: str, where: str) -> float | None:
    assert port_type.unit is not None
    try:
        return magnitude(text, port_type.unit)
    except BadValue as error:
        at = f" at {where}" if where else ""
        raise BadValue(
            f"expected {describe(port_type)}{at}, got {_what(text)}: {error.message}"
        ) from None


def _fits(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


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


def _check_json(value: Any, where: str, depth: int = 0) -> Any:
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if depth > MOST_NESTED:
        raise BadValue(f"nested deeper than {MOST_NESTED} at {where[:60]}...")
    if isinstance(value, list | tuple):
        return [_check_json(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(k, str) for k in value):
        return {k: _check_json(v, f"{where}.{k}", depth + 1) for k, v in value.items()}
    raise BadValue(f"not JSON at {where}: {_what(value)}")


def accepts(target: PortType, source: PortType) -> bool:
    """Whether every value of ``source`` is good for ``target``.

    Units must be the same where both have one: nothing is converted on the way of a connection.
    """
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
        case FloatType(unit=wanted), IntType(unit=given) | FloatType(unit=given):
            return not (wanted and given) or same_unit(wanted, given)
        case IntType(unit=wanted), IntType(unit=given):
            return not (wanted and given) or same_unit(wanted, given)
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


def unit_of(port_type: PortType) -> str:
    """The unit of a number, or of the numbers in a list, dict or optional value; else ``""``."""
    match port_type:
        case IntType(unit=unit) | FloatType(unit=unit):
            return unit or ""
        case ListType(item=inner) | DictType(value=inner) | OptionalType(item=inner):
            return unit_of(inner)
    return ""


def type_inside(port_type: PortType, steps: tuple[Step, ...]) -> PortType | None:
    """The type of a part of a value; None where the type has no such part."""
    at = port_type
    for step in steps:
        at = strip_optional(at)
        inner = _inner_type(at, step)
        if inner is None:
            return None
        at = inner
    return at


def _inner_type(port_type: PortType, step: Step) -> PortType | None:
    match port_type:
        case ListType(item=item) if isinstance(step, int) or step == APPEND:
            return item
        case DictType(value=value) if isinstance(step, str):
            return value
        case RecordType(fields=fields):
            return next((field.type for field in fields if field.name == step), None)
        case AnyType():
            return port_type
    return None
