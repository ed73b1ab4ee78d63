"""Port types from ordinary Python type hints."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from copernicus.errors import BadDefinition, BadValue
from copernicus.model.docstrings import read_doc
from copernicus.model.types import (
    AnyType,
    BoolType,
    DictType,
    EnumType,
    Field,
    FileType,
    FloatType,
    IntType,
    ListType,
    OptionalType,
    PortType,
    RecordType,
    StrType,
    check,
)
from copernicus.model.values import File, to_plain


class Unit(msgspec.Struct, frozen=True):
    """Annotation of a number: ``Annotated[float, Unit("kJ/mol")]``."""

    name: str


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
    docs = read_doc(cls.__doc__).outputs
    return RecordType(
        cls.__name__,
        tuple(
            _field(cls, field, from_hint(hints[field.name]), docs.get(field.name, ""))
            for field in dataclasses.fields(cls)
        ),
    )


def _field(cls: type, field: dataclasses.Field[Any], field_type: PortType, doc: str) -> Field:
    if field.default is not dataclasses.MISSING:
        given = field.default
    elif field.default_factory is not dataclasses.MISSING:
        given = field.default_factory()
    else:
        return Field(field.name, field_type, doc=doc)
    try:
        default = None if given is None else check(field_type, to_plain(given))
    except BadValue as error:
        raise BadDefinition(f"{cls.__name__}.{field.name}: {error.message}") from None
    return Field(field.name, field_type, required=False, default=default, doc=doc)
