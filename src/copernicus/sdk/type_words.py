"""Reads a port's type as ``describe`` writes it: ``list[File]``, ``float (K) | None``."""

from __future__ import annotations

import ast
import re

from copernicus.errors import BadDefinition
from copernicus.model.types import (
    AnyType,
    BoolType,
    DictType,
    EnumType,
    FileType,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    PortType,
    StrType,
)

_WORDS: dict[str, PortType] = {
    "bool": BoolType(),
    "int": IntType(),
    "float": FloatType(),
    "str": StrType(),
    "File": FileType(),
    "Any": AnyType(),
    "dict": DictType(AnyType()),
    "list": ListType(AnyType()),
}
_WITH_UNIT = re.compile(r"\b(int|float)\s*\(([^()]+)\)")
_HINT = (
    "write bool, int, float, str, File, Any, list[T], dict[str, T], T | None, "
    "\"'a' | 'b'\" or float (unit)"
)


_LONGEST = 4000


def read_type(text: str) -> PortType:
    """The port type that these words stand for.

    Raises:
        BadDefinition: They stand for none.
    """
    if len(text) > _LONGEST:
        raise BadDefinition(f"A type has at most {_LONGEST} characters, not {len(text)}: {_HINT}")
    units: list[str] = []

    def keep_unit(found: re.Match[str]) -> str:
        units.append(found[2].strip())
        return f"{found[1]}[{len(units) - 1}]"

    try:
        tree = ast.parse(_WITH_UNIT.sub(keep_unit, text.strip()), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadDefinition(f"{text!r} is no type: {_HINT}") from None
    found = _read(tree.body, units)
    if found is None:
        raise BadDefinition(f"{text!r} is no type: {_HINT}")
    return found


def _read(node: ast.expr, units: list[str]) -> PortType | None:
    match node:
        case ast.Name(id=word):
            return _WORDS.get(word)
        case ast.Constant(value=str() | int() as choice):
            return EnumType((choice,)) if not isinstance(choice, bool) else None
        case ast.BinOp(left=left, op=ast.BitOr(), right=ast.Constant(value=None)):
            inner = _read(left, units)
            return inner and OptionalType(inner)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            first, second = _read(left, units), _read(right, units)
            if isinstance(first, EnumType) and isinstance(second, EnumType):
                return EnumType((*first.choices, *second.choices))
            return None
        case ast.Subscript(value=ast.Name(id=word), slice=inside):
            return _read_generic(word, inside, units)
    return None


def _read_generic(word: str, inside: ast.expr, units: list[str]) -> PortType | None:
    match word, inside:
        case "list", _:
            item = _read(inside, units)
            return item and ListType(item)
        case "dict", ast.Tuple(elts=[ast.Name(id="str"), value]):
            inner = _read(value, units)
            return inner and DictType(inner)
        case "int", ast.Constant(value=int() as index) if index < len(units):
            return IntType(units[index])
        case "float", ast.Constant(value=int() as index) if index < len(units):
            return FloatType(units[index])
    return None


def with_unit(port_type: PortType, unit: str) -> PortType:
    """The type with its numbers in a unit.

    Raises:
        BadDefinition: It has no numbers.
    """
    match port_type:
        case IntType():
            return IntType(unit)
        case FloatType():
            return FloatType(unit)
        case ListType(item=item):
            return ListType(with_unit(item, unit))
        case OptionalType(item=item):
            return OptionalType(with_unit(item, unit))
        case DictType(value=value):
            return DictType(with_unit(value, unit))
    raise BadDefinition(f"unit {unit!r} stands at a type without numbers")
