"""What a word on the command line, or a file of JSON or TOML, means as the value of a port."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec

from copernicus.errors import BadValue, NotFound
from copernicus.model.toml_text import read_toml
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
    RecordType,
    StrType,
    describe,
    strip_optional,
)

WHOLE = "value"
"""The one key of a TOML file that holds a value which is no table."""


def read_word(word: str, port_type: PortType, where: str) -> Any:
    """The value that a word stands for, at a port (or part of one) of this type.

    Text stays as it is where the type is text, and so do numbers with a unit, which the server
    converts; elsewhere it is JSON; where anything may stand, JSON if it can be read as such, else
    text.

    Raises:
        BadValue: It cannot be a value of this type.
    """
    inner = strip_optional(port_type)
    if isinstance(port_type, OptionalType) and word == "null":
        return None
    if isinstance(inner, StrType):
        return word
    if _takes_file(inner):
        raise BadValue(f"{where} takes a file: cpc set-file {where} FILE")
    if isinstance(inner, EnumType):
        return _choice(word, inner, where)
    if word.startswith("@") and isinstance(inner, ListType | DictType | RecordType):
        return read_document(Path(word[1:]), port_type, where)
    try:
        value = msgspec.json.decode(word)
    except (msgspec.DecodeError, RecursionError):
        if isinstance(inner, AnyType) or _has_unit(inner):
            return word
        raise _wrong(word, port_type, where) from None
    if not _fits(value, inner):
        raise _wrong(word, port_type, where)
    return value


def read_document(file: Path, port_type: PortType, where: str, *, toml: bool | None = None) -> Any:
    """The value in a file of JSON or TOML; the names of files in it become paths beside it.

    Args:
        file: the file; ``-`` is standard input.
        port_type: what is set.
        where: the path that is set, for errors.
        toml: whether it is TOML; default: as its name ends.

    Raises:
        NotFound: There is no such file, or one that it names.
        BadValue: It cannot be read.
    """
    as_toml = file.suffix == ".toml" if toml is None else toml
    text = read_text(file)
    try:
        value = read_toml(text) if as_toml else msgspec.json.decode(text)
    except (tomllib.TOMLDecodeError, msgspec.DecodeError, RecursionError) as error:
        raise BadValue(f"{file} is no {'TOML' if as_toml else 'JSON'}: {error}") from None
    inner = strip_optional(port_type)
    if as_toml and not isinstance(inner, DictType | RecordType | AnyType):
        if not isinstance(value, dict) or set(value) != {WHOLE}:
            raise BadValue(
                f"{where} takes {describe(port_type)}: {file} must have it as {WHOLE} = ..."
            )
        value = value[WHOLE]
    return _with_files(value, port_type, file.parent)


def read_text(file: Path) -> str:
    """The text of a file (``-``: standard input), every character of it.

    Raises:
        NotFound: There is no such file.
        BadValue: It cannot be read as UTF-8.
    """
    import sys

    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode()
    except FileNotFoundError:
        raise NotFound(f"There is no file {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadValue(f"Cannot read {file}: {error}") from None


def write_toml(value: Any, path: str) -> str:
    """A plain value as TOML; one that is no table stands under the key ``value``.

    Raises:
        BadValue: It holds nothing at a place where TOML cannot say so.
    """
    import tomli_w

    table = value if isinstance(value, dict) else {WHOLE: value}
    try:
        return tomli_w.dumps(_without_nothing(table), multiline_strings=False)
    except TypeError:
        raise BadValue(f"{path} holds null in a list, which TOML cannot say: use --json") from None


def _without_nothing(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nothing(v) for name, v in value.items() if v is not None}
    return [_without_nothing(v) for v in value] if isinstance(value, list) else value


def _with_files(value: Any, port_type: PortType, folder: Path) -> Any:
    inner = strip_optional(port_type)
    match inner:
        case FileType() if isinstance(value, str):
            return folder / value
        case ListType(item=item) if isinstance(value, list):
            return [_with_files(each, item, folder) for each in value]
        case DictType(value=item) if isinstance(value, dict):
            return {name: _with_files(each, item, folder) for name, each in value.items()}
        case RecordType(fields=fields) if isinstance(value, dict):
            types = {field.name: field.type for field in fields}
            return {
                name: _with_files(each, types.get(name, AnyType()), folder)
                for name, each in value.items()
            }
    return value


def _takes_file(port_type: PortType) -> bool:
    if isinstance(port_type, ListType):
        return _takes_file(strip_optional(port_type.item))
    return isinstance(port_type, FileType)


def _has_unit(port_type: PortType) -> bool:
    return isinstance(port_type, IntType | FloatType) and bool(port_type.unit)


def _fits(value: Any, inner: PortType) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    match inner:
        case BoolType():
            return isinstance(value, bool)
        case IntType():
            return number and value == value // 1
        case FloatType():
            return number
        case ListType():
            return isinstance(value, list)
        case DictType() | RecordType():
            return isinstance(value, dict)
    return True


def _choice(word: str, inner: EnumType, where: str) -> Any:
    for choice in inner.choices:
        if str(choice) == word:
            return choice
    known = ", ".join(str(choice) for choice in inner.choices)
    raise BadValue(f"{word!r} is no value for {where}; it may be: {known}")


def _wrong(word: str, port_type: PortType, where: str) -> BadValue:
    examples = {ListType: "[1, 2]", DictType: '{"a": 1}', RecordType: '{"a": 1}'}
    written = examples.get(type(strip_optional(port_type)))
    example = f" (write JSON, such as '{written}', or @FILE)" if written else ""
    return BadValue(f"expected {describe(port_type)} at {where}, got {word!r}{example}")
